"""Reads the shipped catalog from its YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import assistant
from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.prompt import PromptPartial
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.seed import Seed, SeedRule
from assistant.errors import BadUserInput
from assistant.services.prompt_document_checks import check_file, read_prompts
from assistant.services.prompt_file_partials import Circle, partials_of
from assistant.services.prompt_files import (
    PromptFileError,
    prompt_files_in,
    validation_problems,
)
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


F = TypeVar("F", bound=_File)


def read_seeds(folder: Path = SEEDS) -> Seed:
    """Everything under ``folder``: ``models.yaml`` and ``prompts/*.yaml``. Raises SeedError."""
    catalog = _read(_ModelsFile, folder / "models.yaml")
    prompts, partials = _read_prompts(folder / "prompts")
    return Seed(
        providers=catalog.providers,
        models=catalog.models,
        groups=catalog.groups,
        prompts=prompts,
        rules=tuple(map(_rule, catalog.rules)),
        partials=partials,
    )


def _rule(found: _Rule) -> SeedRule:
    try:
        check_conditions(found.conditions)
    except BadUserInput as error:
        raise SeedError(f"models.yaml: rules.{found.name}: {error.message}") from error
    return SeedRule(**{name: getattr(found, name) for name in _Rule.model_fields})


def _read_prompts(
    folder: Path,
) -> tuple[tuple[PromptDocument, ...], Mapping[str, tuple[PromptPartial, ...]]]:
    """The prompts, each after those that it includes, and what each includes."""
    try:
        files = read_prompts(prompt_files_in(folder))
        documents = {name: document for name, (_, document) in files.items()}
        partials = partials_of(documents, {})
        for name, (file, document) in files.items():
            check_file(file, document, partials[name])
    except (PromptFileError, Circle) as error:
        raise SeedError(str(error)) from error
    return tuple(documents[name] for name in partials), partials


def _read(file: type[F], path: Path) -> F:
    try:
        return file.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise SeedError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise SeedError(f"{path.name}: {'; '.join(validation_problems(error))}") from error
