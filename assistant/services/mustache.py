"""Mustache templates, read once and rendered many times."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from assistant.domain.values import JsonObject
from assistant.services.mustache_reading import Body, Section, Value, read_template
from assistant.services.mustache_rendering import render_template


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is known to be well-formed.

    ``variables`` are the names it takes from the caller: those used outside every section, as
    a value, as a section's or an inverted section's name; of a dotted name its first part.
    A name used only INSIDE a section may be a field of the section's item or the caller's
    variable, which only the values can tell: it is optional, and not listed.
    An inverted section has no item, so names inside it count as outside.

    ``scalars`` are the variables printed as they are (``{{x}}``, not ``{{x.y}}``): each must be
    a string, a number or a boolean.
    """

    variables: frozenset[str]
    scalars: frozenset[str]
    body: Body = field(repr=False)

    @staticmethod
    def parse(source: str, path: tuple[str, ...] = ("template",)) -> Template:
        """Read ``source``, which came in the input field ``path``. Raises BadUserInput."""
        body = read_template(source, path)
        variables: set[str] = set()
        scalars: set[str] = set()
        _collect_names(body, variables, scalars)
        return Template(frozenset(variables), frozenset(scalars), body)

    def render(self, values: JsonObject) -> str:
        """The text with ``values`` filled in. Raises BadUserInput where it would be too much."""
        return render_template(self.body, values)


@lru_cache(maxsize=256)
def parse_template(source: str, path: tuple[str, ...] = ("template",)) -> Template:
    """``Template.parse``, remembering the 256 templates used last."""
    return Template.parse(source, path)


def _collect_names(body: Body, variables: set[str], scalars: set[str]) -> None:
    for node in body:
        match node:
            case Value(name):
                variables.add(name[0])
                if len(name) == 1:
                    scalars.add(name[0])
            case Section(name, is_inverted, inner):
                variables.add(name[0])
                if is_inverted:
                    _collect_names(inner, variables, scalars)
