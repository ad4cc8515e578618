"""Which signs at the edges of a piece of text belong to it: brackets, marks, options of commands.

Around words they are the writer's: "(for kids)", "**now**". Beside operators, and around what is no
word, they tell one formula or piece of code from another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

EDGES = "()[]{}'\"“”„«»\u2018\u2019…*_~"
STOPS = ",.;:?!¿¡…。\uff1f\uff01،؟"

_SMILEY = re.compile(r"[:;=8xX][-'^]?[()\[\]|/\\*]+|[()\[\]]+[-'^]?[:;=]|<3|\^_*\^")
_OPTION = re.compile(r"--?[^\W\d_][\w-]*(?:=\S+)?")
_LETTERS_FROM_TO = re.compile(r"[A-Za-z]-[A-Za-z]")
_FORMULA = re.compile(r"[|*+^?\\=<>]")
_NAME_WITH_SIGNS = re.compile(r"\w+(?:\+\+|\+|#)")  # C++, C#, 18+
_OPERATOR = re.compile(r"[*/^=<>|×÷]+|&&|[!=<>]=")  # noqa: RUF001
_WEAK_OPERATORS = frozenset(
    [
        *("+", "-", "\u2212", "&"),
        *("and", "or", "not", "xor", "plus", "minus", "times", "mod"),
        *("und", "oder", "nicht", "mal"),
        *("y", "o", "por", "menos"),
    ]
)
_MARKS = "*_~"


def is_smiley(chunk: str) -> bool:
    """Whether it is a face: ":)" is not ":("."""
    return _SMILEY.fullmatch(chunk.rstrip(".,!?")) is not None


def begins_code(body: str) -> bool:
    """Whether the stop that ``body`` begins with is part of it: ".net", "!important", ":q"."""
    first, following = body[0], body.lstrip(STOPS)[0]
    if first == "!":
        return body[-1] != "!"  # who writes "!hola!" has no "¡"
    if first in ".:":
        return following.isalpha() or (first == ":" and not following.isdigit())
    return first == "?" and not following.isalnum()


def is_literal(plain: str) -> bool:
    """Whether its case and every sign count: "-r" is not "-R", "a-z" is not "A-Z"."""
    return (
        plain[0] in "!:"
        or _OPTION.fullmatch(plain) is not None
        or _LETTERS_FROM_TO.fullmatch(plain) is not None
    )


def bracketed(chunk: str, inner: str) -> bool:
    """Whether brackets at the edges belong to what is inside: f(x), list[0], [a-z], (a|b)."""
    whole = chunk.rstrip(STOPS)
    if whole[-1:] in (")", "]", "}") and whole[0] not in "([{":
        return any(one in whole[:-1] for one in "([{")
    if whole[0] in "[{":
        return whole[-1] in "]}" or len(inner) + 2 < len(whole)
    if whole[:2] == whole[-2:] == "__":
        return True
    return (
        whole[0] == "("
        and whole[-1] == ")"
        and _FORMULA.search(inner) is not None
        and _NAME_WITH_SIGNS.fullmatch(inner) is None
    )


def counting_brackets(chunks: Sequence[str], at: int) -> tuple[str, str]:
    """The brackets that open before the chunk and close behind it and are no writer's."""
    chunk = chunks[at]
    whole = chunk.rstrip(STOPS)
    starts, ends = chunk[0] in "([{", whole[-1:] in (")", "]", "}")
    if (not starts and not ends) or (starts and ends and len(whole) > 1):
        return "", ""
    inner = whole.strip("()[]{}")
    if not inner or (ends and any(one in inner for one in "([{")):
        return "", ""
    opening = whole[: len(whole) - len(whole.lstrip("([{"))]
    closing = whole[len(whole.rstrip(")]}")) :]
    if any(one in "[{" for one in opening) or any(one in "]}" for one in closing):
        return opening, closing
    is_short = len(inner) < 3 or not inner.isalpha()
    for beside in (at - 1, at + 1):
        if 0 <= beside < len(chunks) and _is_operator(chunks[beside], is_short):
            return opening, closing
    return "", ""


def _is_operator(chunk: str, is_short: bool) -> bool:
    return _OPERATOR.fullmatch(chunk) is not None or (
        is_short and chunk.casefold() in _WEAK_OPERATORS
    )


def unpaired_marks(chunks: Sequence[str]) -> frozenset[int]:
    """Places of chunks whose "*", "_" or "~" emphasises nothing: "*args", "a*", "~user"."""
    found: set[int] = set()
    for mark in _MARKS:
        opened = -1
        for at, chunk in enumerate(chunks):
            core = chunk.strip(STOPS + "()\"'")
            if not core.strip(_MARKS):
                continue
            if (core[0] == mark) == (core[-1] == mark):
                continue
            if core[0] == mark:
                if opened >= 0:
                    found.add(opened)
                opened = at
            elif opened < 0:
                found.add(at)
            else:
                opened = -1
        if opened >= 0:
            found.add(opened)
    return frozenset(found)
