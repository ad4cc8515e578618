"""Prompts as files: one prompt each, in YAML, with its wording and its tests.

What is written reads back as what it was; what is left out of a file is what is usual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import get_annotations
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptDraft, PromptVariable, VariableType, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    Assertion,
    PromptTestDraft,
    assertion_json,
    assertion_of,
)
from assistant.domain.values import JsonObject
from assistant.domain.values import JsonValue as OurJsonValue
from assistant.errors import BadUserInput
from assistant.services.prompt_yaml import Compact, LiteralText, YamlError, read_yaml, write_yaml

_SUFFIXES = (".yaml", ".yml")

# Pydantic's words for a key that nobody asked for.
_UNKNOWN: Final = ("extra_forbidden", "unexpected_keyword_argument")


class PromptFileError(Exception):
    """A file is no prompt; ``problems`` say each in one line what is wrong with it."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(f"{path}: {'; '.join(problems)}")
        self.path = path
        self.problems = tuple(problems)


def find_prompt_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files among ``paths``, and those of prompts in the folders among them; each once.

    Raises PromptFileError for a path that leads nowhere, and for a folder without prompts.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise PromptFileError(path, ["there is no such file or folder"])
            found[path] = None
            continue
        files = prompt_files_in(path)
        if not files:
            raise PromptFileError(path, ["holds no prompts: no file of it ends in .yaml"])
        found |= dict.fromkeys(files)
    return tuple(found)


