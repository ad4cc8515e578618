"""Counts a prompt's tokens before a call: exactly where a model's vocabulary is at hand.

Where it is not, by what its provider has counted before; where that is too little, by two other
models' vocabularies. What providers report after a call teaches all three; see
docs/token-counting.md for how far off they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import structlog

from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import Model, ModelKey, ProviderConfig
from assistant.domain.ports import Clock, Tokenizer, Tokenizers, TokenSumsStore
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import TokenCount, TokenMethod, TokenSums
from assistant.errors import StorageUnavailable
from assistant.services.bounded_cache import BoundedCache
from assistant.services.token_calibration import Calibration
from assistant.services.token_features import GENERAL, Basis, CountedPrompt, Vector, own_basis

log = structlog.get_logger(__name__)

_Place: TypeAlias = tuple[ModelKey, str]  # a model and a basis

_SAVE_INTERVAL_S = 30.0
_LEARNING_PAUSE_S = 0.1

# What may take half a millisecond of those who wait for the event loop; a thread takes the rest.
_MOST_CHARACTERS_ON_THE_LOOP = 2_000
_MOST_CHARACTERS_IF_QUICK = 10_000
_MOST_CHARACTERS_TO_LEARN_FROM_ANEW = 20_000

# A report beyond these times what was expected counts something else: part of the prompt only,
# because a server had the rest in its cache, or a conversation that it keeps. Some framing is
# plausible for the shortest prompt.
_LEAST_PLAUSIBLE, _MOST_PLAUSIBLE, _PLAUSIBLE_FRAMING = 0.3, 3.0, 50

_LONGEST_NAME = 256

# An exact count that is off by more is not of the model's own vocabulary, whatever its name says.
_LARGEST_FRAMING_ERROR = 0.05


class _Learnt(NamedTuple):
    """All that is known of one model; ``own`` where its vocabulary is at hand."""

    general: Calibration
    own: Calibration | None
    tokenizer: Tokenizer | None

    @property
    def is_exact(self) -> bool:
        """Whether to believe that the vocabulary at hand is the model's."""
        if self.own is None:
            return False
        return (
            not self.own.is_known
            or self.own.error <= _LARGEST_FRAMING_ERROR
            or not self.general.is_known
            or self.own.error <= self.general.error
        )

    @property
    def needs_general(self) -> bool:
        """Whether the general weights are to learn: nobody asks them where others are right.

        Their vocabularies take 75 MB, which a service without such models does not need.
        """
        return self.own is None or (self.own.is_known and self.own.error > _LARGEST_FRAMING_ERROR)


