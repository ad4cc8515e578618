"""Brings a tenant's prompts to what files say: first a plan to be looked at, then step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.domain.caller import Caller
from assistant.domain.prompt import Prompt, PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestRun, PromptTestStatus
from assistant.services.models import Models
from assistant.services.prompt_authoring import PromptAuthoring
from assistant.services.prompt_document_checks import check_file
from assistant.services.prompt_documents import find_in_catalog
from assistant.services.prompt_file_partials import in_order, included, partials_of
from assistant.services.prompt_import_step import ImportStep, Known, plan_step
from assistant.services.prompt_releases import PromptReleases
from assistant.services.prompt_test_progress import Tell
from assistant.services.prompt_tests import PromptTests
from assistant.services.prompts import Prompts

_VERSIONS_READ = 100


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a step. ``failed_run`` is why the version was not published, if it was not."""

    number: int
    is_published: bool
    failed_run: PromptTestRun | None = None


class PromptImport:
    """Changes a tenant's prompts through the same use cases as everybody."""

    def __init__(
        self,
        *,
        prompts: Prompts,
        authoring: PromptAuthoring,
        releases: PromptReleases,
        tests: PromptTests,
        models: Models,
    ) -> None:
        self._prompts = prompts
        self._authoring = authoring
        self._releases = releases
        self._tests = tests
        self._models = models

    async def plan(
        self, tenant_id: str, files: Mapping[str, tuple[Path, PromptDocument]], *, as_drafts: bool
    ) -> Sequence[ImportStep]:
        """What is to be done that the catalog says what the files say, in an order that works.

        A text that a file includes is the one that will be published then: another file's, else
        the catalog's. ``as_drafts``: nothing is published. Nothing is changed yet.

        Raises: PromptFileError, Circle, StorageUnavailable.
        """
        documents = {name: document for name, (_, document) in files.items()}
        partials = await self._partials(tenant_id, documents, as_drafts)
        catalog = await self._models.catalog(tenant_id)
        for name, (file, document) in files.items():
            check_file(file, document, partials[name], catalog)
        visible = await self._prompts.by_name(tenant_id, list(files))
        known = await self._known(tenant_id, visible)
        return [
            plan_step(
                *files[name],
                partials[name],
                known.get(name, Known(hidden=name in visible)),
                as_drafts=as_drafts,
            )
            for name in in_order(documents)
        ]

    async def apply(
        self,
        caller: Caller,
        step: ImportStep,
        note: str | None,
        emit: Tell,
    ) -> Imported:
        """Do what the step says, and publish last. ``emit`` hears of the tests that are run.

        Raises: what PromptAuthoring, PromptReleases and PromptTests do; Conflict where another
        version has been published since the plan was made.
        """
        draft = replace(step.document.prompt.version, change_note=note)
        if step.prompt is None:
            await self._authoring.create(
                caller, replace(step.document.prompt, version=draft), publish=False
            )
            number = 1
        else:
            if step.changes:
                await self._authoring.update(caller, step.prompt.id, step.changes)
            version = step.says_so or await self._authoring.add_version(
                caller, step.prompt.id, draft
            )
            number = version.version
        for test in step.tests:
            await self._tests.set_case(caller, step.name, test)
        if not step.publishes:
            return Imported(number, is_published=number == step.published)
        if step.needs_run:
            run = await self._tests.run(caller, step.name, number, None, emit)
            if run.status is not PromptTestStatus.PASSED:
                return Imported(number, is_published=False, failed_run=run)
        await self._releases.publish(
            caller, step.name, number, expected=step.published, reason=note
        )
        return Imported(number, is_published=True)

    async def _partials(
        self, tenant_id: str, documents: Mapping[str, PromptDocument], as_drafts: bool
    ) -> Mapping[str, tuple[PromptPartial, ...]]:
        in_catalog = await find_in_catalog(self._prompts, tenant_id, documents.values())
        if not as_drafts:
            return partials_of(documents, in_catalog)
        # Drafts are not included: it stays at what the catalog has published.
        return {
            name: tuple(in_catalog[one] for one in included(document) if one in in_catalog)
            for name, document in documents.items()
        }

    async def _known(self, tenant_id: str, visible: Mapping[str, Prompt]) -> Mapping[str, Known]:
        own = [prompt for prompt in visible.values() if prompt.tenant_id == tenant_id]
        ids = [prompt.id for prompt in own]
        published = await self._prompts.versions_by_id(
            tenant_id, [p.published_version_id for p in own if p.published_version_id]
        )
        versions = await self._prompts.list_versions(tenant_id, ids, _VERSIONS_READ, None)
        cases = await self._tests.list_cases(tenant_id, ids)
        return {
            prompt.name: Known(
                prompt,
                published.get(prompt.published_version_id) if prompt.published_version_id else None,
                versions.get(prompt.id, ()),
                cases.get(prompt.id, ()),
            )
            for prompt in own
        }
