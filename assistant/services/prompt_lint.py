"""Looks through files of prompts for what is wrong with them, and for what could be better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.domain.prompt import PromptPartial, VariableType
from assistant.domain.prompt_document import PromptDocument
from assistant.errors import BadUserInput
from assistant.services.prompt_document_checks import check_document
from assistant.services.prompt_file_partials import Circle, included, partials_of
from assistant.services.prompt_files import (
    PromptFileError,
    describe_problem,
    prompt_files_in,
    read_prompt,
)

_ASKS_FOR_JSON = re.compile(r"\bJSON (?:object|array|list|document|value)?\b|\b(?:as|in) JSON\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a file; a warning where ``is_problem`` is not so."""

    file: Path
    text: str
    is_problem: bool = True


@dataclass(frozen=True, slots=True)
class _Files:
    """The prompts that could be read, by name, where each is, and the files that could not."""

    documents: Mapping[str, PromptDocument]
    places: Mapping[str, Path]
    unreadable: frozenset[str]


def lint(files: Sequence[Path]) -> Sequence[Finding]:
    """What is to be said of ``files``, in their order, problems first.

    What they include is looked for among the other files of their folders. No database is needed:
    whether a model exists, or what a version of a number says, only a catalog can tell.
    """
    findings: list[Finding] = []
    found = _read(files, findings)
    unknown = _unknown_here(found)
    partials: Mapping[str, tuple[PromptPartial, ...]] = {}
    try:
        partials = partials_of(found.documents, unknown)
    except Circle as circle:
        findings.append(Finding(found.places[circle.name], circle.message))
    for name, document in found.documents.items():
        file = found.places[name]
        if file not in files:
            continue
        if name in partials:
            findings += _problems(
                file, _seen_whole(document, partials[name], unknown), partials[name]
            )
        findings += _warnings(file, document, unknown)
    place = {file: index for index, file in enumerate(files)}
    wanted = (finding for finding in findings if finding.file in place)
    return sorted(wanted, key=lambda one: (place[one.file], not one.is_problem))


def _read(files: Sequence[Path], findings: list[Finding]) -> _Files:
    documents: dict[str, PromptDocument] = {}
    places: dict[str, Path] = {}
    unreadable: set[str] = set()
    folders = dict.fromkeys(file.parent for file in files)
    beside = [other for folder in folders for other in prompt_files_in(folder)]
    for file in dict.fromkeys([*files, *beside]):
        try:
            document = read_prompt(file)
        except PromptFileError as error:
            unreadable.add(file.stem)
            findings += [Finding(file, problem) for problem in error.problems]
            continue
        name = document.prompt.name
        if name in places:
            findings.append(Finding(file, f"{places[name]} has the name {name} already"))
            continue
        documents[name], places[name] = document, file
    return _Files(documents, places, frozenset(unreadable))


def _unknown_here(found: _Files) -> Mapping[str, PromptPartial]:
    """Stand-ins for what is included and may well be right, but cannot be read here."""
    return {
        used_as: PromptPartial(used_as, used_as.partition("@")[0], 0, "")
        for document in found.documents.values()
        for used_as in included(document)
        if "@" in used_as or used_as in found.unreadable - found.documents.keys()
    }


def _seen_whole(
    document: PromptDocument,
    partials: tuple[PromptPartial, ...],
    unknown: Mapping[str, PromptPartial],
) -> PromptDocument:
    """The document as if what is unknown used every variable: then none is called unused."""
    if not _includes_any(partials, unknown):
        return document
    version = document.prompt.version
    uses = "".join(f"{{{{#{one.name}}}}}{{{{/{one.name}}}}}" for one in version.variables)
    version = replace(version, template=f"{version.template}{uses}")
    return replace(document, prompt=replace(document.prompt, version=version))


def _includes_any(
    partials: tuple[PromptPartial, ...], unknown: Mapping[str, PromptPartial]
) -> bool:
    return any(
        partial.used_as in unknown or _includes_any(partial.partials, unknown)
        for partial in partials
    )


def _problems(
    file: Path, document: PromptDocument, partials: tuple[PromptPartial, ...]
) -> Iterable[Finding]:
    name = document.prompt.name
    if name != file.stem:
        yield Finding(file, f"the name is {name}, so the file must be {name}.yaml")
    try:
        check_document(document, partials)
    except BadUserInput as error:
        yield from (Finding(file, problem) for problem in describe_problem(error))


def _warnings(
    file: Path, document: PromptDocument, unknown: Mapping[str, PromptPartial]
) -> Iterable[Finding]:
    prompt, version = document.prompt, document.prompt.version
    found: list[str] = []
    if not prompt.description:
        found.append("no description says what it is for")
    if not document.tests:
        found.append("no tests show that it works")
    untyped = [one.name for one in version.variables if one.type is VariableType.ANY]
    if untyped:
        found.append(f"no type for {', '.join(untyped)}: callers may send anything")
    unexplained = [one.name for one in version.variables if not one.description]
    if unexplained:
        found.append(f"no description for {', '.join(unexplained)}")
    texts = f"{version.system_template or ''}\n{version.template}"
    if version.response_schema is None and _ASKS_FOR_JSON.search(texts):
        found.append("it asks for JSON, but no response_schema makes sure of it")
    if version.parameters.temperature is None:
        found.append("no temperature: each model has a default of its own")
    declared = {one.name for one in version.variables}
    passed_over = [name for name in prompt.cache.variables if name not in declared]
    if passed_over:
        found.append(f"cache.variables names {', '.join(passed_over)}, which it does not take")
    found += [
        f"{{{{> {used_as}}}}} is the catalog's and cannot be checked here"
        for used_as in included(document)
        if used_as in unknown
    ]
    return (Finding(file, text, is_problem=False) for text in found)
