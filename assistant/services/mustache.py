"""Mustache templates, read once and rendered many times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from assistant.domain.prompt import PromptPartial
from assistant.domain.values import JsonObject
from assistant.services.mustache_nodes import Body
from assistant.services.mustache_reading import read_template
from assistant.services.mustache_rendering import render_template


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is known to be well-formed, with the texts that it includes.

    ``variables`` are the names it takes from the caller, with the place of the first use: those
    used outside every section, as a value, as a section's or an inverted section's name; of a
    dotted name its first part. ``inner_names`` are used INSIDE a section: each may be a field of
    the section's item or the caller's variable, which only the values can tell, so it is
    optional. An inverted section has no item, so names inside it count as outside.

    ``scalars`` are the variables printed as they are (``{{x}}``, not ``{{x.y}}``).
    ``item`` is the place of the first ``{{.}}`` outside every section, which prints all values.
    """

    variables: Mapping[str, str]
    inner_names: frozenset[str]
    scalars: frozenset[str]
    item: str | None
    body: Body = field(repr=False)

    @staticmethod
    def parse(
        source: str, path: tuple[str, ...] = ("template",), partials: Iterable[PromptPartial] = ()
    ) -> Template:
        """Read ``source``, which came in the input field ``path``; it may include ``partials``.

        Raises: BadUserInput, with line and column; also for a text that it includes and that is
        not among ``partials``. Texts that include one another in a circle are never among them:
        each holds its own as they were when it was made, and those who make them refuse circles.
        """
        body, names = read_template(source, path, partials)
        return Template(
            names.outside, frozenset(names.inside), frozenset(names.printed), names.item, body
        )

    def render(self, values: JsonObject) -> str:
        """The text with ``values`` filled in. Raises BadUserInput where it would be too much."""
        return render_template(self.body, values)
