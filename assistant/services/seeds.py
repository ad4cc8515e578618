"""Reads the shipped catalog from its YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import assistant
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import Model, ModelGroup, ProviderConfig, TaskType
from assistant.domain.prompt import PromptDraft, PromptVariable, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.seed import Seed, SeedRule
from assistant.errors import BadUserInput
from assistant.services.rendering import check_templates
from assistant.services.rules import check_conditions

SEEDS = Path(assistant.__file__).parent.parent / "seeds"


class SeedError(Exception):
    """A seed file is wrong; the message names the file and what is wrong with it."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_File):
    name: str
    priority: int
    conditions: dict[str, Any]
    models: tuple[str, ...]


class _ModelsFile(_File):
    providers: tuple[ProviderConfig, ...]
    models: tuple[Model, ...]
    groups: tuple[ModelGroup, ...]
    rules: tuple[_Rule, ...] = ()


class _PromptFile(_File):
    name: str
    category: str
    description: str
    template: str
    tags: tuple[str, ...] = ()
    system_template: str | None = None
    variables: tuple[PromptVariable, ...] = ()
    task: TaskType = TaskType.GENERAL
    parameters: GenerationParameters = GenerationParameters()
    response_schema: dict[str, Any] | None = None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR


F = TypeVar("F", bound=_File)


def read_seeds(folder: Path = SEEDS) -> Seed:
    """Everything under ``folder``: ``models.yaml`` and ``prompts/*.yaml``. Raises SeedError."""
    catalog = _read(_ModelsFile, folder / "models.yaml")
    return Seed(
        providers=catalog.providers,
        models=catalog.models,
        groups=catalog.groups,
        prompts=tuple(_read_prompt(path) for path in sorted((folder / "prompts").glob("*.yaml"))),
        rules=tuple(map(_rule, catalog.rules)),
    )


def _rule(found: _Rule) -> SeedRule:
    try:
        check_conditions(found.conditions)
    except BadUserInput as error:
        raise SeedError(f"models.yaml: rules.{found.name}: {error.message}") from error
    return SeedRule(**{name: getattr(found, name) for name in _Rule.model_fields})


def _read_prompt(path: Path) -> PromptDocument:
    found = _read(_PromptFile, path)
    try:
        check_templates(found.template, found.system_template, found.variables)
    except BadUserInput as error:
        raise SeedError(f"{path.name}: {error.message}") from error
    version = VersionDraft(
        template=found.template,
        system_template=found.system_template,
        variables=found.variables,
        task=found.task,
        parameters=found.parameters,
        response_schema=found.response_schema,
        on_interruption=found.on_interruption,
    )
    return PromptDocument(
        PromptDraft(found.name, found.category, version, found.description, found.tags)
    )


def _read(file: type[F], path: Path) -> F:
    try:
        return file.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise SeedError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise SeedError(f"{path.name}: {problems}") from error
