"""``assistant prompts lint | test | import | export``: prompts as files, and the catalog beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from assistant.command_line import fail, run, running_services, settings_or_end
from assistant.domain.caller import EVERY_SCOPE, PLATFORM_TENANT, Caller, check_identifier
from assistant.domain.prompt import PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestRun
from assistant.errors import AssistantError, Conflict
from assistant.prompts_output import (
    RunLines,
    counted,
    describe_imported,
    describe_plan,
    echo_lines,
)
from assistant.services import Services
from assistant.services.catalog_checks import check_target
from assistant.services.prompt_checks import check_reason
from assistant.services.prompt_document_checks import check_file, read_included, read_prompts
from assistant.services.prompt_documents import (
    find_in_catalog,
    find_prompts,
    is_same_document,
    published_documents,
)
from assistant.services.prompt_file_partials import partials_of
from assistant.services.prompt_files import (
    PromptFileError,
    find_prompt_files,
    read_prompt,
    write_prompt,
)
from assistant.services.prompt_import import PromptImport
from assistant.services.prompt_import_step import ImportStep
from assistant.services.prompt_lint import lint
from assistant.services.seeds import SEEDS

prompts = typer.Typer(no_args_is_help=True, help="Prompts as YAML files: check, test, carry over.")

Paths: TypeAlias = Annotated[list[Path], typer.Argument(help="Files, or folders of files.")]
Tenant: TypeAlias = Annotated[
    str, typer.Option(help=f"Whose prompts; {PLATFORM_TENANT} for those that every tenant sees.")
]


def _caller(tenant: str) -> Caller:
    try:
        check_identifier(tenant, "--tenant")
    except AssistantError as error:
        fail(error.message)
    return Caller(tenant, user_id=None, service_id="assistant-cli", scopes=EVERY_SCOPE)


def _check_note(note: str | None) -> None:
    try:
        check_reason(note, "--note")
    except AssistantError as error:
        fail(error.message)


def _found(paths: Iterable[Path]) -> Sequence[Path]:
    try:
        return find_prompt_files(paths)
    except PromptFileError as error:
        fail(str(error))


def _read(paths: Iterable[Path]) -> Mapping[str, tuple[Path, PromptDocument]]:
    try:
        return read_prompts(_found(paths))
    except PromptFileError as error:
        fail(str(error))


# ---------------------------------------------------------------------------- lint


@prompts.command("lint")
def lint_files(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, or folders of files. Default: the shipped ones."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail, too.")] = False,
) -> None:
    """Say what is wrong with files, and what could be better. Needs no database."""
    files = _found(paths or [SEEDS / "prompts"])
    try:
        findings = lint(files)
    except PromptFileError as error:
        fail(str(error))
    for finding in findings:
        kind = "problem" if finding.is_problem else "warning"
        typer.echo(f"{finding.file}: {kind}: {finding.text}")
    problems = sum(finding.is_problem for finding in findings)
    warnings = len(findings) - problems
    typer.echo(
        f"{counted(len(files), 'file')}, {counted(problems, 'problem')}, "
        f"{counted(warnings, 'warning')}"
    )
    if problems or (strict and warnings):
        raise typer.Exit(1)


# -------------------------------------------------------------------------- export


@prompts.command("export")
def export_prompts(
    tenant: Tenant,
    to: Annotated[Path, typer.Option(help="The folder; made where it is not there.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Which. Default: all of the tenant's own.")
    ] = None,
    platform: Annotated[
        bool, typer.Option("--platform", help="Those of the platform that it sees as well.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that say something else.")
    ] = False,
) -> None:
    """Write each published version, with its tests, into a file of its prompt's name."""
    caller, settings = _caller(tenant), settings_or_end()

    async def work() -> tuple[Sequence[str], Mapping[str, PromptDocument]]:
        async with running_services(settings) as services:
            wanted = await find_prompts(
                services.prompts, caller.tenant_id, names or [], with_platform=platform
            )
            documents = await published_documents(
                services.prompts, services.prompt_tests, caller.tenant_id, wanted
            )
        return [prompt.name for prompt in wanted if prompt.name not in documents], documents

    unpublished, documents = run(work())
    for name in unpublished:
        typer.echo(f"{name}: left out, it has no published version")
    try:
        to.mkdir(parents=True, exist_ok=True)
        outcomes = [
            _export(to / f"{name}.yaml", document, force) for name, document in documents.items()
        ]
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror}")
    kept = outcomes.count("kept")
    typer.echo(
        f"{outcomes.count('written')} written, {outcomes.count('unchanged')} unchanged"
        + (f", {kept} kept because they say something else: --force overwrites" if kept else "")
    )
    if kept:
        raise typer.Exit(1)


