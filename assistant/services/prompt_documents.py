"""Prompts of the catalog as documents, the way files have them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptPartial,
    PromptQuery,
    PromptVersion,
    VersionDraft,
)
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestCase, PromptTestDraft
from assistant.domain.values import JsonObject
from assistant.errors import NotFound
from assistant.services.prompt_files import case_content, wording_content
from assistant.services.prompt_partials import find_partials
from assistant.services.prompt_tests import PromptTests
from assistant.services.prompt_yaml import plain
from assistant.services.prompts import Prompts

_PAGE = 100


def wording_of(version: PromptVersion) -> VersionDraft:
    """What a version says, without its change note."""
    return VersionDraft(
        template=version.template,
        system_template=version.system_template,
        variables=version.variables,
        task=version.task,
        model=version.model,
        parameters=version.parameters,
        response_schema=version.response_schema,
        on_interruption=version.on_interruption,
    )


def document_of(
    prompt: Prompt, version: PromptVersion, cases: Iterable[PromptTestCase]
) -> PromptDocument:
    """A prompt that says what ``version`` says; the tests by name."""
    draft = PromptDraft(
        name=prompt.name,
        category=prompt.category,
        version=wording_of(version),
        description=prompt.description,
        tags=prompt.tags,
        publish_requires_tests=prompt.publish_requires_tests,
        cache=prompt.cache,
    )
    tests = (PromptTestDraft(case.name, case.variables, case.assertions) for case in cases)
    return PromptDocument(draft, tuple(sorted(tests, key=lambda test: test.name)))


def is_same_wording(one: VersionDraft, other: VersionDraft) -> bool:
    """Whether both say the same to models and callers; the change note says nothing to them."""
    return _canonical(wording_content(one)) == _canonical(wording_content(other))


def is_same_test(one: PromptTestDraft, other: PromptTestDraft) -> bool:
    return _canonical(case_content(one)) == _canonical(case_content(other))


def is_same_document(one: PromptDocument, other: PromptDocument) -> bool:
    """Whether both describe the same prompt; the order of tests means nothing."""
    about = [
        (p.name, p.category, p.description, p.tags, p.publish_requires_tests, p.cache)
        for p in (one.prompt, other.prompt)
    ]
    tests = [sorted(document.tests, key=lambda test: test.name) for document in (one, other)]
    return (
        about[0] == about[1]
        and is_same_wording(one.prompt.version, other.prompt.version)
        and len(tests[0]) == len(tests[1])
        and all(map(is_same_test, *tests))
    )


def is_same_text(some: tuple[PromptPartial, ...], others: tuple[PromptPartial, ...]) -> bool:
    """Whether both include the same, from whichever version it comes."""
    return len(some) == len(others) and all(
        (one.used_as, one.template) == (other.used_as, other.template)
        and is_same_text(one.partials, other.partials)
        for one, other in zip(some, others, strict=True)
    )


def _canonical(content: JsonObject) -> str:
    return json.dumps(plain(content), sort_keys=True)


async def find_in_catalog(
    prompts: Prompts, tenant_id: str, documents: Iterable[PromptDocument]
) -> Mapping[str, PromptPartial]:
    """What the tenant's catalog has of all that the documents include, as they call it."""
    found: dict[str, PromptPartial] = {}
    for document in documents:
        for partial in await find_partials(prompts, tenant_id, document.prompt.version):
            found[partial.used_as] = partial
    return found


async def find_prompts(
    prompts: Prompts, tenant_id: str, names: Sequence[str], *, with_platform: bool
) -> Sequence[Prompt]:
    """The tenant's own prompts by name, archived ones left out; of ``names`` where there are any.

    ``with_platform`` adds those of the platform that the tenant sees; named ones are found either
    way. Raises NotFound for a name that leads nowhere.
    """
    if names:
        named = await prompts.by_name(tenant_id, list(names))
        missing = [name for name in names if name not in named or named[name].is_archived]
        if missing:
            raise NotFound(f"There is no prompt {', '.join(missing)}, or it is archived.")
        return [named[name] for name in dict.fromkeys(names)]
    found: list[Prompt] = []
    is_last = False
    while not is_last:
        after = (found[-1].name, found[-1].id) if found else None
        page = await prompts.list_prompts(tenant_id, PromptQuery(first=_PAGE, after=after))
        found += page
        is_last = len(page) < _PAGE
    return [prompt for prompt in found if with_platform or prompt.tenant_id == tenant_id]


async def published_documents(
    prompts: Prompts, tests: PromptTests, tenant_id: str, wanted: Sequence[Prompt]
) -> Mapping[str, PromptDocument]:
    """What the published versions of the prompts say, by name; those without one are left out."""
    published = {p.published_version_id: p for p in wanted if p.published_version_id is not None}
    versions = await prompts.versions_by_id(tenant_id, list(published))
    cases = await tests.list_cases(tenant_id, [prompt.id for prompt in wanted])
    return {
        prompt.name: document_of(prompt, versions[id_], cases.get(prompt.id, ()))
        for id_, prompt in published.items()
    }
