"""Which models are considered for a request, in which order: by name, by rule, or all there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from assistant.domain.completion import (
    CompletionRequest,
    GenerationParameters,
    InterruptionPolicy,
    MessageRole,
)
from assistant.domain.model import Model, RoutingStrategy, full_name
from assistant.domain.ports import Clock, LanguageDetector, ModelCatalog
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.route import RuleVerdict
from assistant.domain.rule import RoutingRule, RuleFacts
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput, NotFound
from assistant.services.bounded_cache import BoundedCache
from assistant.services.ranking import Ranking
from assistant.services.rules import CompiledRule, compile_rule, ordered

log = structlog.get_logger(__name__)

_AFTER_RULE = 1


@dataclass(frozen=True, slots=True)
class Member:
    """A model that a name stands for. ``tier`` is how many fallbacks it took to get to it."""

    model: Model
    tier: int
    is_hedged: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """What is considered, in order.

    ``tiers`` and ``hedged`` are by model id, as in ``Candidate``; who is in none of the tiers is
    in the first. ``name`` is the request's or the prompt's own.
    """

    models: tuple[Model, ...]
    tiers: Mapping[str, int] = field(default_factory=dict)
    hedged: frozenset[str] = frozenset()
    name: str | None = None
    rule_name: str | None = None
    verdicts: tuple[RuleVerdict, ...] = ()
    strategy: RoutingStrategy | None = None


class Selector:
    """Finds what is named; else the first rule that holds decides who comes first."""

    def __init__(self, ranking: Ranking, languages: LanguageDetector, clock: Clock) -> None:
        self._ranking = ranking
        self._languages = languages
        self._clock = clock
        self._compiled: BoundedCache[str, tuple[Sequence[RoutingRule], list[CompiledRule]]] = (
            BoundedCache(1_000)
        )

    async def select(
        self,
        request: CompletionRequest,
        prompt: RenderedPrompt,
        catalog: ModelCatalog,
        *,
        usable: bool,
    ) -> Selection:
        """The models to consider. ``usable`` leaves out what nobody may use, unless it is named.

        Raises: NotFound for a name that nothing has.
        """
        name = request.model or (prompt.version.model if prompt.version else None)
        if name is not None:
            return self._named(name, request.strategy, catalog)
        tenant_id = request.caller.tenant_id
        rule, verdicts = await self._decide(self._rules(tenant_id, catalog), request, prompt)
        members = [] if rule is None else resolve(rule.models, catalog)
        strategy = request.strategy
        if strategy is None and rule is not None and len(rule.models) == 1:
            strategy = _group_strategy(rule.models[0], catalog)
        chosen = self._sorted(members, strategy, catalog)
        ids = {member.model.id for member in members}
        # After the rule's models the others: an answer is given whenever any model can.
        every = self._ranking.every(
            tenant_id, catalog, strategy or RoutingStrategy.LOCAL_FIRST, usable=usable
        )
        rest = every if rule is None else [model for model in every if model.id not in ids]
        return Selection(
            (*chosen, *rest),
            tiers={} if rule is None else {model.id: _AFTER_RULE for model in rest},
            hedged=frozenset(member.model.id for member in members if member.is_hedged),
            rule_name=rule.name if rule else None,
            verdicts=verdicts,
            strategy=strategy,
        )

    def _named(
        self, name: str, strategy: RoutingStrategy | None, catalog: ModelCatalog
    ) -> Selection:
        members = resolve((name,), catalog)
        if not members and name not in catalog.groups:
            known = ", ".join(sorted([*catalog.models, *catalog.groups]))
            raise NotFound(
                f"There is no model or model group named '{name[:80]}'. Known: {known[:2_000]}."
            )
        strategy = strategy or _group_strategy(name, catalog)
        return Selection(
            tuple(self._sorted(members, strategy, catalog)),
            tiers={member.model.id: member.tier for member in members},
            hedged=frozenset(member.model.id for member in members if member.is_hedged),
            name=name,
            strategy=strategy,
        )

    def _sorted(
        self, members: Sequence[Member], strategy: RoutingStrategy | None, catalog: ModelCatalog
    ) -> list[Model]:
        """As they are listed, unless a strategy says otherwise; a fallback's after the others."""
        if strategy is not None:
            members = sorted(
                members,
                key=lambda m: (m.tier, *self._ranking.key(m.model, strategy, catalog)),
            )
        return [member.model for member in members]

    # -------------------------------------------------------------------------- rules

    def _rules(self, tenant_id: str, catalog: ModelCatalog) -> list[CompiledRule]:
        """The catalog's rules, ready to be asked, in the order of trying."""
        kept = self._compiled.get(tenant_id)
        if kept is not None and kept[0] is catalog.rules:
            return kept[1]
        compiled = []
        for rule in ordered(rule for rule in catalog.rules if rule.is_enabled):
            try:
                compiled.append(compile_rule(rule))
            except BadUserInput as error:
                # Written by another version of the service: it decides nothing here.
                log.warning("routing_rule_unreadable", rule=rule.name, reason=error.message)
        self._compiled.put(tenant_id, (catalog.rules, compiled))
        return compiled

    async def _decide(
        self, rules: Sequence[CompiledRule], request: CompletionRequest, prompt: RenderedPrompt
    ) -> tuple[RoutingRule | None, tuple[RuleVerdict, ...]]:
        if not rules:
            return None, ()
        facts = await self._facts(rules, request, prompt)
        verdicts = []
        for compiled in rules:
            failed = compiled.failed_condition(facts)
            verdicts.append(RuleVerdict(compiled.rule.name, failed))
            if failed is None:
                return compiled.rule, tuple(verdicts)
        return None, tuple(verdicts)

    async def _facts(
        self, rules: Sequence[CompiledRule], request: CompletionRequest, prompt: RenderedPrompt
    ) -> RuleFacts:
        language = None
        if any(rule.needs_language for rule in rules):
            language = await self._languages.detect(_last_words(prompt))
        about = prompt.prompt
        return RuleFacts(
            prompt_category=about.category if about else None,
            prompt_name=about.name if about else None,
            task=prompt.task,
            tags=about.tags if about else (),
            max_tokens=parameters_of(request, prompt).max_tokens,
            estimated_prompt_tokens=prompt.estimated_tokens,
            requires_accuracy=request.requires_accuracy,
            service_id=request.caller.service_id,
            user_id=request.caller.user_id,
            feature=request.feature,
            language=language,
            has_response_schema=response_schema_of(request, prompt) is not None,
            metadata=request.metadata if isinstance(request.metadata, Mapping) else {},
            hour=self._clock.now().hour,
        )


