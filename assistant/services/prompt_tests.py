"""Tests of prompts: their cases, their runs, and whether a version has passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import CompletionRequest
from assistant.domain.ports import Clock, Embedder, PromptTestStore
from assistant.domain.prompt import Prompt, PromptPartial, PromptVersion
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    TEST_FEATURE,
    JudgedBy,
    PromptTestCase,
    PromptTestDraft,
    PromptTestRun,
    PromptTestStatus,
    assertion_json,
)
from assistant.errors import BadUserInput, NotFound
from assistant.services.catalog_checks import check_target
from assistant.services.completion import discard
from assistant.services.json_paths import is_same
from assistant.services.models import Models
from assistant.services.prompt_assertions import check_draft
from assistant.services.prompt_checks import check_all
from assistant.services.prompt_test_gate import untested
from assistant.services.prompt_test_progress import Tell, run_cases
from assistant.services.prompt_trials import Asks, Trials
from assistant.services.prompts import Prompts

MAX_CASES = 200
MAX_RUNS = 100
"""How many runs of a version are kept, the newest."""

ABANDONED = timedelta(days=1)
"""A run that is RUNNING for longer is nobody's any more: its process was killed."""


class PromptTests:
    """What those who write prompts do to know that they work."""

    def __init__(
        self,
        *,
        store: PromptTestStore,
        prompts: Prompts,
        completions: Asks,
        models: Models,
        embedder: Embedder,
        clock: Clock,
    ) -> None:
        self._store = store
        self._models = models
        self._prompts = prompts
        self._trials = Trials(completions, prompts, embedder)
        self._clock = clock

    async def list_cases(
        self, tenant_id: str, prompt_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[PromptTestCase]]:
        """Each prompt's cases by name; one statement."""
        return await self._store.list_cases(tenant_id, prompt_ids)

    async def set_case(
        self, caller: Caller, prompt_name: str, draft: PromptTestDraft
    ) -> PromptTestCase:
        """Add a case to a prompt, or word the one of that name anew.

        Saying again what it says changes nothing: runs that have passed stay valid. Whether the
        variables fit is for each version to say, when it is tested.

        Raises: Forbidden, NotFound, BadUserInput.
        """
        caller.require(Scope.PROMPTS_WRITE)
        check_draft(draft)
        await self._check_models(caller.tenant_id, _judges(draft))
        prompt = await self._prompts.get_changeable(caller, prompt_name)
        cases = await self._cases(prompt.tenant_id, prompt)
        found = next((case for case in cases if case.name == draft.name), None)
        if found is not None and _is_worded(found, draft):
            return found
        case = self._case(prompt.id, draft)
        stored = await self._store.put_case(prompt.tenant_id, case, MAX_CASES)
        if stored is None:
            raise BadUserInput(f"A prompt has at most {MAX_CASES} tests. Delete some first.")
        return stored

    async def delete_case(self, caller: Caller, id_: UUID) -> None:
        """Remove a case for good; results of it stay. Raises Forbidden, NotFound."""
        caller.require(Scope.PROMPTS_WRITE)
        for tenant_id in caller.may_change:
            if await self._store.delete_case(tenant_id, id_):
                return
        raise NotFound(
            "There is no test of this id among those of your prompts. The query "
            "`promptByName(name: ...) { tests { id name } }` lists them."
        )

    async def run(
        self,
        caller: Caller,
        prompt_name: str,
        number: int,
        model: str | None,
        emit: Tell = discard,
    ) -> PromptTestRun:
        """Try every case of a prompt on its version ``number``; None lets the routing choose.

        ``emit`` hears of the run at its start, after each case and at its end. Cancelling stops
        it; it is recorded with the cases that had ended. What is asked is accounted as the
        caller's, under the feature "prompt-tests".

        Raises: Forbidden, NotFound, BadUserInput before anything is asked; StorageUnavailable.
        """
        _require_scopes(caller)
        prompt, version = await self._prompts.get_version(caller.tenant_id, prompt_name, number)
        cases = await self._cases(caller.tenant_id, prompt)
        if not cases:
            raise BadUserInput(
                f"{prompt.name} has no tests. Add some first, with the mutation setPromptTest.",
                path=("promptName",),
            )
        await self._check_models(caller.tenant_id, ((("model",), model),))
        request = CompletionRequest(
            caller=caller,
            prompt_name=prompt_name,
            prompt_version=number,
            model=model,
            feature=TEST_FEATURE,
        )
        record = partial(self._record, caller.tenant_id)
        return await self._run(request, version, cases, record, emit)

    async def run_document(
        self,
        caller: Caller,
        document: PromptDocument,
        partials: tuple[PromptPartial, ...],
        model: str | None,
        emit: Tell = discard,
    ) -> PromptTestRun:
        """Try the tests of a file on what it says; the run is recorded nowhere, its usage is.

        ``partials`` are what its templates include. Raises: Forbidden, BadUserInput.
        """
        _require_scopes(caller)
        _check_document(document)
        unsaved = self._unsaved(caller, document, partials)
        cases = [self._case(unsaved[0].id, draft) for draft in document.tests]
        request = CompletionRequest(
            caller=caller, unsaved=unsaved, model=model, feature=TEST_FEATURE
        )
        return await self._run(request, unsaved[1], cases, discard, emit)

    async def list_runs(
        self, tenant_id: str, version_ids: Sequence[UUID], first: int
    ) -> Mapping[UUID, Sequence[PromptTestRun]]:
        """The tenant's runs, newest first, up to ``first`` per version; one statement."""
        found = await self._store.list_runs(tenant_id, version_ids, first)
        return {id_: [self._as_it_is(run) for run in runs] for id_, runs in found.items()}

    async def require_passed(self, tenant_id: str, prompt: Prompt, version: PromptVersion) -> None:
        """Let a version pass whose latest run has, on every case as it is worded now.

        Raises: BadUserInput that says what has not passed, and what to do.
        """
        cases = await self._cases(tenant_id, prompt)
        if not cases:
            raise BadUserInput(
                f"{prompt.name} has no tests, and publishRequiresTests is set. Add some with "
                "setPromptTest, then run testPromptVersion.",
                path=("version",),
            )
        runs = await self.list_runs(tenant_id, [version.id], 1)
        latest = next(iter(runs.get(version.id, ())), None)
        problem = untested(latest, cases)
        if problem is not None:
            raise BadUserInput(
                f"Version {version.version} of {prompt.name} is published only after its tests "
                f"have passed. {problem} Run testPromptVersion(input: {{promptName: "
                f'"{prompt.name}", version: {version.version}}}).',
                path=("version",),
            )

    async def _run(
        self,
        request: CompletionRequest,
        version: PromptVersion,
        cases: Sequence[PromptTestCase],
        record: Tell,
        emit: Tell,
    ) -> PromptTestRun:
        request.check()
        run = PromptTestRun(
            id=self._clock.new_id(),
            prompt_id=version.prompt_id,
            version_id=version.id,
            model=request.model,
            status=PromptTestStatus.RUNNING,
            cases=len(cases),
            started_at=self._clock.now(),
            started_by=request.caller.user_id,
        )
        return await run_cases(
            run,
            cases,
            lambda case: self._trials.try_case(case, request),
            record=record,
            emit=emit,
            clock=self._clock,
        )

    async def _check_models(
        self, tenant_id: str, named: Iterable[tuple[tuple[str, ...], str | None]]
    ) -> None:
        catalog = await self._models.catalog(tenant_id)
        for path, model in named:
            if model is not None:
                check_target(model, catalog, path)

    async def _record(self, tenant_id: str, run: PromptTestRun) -> None:
        await self._store.put_run(tenant_id, run, MAX_RUNS)

    async def _cases(self, tenant_id: str, prompt: Prompt) -> Sequence[PromptTestCase]:
        return (await self._store.list_cases(tenant_id, [prompt.id])).get(prompt.id, ())

    def _case(self, prompt_id: UUID, draft: PromptTestDraft) -> PromptTestCase:
        return PromptTestCase(
            id=self._clock.new_id(),
            prompt_id=prompt_id,
            name=draft.name,
            variables=draft.variables,
            assertions=draft.assertions,
            updated_at=self._clock.now(),
        )

    def _unsaved(
        self, caller: Caller, document: PromptDocument, partials: tuple[PromptPartial, ...]
    ) -> tuple[Prompt, PromptVersion]:
        """The prompt of a file and its one version, as the caller's tenant might have them."""
        draft, at = document.prompt, self._clock.now()
        prompt = Prompt(
            id=self._clock.new_id(),
            tenant_id=caller.tenant_id,
            name=draft.name,
            description=draft.description,
            category=draft.category,
            tags=draft.tags,
            published_version_id=None,
            is_archived=False,
            created_by=caller.user_id,
            created_at=at,
            updated_at=at,
        )
        return prompt, PromptVersion.of(
            draft.version,
            partials,
            id_=self._clock.new_id(),
            prompt_id=prompt.id,
            created_at=at,
            created_by=caller.user_id,
        )

    def _as_it_is(self, run: PromptTestRun) -> PromptTestRun:
        abandoned_at = run.started_at + ABANDONED
        if run.status is PromptTestStatus.RUNNING and self._clock.now() > abandoned_at:
            return replace(run, status=PromptTestStatus.CANCELLED, ended_at=abandoned_at)
        return run


def _judges(draft: PromptTestDraft) -> Iterable[tuple[tuple[str, ...], str | None]]:
    for place, assertion in enumerate(draft.assertions):
        if isinstance(assertion, JudgedBy):
            yield ("assertions", str(place), "judged_by", "model"), assertion.model


def _require_scopes(caller: Caller) -> None:
    caller.require(Scope.PROMPTS_WRITE)
    caller.require(Scope.COMPLETE)


def _check_document(document: PromptDocument) -> None:
    tests, name = document.tests, document.prompt.name
    if not 1 <= len(tests) <= MAX_CASES:
        raise BadUserInput(
            f"The file of {name} must have 1 to {MAX_CASES} tests; it has {len(tests)}. "
            "They stand under `tests`.",
            path=("tests",),
        )
    check_all(
        *(partial(check_draft, test, ("tests", str(place))) for place, test in enumerate(tests))
    )


def _is_worded(case: PromptTestCase, draft: PromptTestDraft) -> bool:
    said = (assertion_json(one) for one in draft.assertions)
    return is_same(case.variables, draft.variables) and is_same(
        [assertion_json(one) for one in case.assertions], list(said)
    )
