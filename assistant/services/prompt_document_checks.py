"""What a prompt's file may say, before it is anywhere near the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from assistant.domain.ports import ModelCatalog
from assistant.domain.prompt import PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestDraft
from assistant.errors import BadUserInput
from assistant.services.prompt_assertions import check_draft
from assistant.services.prompt_checks import (
    check_all,
    check_cache,
    check_category,
    check_description,
    check_prompt_name,
    check_tags,
    check_version,
)
from assistant.services.prompt_file_partials import included, version_of
from assistant.services.prompt_files import PromptFileError, describe_problem, read_prompt
from assistant.services.prompt_partials import check_no_circle
from assistant.services.rendering import render_prompt

_NO_MODELS = ModelCatalog(providers={}, models={}, groups={})


def check_document(
    document: PromptDocument,
    partials: tuple[PromptPartial, ...],
    catalog: ModelCatalog | None = None,
) -> None:
    """Let a prompt pass that could be put into the catalog, each of its tests rendered once.

    ``catalog`` None: which models there are is not known, and the prompt's is not looked for.

    Raises: BadUserInput with everything that is wrong.
    """
    prompt = document.prompt
    version = prompt.version if catalog else replace(prompt.version, model=None)
    check_all(
        lambda: check_prompt_name(prompt.name),
        lambda: check_category(prompt.category),
        lambda: check_description(prompt.description),
        lambda: check_tags(prompt.tags),
        lambda: check_cache(prompt.cache),
        lambda: check_version(version, partials, catalog or _NO_MODELS),
        lambda: check_no_circle(prompt.name, version, partials),
        *_tests(document.tests),
    )
    # Only what can be read can be rendered.
    check_all(*_renderings(document, partials))


def read_prompts(files: Iterable[Path]) -> dict[str, tuple[Path, PromptDocument]]:
    """The prompts of the files by name. Raises PromptFileError, also for a name that two have."""
    found: dict[str, tuple[Path, PromptDocument]] = {}
    for file in files:
        document = read_prompt(file)
        name = document.prompt.name
        if name in found:
            raise PromptFileError(file, [f"{found[name][0]} has the name {name} already"])
        found[name] = (file, document)
    return found


def read_included(
    files: Mapping[str, tuple[Path, PromptDocument]],
) -> dict[str, tuple[Path, PromptDocument]]:
    """The files, and those beside them that they include, directly or through others.

    Raises PromptFileError.
    """
    found = dict(files)
    waiting = list(files.values())
    while waiting:
        file, document = waiting.pop()
        for name in included(document):
            beside = file.with_name(f"{name}.yaml")
            if name not in found and beside.exists():
                found[name] = (beside, read_prompt(beside))
                waiting.append(found[name])
    return found


def check_file(
    file: Path,
    document: PromptDocument,
    partials: tuple[PromptPartial, ...],
    catalog: ModelCatalog | None = None,
) -> None:
    """As ``check_document``, but raises PromptFileError."""
    try:
        check_document(document, partials, catalog)
    except BadUserInput as error:
        raise PromptFileError(file, describe_problem(error)) from error


def _tests(tests: tuple[PromptTestDraft, ...]) -> Iterable[Callable[[], None]]:
    """A check for each."""
    names = [test.name for test in tests]

    def checking(index: int, test: PromptTestDraft) -> Callable[[], None]:
        def check() -> None:
            at = ("tests", str(index))
            if test.name in names[:index]:
                raise BadUserInput(f"Two tests have the name {test.name}.", path=(*at, "name"))
            check_draft(test, at)

        return check

    return [checking(index, test) for index, test in enumerate(tests)]


def _renderings(
    document: PromptDocument, partials: tuple[PromptPartial, ...]
) -> Iterable[Callable[[], None]]:
    version = version_of(document.prompt.version, partials)

    def rendering(index: int, test: PromptTestDraft) -> Callable[[], None]:
        def render() -> None:
            try:
                render_prompt(version, test.variables)
            except BadUserInput as problem:
                raise problem.within("tests", str(index)) from None

        return render

    return [rendering(index, test) for index, test in enumerate(document.tests)]
