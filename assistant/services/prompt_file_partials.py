"""The partials of prompts in files: what they include of one another before any is in the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from assistant.domain.prompt import PromptPartial, PromptVersion, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.errors import BadUserInput
from assistant.services.rendering import included_as, partial_names

_NOBODY = UUID(int=0)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Circle(BadUserInput):
    """The prompt ``name`` includes itself, directly or through others."""

    def __init__(self, way: Sequence[str]) -> None:
        super().__init__(
            f"A prompt cannot include itself: {' -> '.join([*way, way[0]])}.", path=("template",)
        )
        self.name = way[0]


def included(document: PromptDocument) -> tuple[str, ...]:
    """What the templates include, as they call it: ``greeting``, ``greeting@3``."""
    version = document.prompt.version
    return partial_names(version.template, version.system_template)


def in_order(documents: Mapping[str, PromptDocument]) -> tuple[str, ...]:
    """The names, by name, but each after those that it includes.

    Raises Circle.
    """
    order: dict[str, None] = {}

    def add(name: str, way: Sequence[str]) -> None:
        if name in way:
            raise Circle(way[way.index(name) :])
        if name in order:
            return
        for used_as in included(documents[name]):
            if used_as in documents:
                add(used_as, [*way, name])
        order[name] = None

    for name in sorted(documents):
        add(name, ())
    return tuple(order)


def partials_of(
    documents: Mapping[str, PromptDocument], elsewhere: Mapping[str, PromptPartial]
) -> Mapping[str, tuple[PromptPartial, ...]]:
    """What each of the documents includes: what the others say, else what is found ``elsewhere``.

    A version of a number is looked for elsewhere only. What is nowhere is left out: reading the
    templates says where it stands. Raises Circle.
    """
    found: dict[str, tuple[PromptPartial, ...]] = {}
    for name in in_order(documents):
        partials: list[PromptPartial] = []
        for used_as in included(documents[name]):
            if used_as in documents:
                version = version_of(documents[used_as].prompt.version, found[used_as])
                partials.append(included_as(used_as, used_as, version))
            elif used_as in elsewhere:
                partials.append(elsewhere[used_as])
        found[name] = tuple(partials)
    return found


def version_of(draft: VersionDraft, partials: tuple[PromptPartial, ...]) -> PromptVersion:
    """A version that is in no catalog, to be read or rendered."""
    return PromptVersion.of(
        draft, partials, id_=_NOBODY, prompt_id=_NOBODY, created_at=_NEVER, number=0
    )