def parameters_of(request: CompletionRequest, prompt: RenderedPrompt) -> GenerationParameters:
    """How to generate: as the request says, else as the prompt does."""
    version = prompt.version
    return request.parameters.over(version.parameters) if version else request.parameters


def is_ruled(request: CompletionRequest, prompt: RenderedPrompt, catalog: ModelCatalog) -> bool:
    """Whether rules have a say in who answers: neither request nor prompt names a model."""
    name = request.model or (prompt.version.model if prompt.version else None)
    return name is None and any(rule.is_enabled for rule in catalog.rules)


def on_interruption_of(request: CompletionRequest, prompt: RenderedPrompt) -> InterruptionPolicy:
    """What to do with an answer that broke off: as the request says, else as the prompt does."""
    asked = request.on_interruption
    if asked is InterruptionPolicy.ERROR and prompt.version is not None:
        return prompt.version.on_interruption
    return asked


def response_schema_of(request: CompletionRequest, prompt: RenderedPrompt) -> JsonObject | None:
    """The schema that the answer must satisfy: the request's own, else the prompt's."""
    if request.response_schema is not None:
        return request.response_schema
    return prompt.version.response_schema if prompt.version else None


def resolve(names: Iterable[str], catalog: ModelCatalog) -> list[Member]:
    """The models that ``names`` stand for, each once.

    A name is a model's id, a group (with its fallbacks), or a model's own name without provider.
    """
    members: dict[str, Member] = {}
    visited: set[str] = set()
    waiting = [(name, 0) for name in names]
    while waiting:
        name, tier = waiting.pop(0)
        group = None if name in catalog.models else catalog.groups.get(name)
        if group is None:
            found = _by_name(name, catalog)
        elif name in visited:
            continue
        else:
            visited.add(name)
            found = [model for member in group.models for model in _by_name(member, catalog)]
            if group.fallback_group is not None:
                waiting.insert(0, (group.fallback_group, tier + 1))
        is_hedged = group is not None and group.is_hedged
        for model in found:
            members.setdefault(model.id, Member(model, tier, is_hedged))
    return list(members.values())


def _by_name(name: str, catalog: ModelCatalog) -> list[Model]:
    # Ollama's own names end in a tag, and nobody writes ":latest".
    for id_ in (name, full_name(name)):
        if id_ in catalog.models:
            return [catalog.models[id_]]
    names = (name, full_name(name))
    return sorted((m for m in catalog.models.values() if m.name in names), key=lambda m: m.id)


def _group_strategy(name: str, catalog: ModelCatalog) -> RoutingStrategy | None:
    group = None if name in catalog.models else catalog.groups.get(name)
    return group.strategy if group else None


def _last_words(prompt: RenderedPrompt) -> str:
    """What the user says: its language is the request's."""
    said = (m.content for m in reversed(prompt.messages) if m.role is MessageRole.USER)
    return next(said, "")
