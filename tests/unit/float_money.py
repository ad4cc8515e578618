"""Finds money that goes through a float: in Python, in the GraphQL schema, in SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from graphql import InputObjectTypeDefinitionNode, ObjectTypeDefinitionNode, parse
from graphql.language import InterfaceTypeDefinitionNode, ListTypeNode, NonNullTypeNode, TypeNode

_WORDS = ("cost", "costs", "price", "prices", "amount", "spent", "reserved", "budget", "money")
_RATIOS = ("margin", "share", "shares", "step", "steps", "ratio")
"""What ends a name that is about money but is no amount of it."""

_MONEY = r"\b(?:\w+_)?(?:" + "|".join(_WORDS) + r")(?:_(?!margin|share|step|ratio)\w+)?\b"
_INEXACT = r"(?:double\s+precision|float[48]?|real)\b"
_SQL = (
    # A column; a cast after the value, or after what is computed of it.
    re.compile(rf"{_MONEY}\)?\s*(?:::\s*)?{_INEXACT}", re.IGNORECASE),
    re.compile(rf"\([^()]*{_MONEY}[^()]*\)\s*::\s*{_INEXACT}", re.IGNORECASE),
    re.compile(rf"CAST\s*\((?:[^()]|\([^()]*\))*?\s+AS\s+{_INEXACT}", re.IGNORECASE),
    # Between two values it is double precision.
    re.compile(r"percentile_cont\s*\([^()]*\)\s*WITHIN\s+GROUP\s*\([^()]*\)", re.IGNORECASE),
)


def is_money(name: str) -> bool:
    """Whether what is called so is an amount of money, as in ``saved_cost`` or ``savedCost``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")
    return any(word in _WORDS for word in words) and words[-1] not in _RATIOS


def in_python(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of what makes money a float, or says that it is one."""
    for node in ast.walk(ast.parse(source)):
        if _is_inexact(node):
            assert isinstance(node, ast.expr | ast.stmt | ast.arg)
            first = ast.unparse(node).splitlines()[0]
            yield node.lineno, first


def _is_inexact(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="float"), args=[value, *_]):
            return _names_money(value)
        case ast.AnnAssign(target=target, annotation=annotation):
            return _names_money(target) and _is_float(annotation)
        case ast.arg(arg=name, annotation=ast.expr() as annotation):
            return is_money(name) and _is_float(annotation)
        case (
            ast.FunctionDef(name=name, returns=ast.expr() as returns)
            | ast.AsyncFunctionDef(name=name, returns=ast.expr() as returns)
        ):
            return is_money(name) and _is_float(returns)
        case ast.BinOp(left=left, right=right):
            return (_is_float_constant(left) and _names_money(right)) or (
                _is_float_constant(right) and _names_money(left)
            )
        case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=float())]):
            return True
        case ast.Assign(targets=[target], value=value):
            return _names_money(target) and _is_float_constant(value)
    return False


def _names_money(node: ast.expr) -> bool:
    """Whether ``node`` is money, or is computed of it by plain arithmetic."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return is_money(name)
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name))):
            return is_money(name) or _names_money(value)
        case ast.Subscript(value=value):
            return _names_money(value)
        case ast.BinOp(left=left, right=right):
            return _names_money(left) or _names_money(right)
        case ast.UnaryOp(operand=operand):
            return _names_money(operand)
        case ast.BoolOp(values=values):
            return any(map(_names_money, values))
        case ast.IfExp(body=body, orelse=orelse):
            return _names_money(body) or _names_money(orelse)
        case ast.Call(func=function, args=arguments):
            return _names_money(function) or any(map(_names_money, arguments))
    return False


def _is_float(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def _is_float_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def in_schema(sdl: str) -> Iterator[str]:
    """Fields and arguments with the name of money that are Float."""
    kinds = (ObjectTypeDefinitionNode, InterfaceTypeDefinitionNode, InputObjectTypeDefinitionNode)
    for definition in parse(sdl).definitions:
        if not isinstance(definition, kinds):
            continue
        for field in definition.fields:
            where = f"{definition.name.value}.{field.name.value}"
            if is_money(field.name.value) and _type_name(field.type) == "Float":
                yield where
            for argument in getattr(field, "arguments", None) or ():
                if is_money(argument.name.value) and _type_name(argument.type) == "Float":
                    yield f"{where}({argument.name.value})"


def _type_name(type_: TypeNode) -> str:
    while isinstance(type_, NonNullTypeNode | ListTypeNode):
        type_ = type_.type
    return str(type_.name.value)  # type: ignore[attr-defined]


def in_sql(source: str) -> Iterator[str]:
    """Columns of money, and casts of it, that are double precision or real."""
    for pattern in _SQL:
        for found in pattern.finditer(source):
            if re.search(_MONEY, found.group(), re.IGNORECASE):
                yield " ".join(found.group().split())
