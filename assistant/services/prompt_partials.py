"""The texts that a prompt's templates include: what they are now, and that none leads back to it."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.domain.prompt import PromptPartial, VersionDraft
from assistant.errors import BadUserInput
from assistant.services.prompts import Prompts
from assistant.services.rendering import included_as, partial_names


async def find_partials(
    prompts: Prompts, tenant_id: str, draft: VersionDraft
) -> tuple[PromptPartial, ...]:
    """What the templates of ``draft`` include, as the database says now.

    From there and not from memory: what another replica has just published is kept for good. What
    cannot be found is left out: reading the templates says where it stands.
    """
    used = partial_names(draft.template, draft.system_template)
    if not used:
        return ()
    found = await prompts.by_name(tenant_id, sorted({_name_of(used_as) for used_as in used}))
    usable = {used_as: found[_name_of(used_as)] for used_as in used if _name_of(used_as) in found}
    usable = {used_as: prompt for used_as, prompt in usable.items() if not prompt.is_archived}
    keys = {
        used_as: (prompt.id, int(number))
        for used_as, prompt in usable.items()
        if (number := used_as.partition("@")[2])
    }
    by_number = await prompts.versions_by_number(tenant_id, list(keys.values()))
    ids = [prompt.published_version_id for prompt in usable.values()]
    published = await prompts.versions_by_id(tenant_id, [id_ for id_ in ids if id_ is not None])
    partials: list[PromptPartial] = []
    for used_as, prompt in usable.items():
        if used_as in keys:
            version = by_number.get(keys[used_as])
        elif prompt.published_version_id is not None:
            version = published.get(prompt.published_version_id)
        else:
            version = None
        if version is not None:
            partials.append(included_as(used_as, prompt.name, version))
    return tuple(partials)


def check_no_circle(name: str, draft: VersionDraft, partials: Sequence[PromptPartial]) -> None:
    """Let a wording of the prompt ``name`` pass that does not include the prompt.

    Raises: BadUserInput with the way that leads back, directly or through others.
    """
    found = {partial.used_as: partial for partial in partials}
    for field, template in (
        ("template", draft.template),
        ("systemTemplate", draft.system_template or ""),
    ):
        for used_as in partial_names(template, None):
            way = _way_to(name, _name_of(used_as), found.get(used_as))
            if way:
                raise BadUserInput(
                    f"A prompt cannot include itself: {' -> '.join([name, *way])}.", path=(field,)
                )


def _way_to(name: str, start: str, partial: PromptPartial | None) -> Sequence[str]:
    """The names from ``start`` to ``name``; none where it does not lead there."""
    if start == name:
        return [name]
    for inner in partial.partials if partial is not None else ():
        if way := _way_to(name, inner.name, inner):
            return [start, *way]
    return []


def _name_of(used_as: str) -> str:
    return used_as.partition("@")[0]
