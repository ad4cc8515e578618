"""What a seeded entry says, in a form that can be compared: as seeded, and as it is now."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

from assistant.adapters.postgres.prompt_rows import (
    cache_json,
    parameters_json,
    variables_json,
)
from assistant.adapters.postgres.prompt_test_rows import assertions_json
from assistant.domain.completion import InterruptionPolicy
from assistant.domain.model import Model, ModelGroup, ProviderConfig
from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptPartial,
    PromptVersion,
    VersionDraft,
)
from assistant.domain.prompt_test import PromptTestCase, PromptTestDraft
from assistant.domain.rule import RoutingRule
from assistant.domain.seed import SeedRule
from assistant.domain.values import JsonObject


def provider_content(provider: ProviderConfig) -> JsonObject:
    return {
        "kind": provider.kind,
        "base_url": provider.base_url,
        "api_key_variable": provider.api_key_variable,
        "is_local": provider.is_local,
        "is_enabled": provider.is_enabled,
        "max_concurrency": provider.max_concurrency,
    }


def model_content(model: Model) -> JsonObject:
    """Only what the row holds: not what the provider reports."""
    return {
        "capabilities": sorted(model.capabilities),
        "tasks": None if model.tasks is None else sorted(model.tasks),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "input_price": _exact(model.input_price),
        "output_price": _exact(model.output_price),
        "is_allowed": model.is_allowed,
        "preference": model.preference,
        "cached_input_price": _exact(model.cached_input_price),
    }


def group_content(group: ModelGroup) -> JsonObject:
    return {
        "models": group.models,
        "fallback_group": group.fallback_group,
        "strategy": group.strategy,
        # Said only where it is so, as what is None is left out: see `content_hash`.
        "is_hedged": group.is_hedged or None,
    }


def rule_content(rule: SeedRule | RoutingRule) -> JsonObject:
    return {
        "priority": rule.priority,
        # As a text in one order: the database keeps none for the keys of an object.
        "conditions": json.dumps(rule.conditions, sort_keys=True),
        "models": rule.models,
        "is_disabled": (isinstance(rule, RoutingRule) and not rule.is_enabled) or None,
    }


def prompt_content(prompt: PromptDraft | Prompt) -> JsonObject:
    """What describes a prompt, without its wording."""
    return {
        "category": prompt.category,
        "description": prompt.description,
        "tags": prompt.tags,
        "publish_requires_tests": prompt.publish_requires_tests or None,
        "cache": cache_json(prompt.cache),
    }


def wording_content(
    version: VersionDraft | PromptVersion, partials: tuple[PromptPartial, ...]
) -> JsonObject:
    """What a version says, with the texts that it includes, whatever number these have."""
    return {
        "template": version.template,
        "system_template": version.system_template,
        "variables": variables_json(version.variables),
        "task": version.task,
        "parameters": parameters_json(version.parameters),
        "response_schema": version.response_schema,
        # Left out where it is the usual one, so that old hashes hold.
        "on_interruption": (
            None if version.on_interruption is InterruptionPolicy.ERROR else version.on_interruption
        ),
        "model": version.model,
        "partials": [_included(partial) for partial in partials] or None,
    }


def case_content(case: PromptTestDraft | PromptTestCase) -> JsonObject:
    """What a test of a prompt asks and asserts."""
    return {
        "variables": case.variables,
        "assertions": assertions_json(case.assertions),
    }


def _included(partial: PromptPartial) -> JsonObject:
    return {
        "used_as": partial.used_as,
        "name": partial.name,
        "template": partial.template,
        "partials": [_included(inner) for inner in partial.partials],
    }


def content_hash(content: JsonObject) -> bytes:
    """SHA-256 of ``content``. What is None is left out, so that a new optional field changes no hash."""
    said = {name: value for name, value in content.items() if value is not None}
    return hashlib.sha256(json.dumps(said).encode()).digest()


def _exact(price: Decimal | None) -> str | None:
    """The same text for 0.1 and 0.10."""
    return None if price is None else f"{price.normalize():f}"
