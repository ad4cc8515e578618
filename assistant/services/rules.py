"""Routing rules in force: conditions read once, asked for every request.

docs/routing.md describes the language. It is small and closed: whatever is written in it can be
checked when it is written, and answers yes or no for every request, in a time that is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.rule import RoutingRule, RuleFacts
from assistant.domain.values import JsonValue, check_json
from assistant.errors import BadUserInput
from assistant.services.rule_conditions import CONDITIONS, Condition, require_condition
from assistant.services.rule_operators import Test, read_tests, words_of

MAX_CONDITIONS = 32

_PATH = ("conditions",)
_ORDER = {name: index for index, name in enumerate(CONDITIONS)}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that can be asked. The conditions are tried in an order of their own: the language's,
    not the one in which they were written, which the database does not keep.
    """

    rule: RoutingRule
    conditions: tuple[tuple[Condition, tuple[Test, ...]], ...]

    @property
    def needs_language(self) -> bool:
        """Whether it looks at ``RuleFacts.language``, which takes time to find out."""
        return any(condition.name == "language" for condition, _ in self.conditions)

    def holds(self, facts: RuleFacts) -> bool:
        """Whether every condition holds. Never raises."""
        return all(
            test.holds(condition.read(facts))
            for condition, tests in self.conditions
            for test in tests
        )

    def failed_condition(self, facts: RuleFacts) -> str | None:
        """The first condition that does not hold, in words; None where the rule holds.

        As in "promptCategory eq 'code' (is 'support')"; what callers wrote into the request
        themselves is not repeated. Never raises.
        """
        for condition, tests in self.conditions:
            values = condition.read(facts)
            for test in tests:
                if not test.holds(values):
                    return f"{condition.name} {test.words}{_found(condition, facts)}"
        return None


def compile_rule(rule: RoutingRule) -> CompiledRule:
    """``rule``, ready to be asked. Raises BadUserInput as ``check_conditions`` does."""
    return CompiledRule(rule, _read(rule.conditions))


def check_conditions(conditions: JsonValue) -> None:
    """Refuse what is not of the language.

    Raises: BadUserInput; its path begins with "conditions" and ends at what is wrong.
    """
    _read(conditions)


def ordered(rules: Iterable[RoutingRule]) -> list[RoutingRule]:
    """The rules as they are tried: by priority, the tenant's before the platform's, by name."""
    return sorted(
        rules, key=lambda rule: (rule.priority, rule.tenant_id == PLATFORM_TENANT, rule.name)
    )


def _read(conditions: JsonValue) -> tuple[tuple[Condition, tuple[Test, ...]], ...]:
    check_json(conditions, _PATH)
    if not isinstance(conditions, Mapping):
        raise BadUserInput("conditions must be an object; {} holds always.", path=_PATH)
    if len(conditions) > MAX_CONDITIONS:
        raise BadUserInput(
            f"A rule has at most {MAX_CONDITIONS} conditions; this one has {len(conditions)}.",
            path=_PATH,
        )
    names = sorted(conditions, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    read = ((require_condition(name), conditions[name]) for name in names)
    return tuple(
        (known, read_tests(written, known.operand, (*_PATH, known.name))) for known, written in read
    )


def _found(condition: Condition, facts: RuleFacts) -> str:
    if not condition.is_shown:
        return ""
    values = condition.read(facts)
    if condition.name == "tags":
        return f" (are {words_of(list(values))})"
    return " (is absent)" if values[0] is None else f" (is {words_of(values[0])})"