def prompt_files_in(folder: Path) -> Sequence[Path]:
    """The folder's own files that may hold prompts, by name. Raises PromptFileError."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES)
    except OSError as error:
        raise PromptFileError(folder, [f"cannot be read: {error.strerror}"]) from error


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _TestCase(_Part):
    name: str
    variables: dict[str, JsonValue] = {}
    assertions: tuple[JsonValue, ...]


class _Cache(_Part):
    ttl_seconds: int | None = None
    min_similarity: float = CacheSettings().min_similarity
    max_temperature: float = CacheSettings().max_temperature
    sharing: CacheSharing = CacheSettings().sharing
    is_semantic: bool = CacheSettings().is_semantic
    variables: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: CacheSettings) -> Self:
        return cls(
            ttl_seconds=settings.ttl_s,
            min_similarity=settings.min_similarity,
            max_temperature=settings.max_temperature,
            sharing=settings.sharing,
            is_semantic=settings.is_semantic,
            variables=settings.variables,
        )

    def to_domain(self) -> CacheSettings:
        return CacheSettings(
            ttl_s=self.ttl_seconds,
            min_similarity=self.min_similarity,
            max_temperature=self.max_temperature,
            sharing=self.sharing,
            is_semantic=self.is_semantic,
            variables=self.variables,
        )


class _PromptFile(_Part):
    name: str
    category: str
    template: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    publish_requires_tests: bool = False
    cache: _Cache = _Cache()
    task: TaskType = TaskType.GENERAL
    model: str | None = None
    system_template: str | None = None
    variables: tuple[PromptVariable, ...] = ()
    parameters: GenerationParameters = GenerationParameters()
    response_schema: dict[str, JsonValue] | None = None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR
    tests: tuple[_TestCase, ...] = ()


# Fields as the API calls them, and as files do.
_CAMEL_CASE = re.compile(r"\b[a-z]+(?:[A-Z][a-z]*)+\b")
_FIELDS = {
    re.sub("_(.)", lambda found: found[1].upper(), field): field
    for part in (
        _PromptFile.model_fields,
        _Cache.model_fields,
        *map(get_annotations, (PromptVariable, GenerationParameters)),
    )
    for field in part
}


def read_prompt(path: Path) -> PromptDocument:
    """What the file says. Whether its templates and tests make sense is for others to check.

    Raises PromptFileError.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PromptFileError(path, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise PromptFileError(path, ["cannot be read: it is not UTF-8"]) from error
    except YamlError as error:
        raise PromptFileError(path, [f"cannot be read: {error}"]) from error
    if not isinstance(content, dict):
        raise PromptFileError(path, ["holds no prompt; it needs name, category and template"])
    try:
        found = _PromptFile.model_validate(content)
    except ValidationError as error:
        raise PromptFileError(path, validation_problems(error)) from error
    return PromptDocument(
        PromptDraft(
            name=found.name,
            category=found.category,
            version=_wording(found),
            description=found.description,
            tags=found.tags,
            publish_requires_tests=found.publish_requires_tests,
            cache=found.cache.to_domain(),
        ),
        _read_tests(path, found.tests),
    )


def validation_problems(error: ValidationError) -> Sequence[str]:
    """One line for each thing that is wrong with what a file holds."""
    return [
        f"{'.'.join(map(str, problem['loc']))}: "
        f"{'there is no such key' if problem['type'] in _UNKNOWN else problem['msg']}"
        for problem in error.errors()
    ]


def _wording(found: _PromptFile) -> VersionDraft:
    return VersionDraft(
        template=found.template,
        system_template=found.system_template,
        variables=found.variables,
        task=found.task,
        model=found.model,
        parameters=found.parameters,
        response_schema=found.response_schema,
        on_interruption=found.on_interruption,
    )


def _read_tests(path: Path, found: Sequence[_TestCase]) -> tuple[PromptTestDraft, ...]:
    tests: list[PromptTestDraft] = []
    problems: list[str] = []
    for index, case in enumerate(found):
        assertions: list[Assertion] = []
        for number, given in enumerate(case.assertions):
            at = ("tests", str(index), "assertions", str(number))
            try:
                assertions.append(assertion_of(given, at))
            except BadUserInput as error:
                problems += describe_problem(error)
        tests.append(PromptTestDraft(case.name, case.variables, tuple(assertions)))
    if problems:
        raise PromptFileError(path, problems)
    return tuple(tests)


def describe_problem(error: BadUserInput) -> Sequence[str]:
    """One line for each thing that is wrong, in the words that files use: ``system_template``."""
    return [_described(problem) for problem in error.every]


def _described(problem: BadUserInput) -> str:
    where = ".".join(_FIELDS.get(part, part) for part in problem.path)
    message = _CAMEL_CASE.sub(lambda found: _FIELDS.get(found[0], found[0]), problem.message)
    return message if where in message else f"{where}: {message}"


# ------------------------------------------------------------------------- writing


def write_prompt(document: PromptDocument) -> str:
    """The file of a prompt; what is usual is left out, and so is the change note."""
    prompt = document.prompt
    about = {
        "name": prompt.name,
        "description": prompt.description,
        "category": prompt.category,
        "tags": prompt.tags or None,
        "publish_requires_tests": prompt.publish_requires_tests or None,
        "cache": Compact(_Cache.of(prompt.cache).model_dump(mode="json", exclude_defaults=True))
        or None,
    }
    tests = {"tests": [case_content(test) for test in document.tests] or None}
    return write_yaml(_given(about) | wording_content(prompt.version) | _given(tests))


def wording_content(version: VersionDraft) -> dict[str, OurJsonValue]:
    """The part of a file that makes a version."""
    is_general, is_error = TaskType.GENERAL, InterruptionPolicy.ERROR
    system = version.system_template
    return _given(
        {
            "task": None if version.task is is_general else version.task.value,
            "model": version.model,
            "system_template": None if system is None else LiteralText(system),
            "template": LiteralText(version.template),
            "variables": [_variable_content(one) for one in version.variables] or None,
            "parameters": _parameters_content(version.parameters) or None,
            "response_schema": version.response_schema,
            "on_interruption": None
            if version.on_interruption is is_error
            else version.on_interruption.value,
        }
    )


def case_content(test: PromptTestDraft) -> JsonObject:
    """A test as files have it."""
    return _given(
        {
            "name": test.name,
            "variables": {name: _compact(value) for name, value in test.variables.items()} or None,
            "assertions": [_assertion_content(assertion) for assertion in test.assertions],
        }
    )


def _assertion_content(assertion: Assertion) -> JsonObject:
    return {kind: _compact(asked) for kind, asked in assertion_json(assertion).items()}


def _compact(value: OurJsonValue) -> OurJsonValue:
    if isinstance(value, Mapping):
        return Compact({name: _compact(item) for name, item in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_compact(item) for item in value]
    return value


def _variable_content(variable: PromptVariable) -> JsonObject:
    return _given(
        {
            "name": variable.name,
            "description": variable.description,
            "type": None if variable.type is VariableType.ANY else variable.type.value,
            "is_required": None if variable.is_required else False,
            "default_value": variable.default_value,
        }
    )


def _parameters_content(parameters: GenerationParameters) -> JsonObject:
    return _given(
        {name: getattr(parameters, name) for name in GenerationParameters.__dataclass_fields__}
    )


def _given(content: JsonObject) -> dict[str, OurJsonValue]:
    return {name: value for name, value in content.items() if value is not None}
