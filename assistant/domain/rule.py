"""Routing rules: which requests go to which models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from assistant.domain.model import TaskType
from assistant.domain.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A row of ``model_routing_rules``: when ``conditions`` hold, ``models`` are tried in order.

    Lower priorities are tried first. ``models`` are model ids, names without a provider, or
    groups. ``conditions`` are of the language in ``services/rules.py``.
    """

    id: UUID
    tenant_id: str
    name: str
    priority: int
    conditions: JsonObject
    models: tuple[str, ...]
    created_at: datetime
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """What an administrator says of a rule, new or instead of what it was."""

    name: str
    priority: int
    conditions: JsonValue
    models: tuple[str, ...]
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a rule can look at of a request. None where the request has no such thing.

    ``language`` is ISO 639-1, as in "de"; ``hour`` is 0 to 23 in UTC.
    """

    prompt_category: str | None = None
    prompt_name: str | None = None
    task: TaskType = TaskType.GENERAL
    tags: tuple[str, ...] = ()
    max_tokens: int | None = None
    estimated_prompt_tokens: int = 0
    requires_accuracy: bool = False
    service_id: str | None = None
    user_id: str | None = None
    feature: str | None = None
    language: str | None = None
    has_response_schema: bool = False
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    hour: int = 0