class TokenCounting:
    """The TokenCounter port. Remembers numbers only, never a text."""

    def __init__(
        self, tokenizers: Tokenizers, store: TokenSumsStore, clock: Clock | None = None
    ) -> None:
        """With a ``clock``, a busy model is learnt from ten times a second at most."""
        self._clock = clock
        self._learnt_at: dict[ModelKey, float] = {}
        self._tokenizers = tokenizers
        self._store = store
        self._models: BoundedCache[ModelKey, _Learnt] = BoundedCache(2_000)
        self._prompts: BoundedCache[int, CountedPrompt] = BoundedCache(1_000)
        self._unread: set[str] = set()  # tenants
        self._stored: BoundedCache[_Place, TokenSums] = BoundedCache(2_000)
        self._unsaved: dict[_Place, Calibration] = {}

    async def count(
        self,
        prompt: RenderedPrompt,
        models: Sequence[Model],
        providers: Mapping[str, ProviderConfig] | None = None,
    ) -> Mapping[str, TokenCount]:
        """The prompt's tokens by model id, framing of messages included. Never raises."""
        # A model that serves only some tasks reads variables, not messages in tokens of its own.
        limited = {
            model.id: TokenCount(prompt.estimated_tokens)
            for model in models
            if model.tasks is not None
        }
        models = [model for model in models if model.tasks is None]
        if not models:
            return limited
        keys = [_key_of(model, (providers or {}).get(model.provider)) for model in models]
        learnt = [self._models.get(key) or await self._meet(key) for key in keys]
        own = [each.tokenizer for each in learnt if each.tokenizer is not None]
        needs_general = not all(each.is_exact for each in learnt)
        counted = self._remembered(prompt)
        await self._fill(counted, prompt, own, needs_general)
        return limited | {
            model.id: self._count(each, counted) for model, each in zip(models, learnt, strict=True)
        }

    def learn(
        self,
        prompt: RenderedPrompt,
        model: Model,
        reported_tokens: int,
        provider: ProviderConfig | None = None,
    ) -> None:
        """Take note of what a provider counted for a prompt that it read whole. Never raises."""
        key = _key_of(model, provider)
        learnt = self._models.get(key)
        # At the window's edge a server has cut the prompt, or counts the cut one.
        if learnt is None or not 0 < reported_tokens < model.context_window:
            return
        if not model.name.isprintable() or not 0 < len(model.name) <= _LONGEST_NAME:
            return  # a server may say that it has any model, and the database does not take it
        if self._has_just_learnt(key):
            return
        counted = self._remembered(prompt)
        own = [learnt.tokenizer] if learnt.tokenizer is not None else []
        general = self._tokenizers.references if learnt.needs_general else ()
        if counted.characters <= _MOST_CHARACTERS_TO_LEARN_FROM_ANEW:
            counted.fill(prompt.messages, [*own, *general], wants_surface=learnt.needs_general)
        has_own = bool(own) and not counted.lacks(own, wants_surface=False)
        has_general = bool(general) and not counted.lacks(general, wants_surface=True)
        if not has_own and not has_general:
            return
        expected = self._count(learnt, counted).tokens
        most = _MOST_PLAUSIBLE * expected + _PLAUSIBLE_FRAMING
        if not _LEAST_PLAUSIBLE * expected <= reported_tokens <= most:
            return
        if has_general:
            self._learn(learnt.general, counted.general(general), reported_tokens)
        if has_own and learnt.own is not None and learnt.tokenizer is not None:
            self._learn(learnt.own, counted.own(learnt.tokenizer), reported_tokens)

    def _has_just_learnt(self, key: ModelKey) -> bool:
        """Whether another sample would cost more than it tells: taking one in is 130 us."""
        if self._clock is None:
            return False
        now = self._clock.monotonic()
        if now - self._learnt_at.get(key, -_LEARNING_PAUSE_S) < _LEARNING_PAUSE_S:
            return True
        self._learnt_at[key] = now
        return False

    async def keep_saved(self) -> None:
        """Share what is learnt with the other replicas, for ever."""
        while True:
            await self.save()
            await asyncio.sleep(_SAVE_INTERVAL_S)

    async def save(self) -> None:
        """Store what has been learnt here and take over what others have."""
        with_news = {calibration.key.tenant_id for calibration in self._unsaved.values()}
        for tenant_id in {PLATFORM_TENANT} | self._unread | with_news:
            unsaved = {
                place: calibration
                for place, calibration in self._unsaved.items()
                if calibration.key.tenant_id == tenant_id
            }
            changes = [calibration.begin_save() for calibration in unsaved.values()]
            try:
                stored = await self._store.exchange(tenant_id, changes)
            except StorageUnavailable as error:
                # Nothing is lost: it is saved with what comes next.
                log.warning("token_counts_not_saved", reason=error.message)
                return
            self._unread.discard(tenant_id)
            for place, calibration in unsaved.items():
                calibration.saved()
                if not calibration.has_news:
                    del self._unsaved[place]
            for sums in stored:
                self._restore(sums)

    def _restore(self, sums: TokenSums) -> None:
        self._stored.put((sums.key, sums.basis), sums)
        learnt = self._models.get(sums.key)
        for calibration in (learnt.general, learnt.own) if learnt is not None else ():
            if calibration is not None and calibration.basis.name == sums.basis:
                calibration.restore(sums)

    def _learn(self, calibration: Calibration, features: Vector, reported_tokens: int) -> None:
        calibration.learn(features, reported_tokens)
        self._unsaved[calibration.key, calibration.basis.name] = calibration

    def _remembered(self, prompt: RenderedPrompt) -> CountedPrompt:
        # By a hash with a random key of 64 bits or more: no two prompts are made to share it.
        key = hash(prompt.messages)
        counted = self._prompts.get(key)
        if counted is None:
            counted = CountedPrompt.of(prompt.messages)
            self._prompts.put(key, counted)
        return counted

    async def _fill(
        self,
        counted: CountedPrompt,
        prompt: RenderedPrompt,
        own: Sequence[Tokenizer],
        needs_general: bool,
    ) -> None:
        tokenizers = [*own, *self._tokenizers.references] if needs_general else own
        if not counted.lacks(tokenizers, wants_surface=needs_general):
            return
        is_quick = all(tokenizer.is_quick for tokenizer in tokenizers)
        most = _MOST_CHARACTERS_IF_QUICK if is_quick else _MOST_CHARACTERS_ON_THE_LOOP
        if counted.characters > most:
            await asyncio.to_thread(
                counted.fill, prompt.messages, tokenizers, wants_surface=needs_general
            )
        else:
            counted.fill(prompt.messages, tokenizers, wants_surface=needs_general)

    def _count(self, learnt: _Learnt, counted: CountedPrompt) -> TokenCount:
        # Whether the vocabulary is believed may have changed while a thread was counting.
        is_exact = learnt.is_exact or counted.lacks(self._tokenizers.references, wants_surface=True)
        if learnt.own is not None and learnt.tokenizer is not None and is_exact:
            tokens = learnt.own.predict(counted.own(learnt.tokenizer))
            error = learnt.own.error if learnt.own.is_known else None
            return TokenCount(round(tokens), TokenMethod.EXACT, error)
        general = learnt.general
        features = counted.general(self._tokenizers.references)
        if general.is_known and general.error < general.assumption_error:
            tokens = general.predict(features)
            return TokenCount(round(tokens), TokenMethod.CALIBRATED, general.error)
        tokens = general.assume(features)
        error = general.assumption_error if general.is_known else None
        return TokenCount(round(tokens), TokenMethod.ESTIMATE, error)

    async def _meet(self, key: ModelKey) -> _Learnt:
        """Whatever there is of a model that nothing was asked of before."""
        tokenizer = await asyncio.to_thread(self._tokenizers.find, key)
        found = self._models.get(key)  # by another request, meanwhile
        if found is None:
            own = None if tokenizer is None else self._calibration(key, own_basis(tokenizer))
            found = _Learnt(self._calibration(key, GENERAL), own, tokenizer)
            self._models.put(key, found)
            if key.tenant_id != PLATFORM_TENANT:
                self._unread.add(key.tenant_id)
        return found

    def _calibration(self, key: ModelKey, basis: Basis) -> Calibration:
        calibration = self._unsaved.get((key, basis.name)) or Calibration(key, basis)
        stored = self._stored.get((key, basis.name))
        if stored is not None:
            calibration.restore(stored)
        return calibration


def _key_of(model: Model, provider: ProviderConfig | None) -> ModelKey:
    tenant_id = PLATFORM_TENANT if provider is None else provider.tenant_id
    return ModelKey(tenant_id, model.provider, model.name)