def _export(file: Path, document: PromptDocument, force: bool) -> str:
    """What became of the file: one that says the same stays as somebody has written it."""
    text = write_prompt(document)
    if file.exists():
        try:
            if is_same_document(read_prompt(file), document):
                return "unchanged"
        except PromptFileError:
            pass  # then it says something else
        old = file.read_text(encoding="utf-8", errors="replace").splitlines()
        label = f"catalog: {document.prompt.name}"
        echo_lines(unified_diff(old, text.splitlines(), str(file), label, lineterm=""))
        if not force:
            return "kept"
    file.write_text(text, encoding="utf-8", newline="\n")
    typer.echo(f"wrote {file}")
    return "written"


# -------------------------------------------------------------------------- import


@prompts.command("import")
def import_prompts(
    paths: Paths,
    tenant: Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Publish nothing.")] = False,
    note: Annotated[
        str | None,
        typer.Option(help="Why: the versions' change note, and of publishing the reason."),
    ] = None,
) -> None:
    """Bring a tenant's prompts to what files say. Shows what would change, then asks.

    A version is added only where the wording differs; tests that no file has stay.
    """
    _check_note(note)
    caller, settings, files = _caller(tenant), settings_or_end(), _read(paths)

    async def work(shown: Sequence[str] | None, may_change: bool) -> Sequence[str]:
        """The plan in words, nothing where there is nothing to do; shown unless it was ``shown``."""
        async with running_services(settings) as services:
            importer = _importer(services)
            steps = await importer.plan(caller.tenant_id, files, as_drafts=draft)
            plan = describe_plan(steps)
            if shown is None:
                echo_lines(plan)
            elif shown != plan:
                raise Conflict(
                    "The catalog has changed meanwhile. Run it again to see what is new."
                )
            if may_change:
                await _apply(importer, caller, steps, note)
        return plan if any(step.actions for step in steps) else ()

    plan = run(work(None, yes))
    if not plan or yes:
        return
    if not sys.stdin.isatty():
        typer.echo("Nothing has been changed: add --yes to do this.")
        return
    # Asked outside the loop, which would not hear of Ctrl-C, and with no connection held.
    if typer.confirm("Do this?"):
        run(work(plan, True))
    else:
        typer.echo("Nothing has been changed.")


async def _apply(
    importer: PromptImport, caller: Caller, steps: Sequence[ImportStep], note: str | None
) -> None:
    failed = 0
    for step in steps:
        if step.actions:
            done = await importer.apply(caller, step, note, RunLines())
            typer.echo(describe_imported(step, done))
            failed += done.failed_run is not None
    if failed:
        raise typer.Exit(1)


def _importer(services: Services) -> PromptImport:
    return PromptImport(
        prompts=services.prompts,
        authoring=services.authoring,
        releases=services.releases,
        tests=services.prompt_tests,
        models=services.models,
    )


# ---------------------------------------------------------------------------- test


@prompts.command("test")
def test_files(
    paths: Paths,
    model: Annotated[
        str | None, typer.Option(help="A model or group. Default: what routing chooses.")
    ] = None,
    tenant: Annotated[
        str, typer.Option(help="Who asks, and pays: its models, its rules.")
    ] = PLATFORM_TENANT,
) -> None:
    """Ask a model what the tests of files ask, and say which answers are as they should be.

    The files need not be in the catalog. The answers are real, and cost what they cost.
    """
    caller, settings, files = _caller(tenant), settings_or_end(), _read(paths)
    tested = {name: entry for name, entry in files.items() if entry[1].tests}
    if not tested:
        fail("none of these files has tests")
    for name in files.keys() - tested.keys():
        typer.echo(f"{files[name][0]}: no tests")

    async def work() -> Sequence[PromptTestRun]:
        runs: list[PromptTestRun] = []
        async with running_services(settings) as services:
            partials = await _partials(services, caller, files, model)
            for name, (file, document) in tested.items():
                typer.echo(f"{file}:")
                runs.append(
                    await services.prompt_tests.run_document(
                        caller, document, partials[name], model, RunLines()
                    )
                )
        return runs

    runs = run(work())
    passed, cases = sum(run.passed for run in runs), sum(run.cases for run in runs)
    cost = sum((run.cost for run in runs), Decimal(0))
    typer.echo(f"{passed} of {counted(cases, 'test')} passed; they cost {cost:f} USD")
    if passed < cases:
        raise typer.Exit(1)


async def _partials(
    services: Services,
    caller: Caller,
    files: Mapping[str, tuple[Path, PromptDocument]],
    model: str | None,
) -> Mapping[str, tuple[PromptPartial, ...]]:
    """What the files include: what is beside them, else what the catalog has. Checks all of it."""
    catalog = await services.models.catalog(caller.tenant_id)
    if model is not None:
        check_target(model, catalog, ("model",))
    files = read_included(files)
    documents = {name: document for name, (_, document) in files.items()}
    in_catalog = await find_in_catalog(services.prompts, caller.tenant_id, documents.values())
    partials = partials_of(documents, in_catalog)
    for name, (file, document) in files.items():
        check_file(file, document, partials[name], catalog)
    return partials
