"""What a request's answer is looked up by: everything that shapes it, and one text that may differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from unicodedata import normalize
from uuid import UUID

from assistant.domain.cache import (
    CacheKey,
    CachePolicy,
    CacheSettings,
    CacheSharing,
    FlightKey,
)
from assistant.domain.completion import CompletionRequest, Message, MessageRole
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.values import JsonValue
from assistant.services.canonical_json import as_json, digest
from assistant.services.selection import (
    on_interruption_of,
    parameters_of,
    response_schema_of,
)

# Part of every key: another way to make them must not meet the old ones.
_FORM = "1"
TEXT_SEPARATOR = "\x1e"
"""Between the texts of a wording that are variables; no text that may differ holds it."""
# 256 word pieces, of which few have more than eight characters; reading more would take the time.
_LONGEST_WORDING = 2_000

# What only one person can be meant by. Rough on purpose: what looks like it is not shared.
# Every repetition is bounded, and none can begin where another one of the same may go on.
_PERSONAL = re.compile(
    r"[\w+-] ?(?:@|[\[(]at[\])]) ?[\w-]{1,63} ?(?:\.|[\[(]dot[\])])"  # e-mail
    r"|(?<![\w.])\+?\d(?:[ ./()-]{0,2}\d){7,18}(?![\w])"  # telephone, card, account, social security
    r"|\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}"  # IBAN
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"  # IPv4
    r"|\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b"  # IPv6
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request as the cache sees it. ``flight`` tells those apart that cannot share one call."""

    key: CacheKey
    flight: FlightKey
    settings: CacheSettings


def why_not_kept(request: CompletionRequest, prompt: RenderedPrompt) -> str | None:
    """Why the cache has no part in ``request``, for people; None where it has."""
    settings = settings_of(prompt)
    if request.cache is CachePolicy.BYPASS:
        return "The request asked to bypass the cache."
    if request.unsaved is not None:
        return "The prompt is a draft of files; its answers are not kept."
    if settings.ttl_s == 0:
        return "The prompt's answers are not kept (ttlSeconds is 0)."
    temperature = parameters_of(request, prompt).temperature
    if temperature is not None and temperature > settings.max_temperature:
        return (
            f"The temperature, {temperature:g}, is above {settings.max_temperature:g}: another "
            "answer is wanted each time."
        )
    if settings.sharing is CacheSharing.TENANT and _is_personal(prompt):
        return "The prompt's answers are shared, and this request looks personal."
    return None


def settings_of(prompt: RenderedPrompt) -> CacheSettings:
    """How answers to ``prompt`` are kept."""
    return prompt.prompt.cache if prompt.prompt is not None else _USUAL


_USUAL = CacheSettings()


def exact_key_of(request: CompletionRequest, prompt: RenderedPrompt) -> CacheKey:
    """What the very same request is looked up by.

    What only decides which model is asked (feature, metadata, the rules) is not in it: whether the
    model of a kept answer is the right one is asked when it is found.
    """
    exact = digest([*_how(request, prompt), _said(prompt.messages), prompt.variables])
    return CacheKey(request.caller.tenant_id, exact)


def question_of(
    request: CompletionRequest,
    prompt: RenderedPrompt,
    exact: CacheKey,
    id_: UUID,
    embedder_id: str,
    *,
    has_rules: bool = False,
) -> Question:
    """Everything that ``request`` is looked up by; ``id_`` is the completion that asks.

    Who asks and how the answer is to be go into both keys, the wording into ``exact`` alone.
    ``has_rules``: what rules look at may send requests that are otherwise the same to different
    models. These cannot share a call, because nobody asks which model is right once it runs.
    """
    settings = settings_of(prompt)
    wording, rest = _wording(request, prompt, settings)
    if wording is not None:
        scope = digest([*_how(request, prompt), rest, embedder_id])
        exact = replace(exact, scope=scope, wording=wording)
    timeout_ms = parameters_of(request, prompt).timeout_ms
    # A refresh wants an answer that nobody has begun to make before it was asked for.
    is_refresh = request.cache is CachePolicy.REFRESH
    flight = digest(
        [
            exact.exact.hex(),
            timeout_ms,
            on_interruption_of(request, prompt),
            is_refresh,
            _seen_by_rules(request) if has_rules else None,
        ]
    )
    return Question(exact, FlightKey(exact.tenant_id, flight, id_), settings)


def _seen_by_rules(request: CompletionRequest) -> list[JsonValue]:
    """What rules look at and the keys leave out."""
    caller = request.caller
    return [caller.user_id, caller.service_id, request.feature, request.metadata]


def _how(request: CompletionRequest, prompt: RenderedPrompt) -> list[JsonValue]:
    """Who asks, and how the answer is to be."""
    version, parameters = prompt.version, parameters_of(request, prompt)
    return [
        _FORM,
        request.caller.tenant_id,
        _asker(request, settings_of(prompt)),
        str(version.id) if version else None,
        request.model or (version.model if version else None),
        request.strategy,
        request.requires_accuracy,
        parameters.temperature,
        parameters.top_p,
        parameters.max_tokens,
        parameters.stop,
        parameters.seed,
        response_schema_of(request, prompt),
        prompt.task,
    ]


def _asker(request: CompletionRequest, settings: CacheSettings) -> list[JsonValue]:
    """Whose entries these are: a user's through whichever service, else a service's."""
    caller = request.caller
    if settings.sharing is CacheSharing.TENANT:
        return ["tenant"]
    if caller.user_id is not None:
        return ["user", caller.user_id]
    return ["service", caller.service_id]


def _wording(
    request: CompletionRequest, prompt: RenderedPrompt, settings: CacheSettings
) -> tuple[str | None, JsonValue]:
    """The one text whose wording may differ, and everything else that is said; None: there is none.

    Of a prompt it is the variables that its settings name, else the only variable it has. Its
    own words around them are the same for everybody, and would make all questions look alike.
    """
    if request.cache is CachePolicy.EXACT_ONLY or not settings.is_semantic:
        return None, None
    *before, last = prompt.messages
    if last.role is not MessageRole.USER:
        return None, None
    if prompt.version is None:
        return (last.content, _said(before)) if _may_differ(last.content) else (None, None)
    names = [name for name in settings.variables if name in prompt.variables]
    if not settings.variables and len(prompt.variables) == 1:
        names = list(prompt.variables)
    texts = [text for name in names if isinstance(text := prompt.variables[name], str)]
    if not texts or len(texts) != len(names) or not all(map(_may_differ, texts)):
        return None, None
    others = {name: value for name, value in prompt.variables.items() if name not in names}
    return TEXT_SEPARATOR.join(texts), [_said(before), names, others]


def _may_differ(text: str) -> bool:
    """Whether there is something to compare, and not more than fits an embedder."""
    return bool(text.strip()) and len(text) <= _LONGEST_WORDING and TEXT_SEPARATOR not in text


def _said(messages: Sequence[Message]) -> list[JsonValue]:
    return [[m.role, m.content, m.tool_call_id] for m in messages]


def _is_personal(prompt: RenderedPrompt) -> bool:
    # What callers say, wherever a prompt prints it; not the prompt's own system message.
    texts = [m.content for m in prompt.messages if m.role is not MessageRole.SYSTEM]
    texts.append(as_json(prompt.variables))
    return any(_PERSONAL.search(normalize("NFKC", text)) for text in texts)
