"""Every interface through which the services meet the outside world."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeAlias, runtime_checkable
from uuid import UUID

from assistant.domain.api_key import ApiKey
from assistant.domain.budget import (
    Admission,
    Budget,
    BudgetAccount,
    BudgetAlert,
    BudgetOverride,
    BudgetStanding,
    Members,
    Stake,
)
from assistant.domain.cache import (
    CacheEntry,
    CacheFigures,
    CacheKey,
    CacheLevel,
    CacheLookup,
    CacheSelection,
    CacheUpkeep,
    FlightEvent,
    FlightKey,
    Landing,
    Lead,
    ShadowVerdict,
    WarmingTask,
)
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Completion,
    GenerationParameters,
    Message,
    ProgressEvent,
    ProviderEvent,
)
from assistant.domain.idempotency import IdempotencyKey, KeyHolder, KeyOutcome
from assistant.domain.job import JobOutcome
from assistant.domain.model import (
    DiscoveredModel,
    Model,
    ModelGroup,
    ModelKey,
    PriceChange,
    ProviderConfig,
    PullProgress,
    TaskType,
)
from assistant.domain.performance import PromptLatencies, PromptPerformance
from assistant.domain.prompt import (
    Prompt,
    PromptChanges,
    PromptQuery,
    PromptVersion,
    RenderedPrompt,
    ServedPrompt,
)
from assistant.domain.prompt_test import PromptTestCase, PromptTestRun
from assistant.domain.provider_usage import RecordedDay
from assistant.domain.rate_limit import RateLimit, RateLimitLevel
from assistant.domain.rollout import PromptRelease, ReleaseFigures, Rollout
from assistant.domain.rule import RoutingRule
from assistant.domain.stream import LoggedEvent, LogPage, Resumption
from assistant.domain.tokens import TokenCount, TokenSums, TokenSumsChange
from assistant.domain.usage import (
    UsageMeasure,
    UsagePoint,
    UsageSummary,
    UsageWindow,
    UserUsage,
)
from assistant.domain.usage_log import UsageRow
from assistant.domain.values import JsonObject

# ------------------------------------------------------------------- providers


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a provider may take, in seconds, for each part of a call on its own.

    The first event has its own limit because a local server may load a model first. A whole
    answer is one event, so for a call that is not streamed it bounds the answer.
    """

    connect_s: float = 5.0
    first_event_s: float = 120.0
    between_events_s: float = 30.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """One call of one model. ``model`` is the provider's own name for it, as in ``llama3.2:3b``.

    ``context_window`` and ``estimated_tokens`` are in tokens. ``task`` and ``variables`` are
    those of the prompt: models that generate ignore them, builtin ones work on nothing else.
    ``response_schema`` is a JSON Schema that the text of the answer must satisfy: it travels in
    whatever form the protocol has for it, and is checked by who called.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: GenerationParameters
    streamed: bool
    context_window: int
    estimated_tokens: int
    task: TaskType = TaskType.GENERAL
    variables: JsonObject | None = None
    time_limits: TimeLimits = TimeLimits()
    response_schema: JsonObject | None = None


Vector: TypeAlias = Sequence[float]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per text, in order, L2-normalised. ``prompt_tokens`` is None where unreported."""

    vectors: Sequence[Vector]
    prompt_tokens: int | None


class Provider(Protocol):
    """Runs models."""

    def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the answer's events; the last one is GenerationFinished, always.

        ``call.streamed`` only changes the wire: a whole answer is one TextDelta. Closing the
        iterator, or cancelling the task that drives it, closes the connection at once.
        An end without GenerationFinished is never yielded: it raises StreamInterrupted.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        ...

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        """What can be called now; None where the provider is there but keeps no list.

        Raises UpstreamError where the provider cannot be asked.
        """
        ...

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        """The texts' vectors, of as many requests as the provider's limits need.

        Raises: UpstreamError; ContextLengthExceeded for a text that is too long;
        ProviderRejected where the protocol has no embeddings.
        """
        ...


@runtime_checkable
class ModelHost(Protocol):
    """A provider whose models come and go on our demand."""

    def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Fetch a model; the last event has ``is_done``. Closing the iterator stops the download.

        Raises: UpstreamError, NotFound where there is no such model.
        """
        ...

    async def delete(self, model: str) -> None:
        """Remove a model; one that is not there is as good as removed. Raises UpstreamError."""
        ...


class ProviderConnector(Protocol):
    """Makes the provider that a row describes; the same object for an equal row."""

    def __call__(self, config: ProviderConfig) -> Provider: ...


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their similarity."""

    @property
    def id(self) -> str:
        """Tells embedders apart whose vectors cannot be compared, by model and precision."""
        ...

    @property
    def dimensions(self) -> int: ...

    def covers(self, text: str) -> bool:
        """Whether a vector would reflect the whole text; at most 5 ms.

        Two texts that differ only in what is not covered have the same vector.

        Raises: ProviderUnavailable as ``embed``.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One L2-normalised vector per text, in order; texts are cut at 256 word pieces.

        Raises: ProviderUnavailable where the model's files are missing or damaged, saying
        how to get them.
        """
        ...


# --------------------------------------------------------------------- storage
# Every method takes the tenant it acts for; the database refuses the rows of any other.


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """What a tenant sees of providers, models, groups and rules: its own over the platform's.

    ``rules`` are in no order, those that are not enabled included.
    """

    providers: Mapping[str, ProviderConfig]
    models: Mapping[str, Model]
    groups: Mapping[str, ModelGroup]
    rules: tuple[RoutingRule, ...] = ()


class ModelStore(Protocol):
    """Rows of providers, models, groups and rules."""

    async def load(self, tenant_id: str) -> ModelCatalog: ...


class PriceChangeStore(Protocol):
    """What models cost, and when that changed. Raises StorageUnavailable."""

    async def list_changes(
        self, tenant_id: str, model_ids: Sequence[str], first: int
    ) -> Mapping[str, Sequence[PriceChange]]:
        """The ``first`` newest changes of each model, by its id, the newest first.

        Of the row that holds for the tenant: its own, else the platform's. Models without a row, or
        without a change, are left out.
        """
        ...


class CatalogStore(ModelStore, Protocol):
    """Changes to a tenant's own rows; those of others are out of reach, the platform's too.

    ``most`` is how many rows of a kind the tenant may have: what adds one answers whether there
    was room for it.

    Raises: StorageUnavailable.
    """

    async def find_rule(self, tenant_id: str, id_: UUID) -> RoutingRule | None:
        """The tenant's rule or the platform's, hidden or not."""
        ...

    async def add_rule(self, rule: RoutingRule, most: int) -> bool:
        """Raises Conflict where the tenant has a rule of that name."""
        ...

    async def update_rule(self, rule: RoutingRule) -> bool:
        """Whether the tenant has a rule of that id. Raises Conflict as ``add_rule`` does."""
        ...

    async def delete_rule(self, tenant_id: str, id_: UUID) -> bool:
        """Whether the tenant had it, as for everything that is deleted."""
        ...

    async def put_group(self, tenant_id: str, group: ModelGroup, most: int) -> bool: ...

    async def put_provider(self, provider: ProviderConfig, most: int) -> bool: ...

    async def delete_provider(self, tenant_id: str, name: str) -> bool:
        """The tenant's models of it go with it, where no provider of that name is left to run them."""
        ...

    async def put_model(self, tenant_id: str, model: Model, most: int) -> bool: ...

    async def delete_model(self, tenant_id: str, provider: str, name: str) -> bool: ...


class Tokenizer(Protocol):
    """A model's vocabulary and how it splits texts. Thread-safe."""

    @property
    def name(self) -> str:
        """Tells vocabularies apart: the same name always splits the same way."""
        ...

    @property
    def tokens_per_message(self) -> float:
        """What models of this vocabulary are known to add to each message."""
        ...

    @property
    def tokens_per_request(self) -> float:
        """What they are known to add once."""
        ...

    @property
    def is_quick(self) -> bool:
        """Whether 10,000 characters take well under a millisecond."""
        ...

    def count(self, text: str) -> int:
        """The tokens of any text at all; what looks like a special token in it is plain text."""
        ...


class Tokenizers(Protocol):
    """The vocabularies that are at hand."""

    @property
    def references(self) -> tuple[Tokenizer, Tokenizer]:
        """An older and a newer one, quick, to judge by where a model's own is not known."""
        ...

    def find(self, key: ModelKey) -> Tokenizer | None:
        """The model's own. May read a file: call it off the event loop, and keep what it says."""
        ...


class TokenCounter(Protocol):
    """Counts what a prompt will be in a model's own tokens."""

    async def count(
        self,
        prompt: RenderedPrompt,
        models: Sequence[Model],
        providers: Mapping[str, ProviderConfig] | None = None,
    ) -> Mapping[str, TokenCount]:
        """The prompt's tokens by model id, framing of messages included. Never raises.

        ``providers`` by name say whose they are; one that is not named is the platform's.
        """
        ...

    def learn(
        self,
        prompt: RenderedPrompt,
        model: Model,
        reported_tokens: int,
        provider: ProviderConfig | None = None,
    ) -> None:
        """Take note of what a provider counted for a prompt that it read whole. Never raises.

        Only for prompts that went as they are: without tools, a response schema, or anything
        else that the provider turns into tokens of its own.
        """
        ...


class TokenSumsStore(Protocol):
    """What replicas have learnt about token counts, added up."""

    async def exchange(
        self, tenant_id: str, changes: Sequence[TokenSumsChange]
    ) -> Sequence[TokenSums]:
        """Apply the changes, all or none, then read all that is known of the tenant's models.

        Raises: StorageUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class CircuitNotice:
    """What all replicas know of a circuit. ``open_for_s`` is None where it has closed.

    ``open_for_s`` at or below 0: a call may try again. ``probe_for_s`` is how long the one that
    tries may still take; None where none does.
    """

    key: ModelKey
    open_for_s: float | None
    probe_for_s: float | None = None


class CircuitStore(Protocol):
    """The circuits that are not closed, shared by all replicas; every change is announced.

    Raises: StorageUnavailable.
    """

    async def open(self, key: ModelKey, open_s: float) -> None:
        """Hold the model back from now on, for so long at least."""
        ...

    async def take_probe(self, key: ModelKey, lease_s: float) -> CircuitNotice | None:
        """None where the caller is the one that tries again, until ``lease_s`` have passed.

        Else what keeps it from trying.
        """
        ...

    async def release_probe(self, key: ModelKey) -> None:
        """Let another call try: this one has found out nothing."""
        ...

    async def close(self, key: ModelKey) -> None: ...

    async def list_circuits(self) -> Sequence[CircuitNotice]:
        """Of every tenant's providers."""
        ...


class LanguageDetector(Protocol):
    """Tells in which language a text is written."""

    async def detect(self, text: str) -> str | None:
        """ISO 639-1, as in "de"; None where the text is too short or too mixed to tell.

        Judges the beginning of the text only; the same text always has the same answer.
        """
        ...


class PromptStore(Protocol):
    """Rows of prompts and versions. A tenant's prompt hides the platform's of the same name.

    Raises: StorageUnavailable.
    """

    async def find_served(self, tenant_id: str, name: str) -> ServedPrompt | None:
        """The prompt and every version that some caller gets of it; None when archived."""
        ...

    async def find_version(
        self, tenant_id: str, name: str, number: int
    ) -> tuple[Prompt, PromptVersion] | None:
        """Whether callers get it or not; None where the prompt is archived."""
        ...

    async def prompts_by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Mapping[UUID, Prompt]: ...

    async def prompts_by_name(
        self, tenant_id: str, names: Sequence[str]
    ) -> Mapping[str, Prompt]: ...

    async def versions_by_id(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, PromptVersion]: ...

    async def versions_by_number(
        self, tenant_id: str, keys: Sequence[tuple[UUID, int]]
    ) -> Mapping[tuple[UUID, int], PromptVersion]:
        """Versions by (prompt id, number)."""
        ...

    async def list_versions(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: int | None
    ) -> Mapping[UUID, Sequence[PromptVersion]]:
        """Newest first, up to ``first`` per prompt, numbers below ``before``; one statement."""
        ...

    async def list_prompts(self, tenant_id: str, query: PromptQuery) -> Sequence[Prompt]:
        """Up to ``query.first`` prompts after ``query.after``, in order (ties by id)."""
        ...


class PromptChangeStore(Protocol):
    """Changes to a tenant's own prompts; those of others are out of reach, the platform's too.

    ``most`` is as in CatalogStore. Raises: StorageUnavailable.
    """

    async def add_prompt(
        self, prompt: Prompt, first: PromptVersion, release: PromptRelease | None, most: int
    ) -> bool:
        """Add a prompt and its first version, published where there is a ``release`` of it.

        Raises Conflict where the tenant has a prompt of that name, archived ones included.
        """
        ...

    async def update_prompt(
        self, tenant_id: str, id_: UUID, changes: PromptChanges, at: datetime
    ) -> Prompt | None:
        """The prompt as it is from now on; None where the tenant has none of that id."""
        ...

    async def add_version(
        self, tenant_id: str, version: PromptVersion, most: int
    ) -> PromptVersion | None:
        """Add a draft; the store gives it the next number. None where there is no room."""
        ...


@dataclass(frozen=True, slots=True)
class WatchedVersion:
    """A version that some callers get while a rollout runs, and what it did since that began."""

    number: int
    is_published: bool
    figures: ReleaseFigures


class ReleaseStore(Protocol):
    """Which versions callers get, and the history of it. Every change is announced.

    A version that callers get is PUBLISHED from then on, one that they no longer get ARCHIVED.

    Raises: StorageUnavailable.
    """

    async def publish(
        self, tenant_id: str, version: PromptVersion, expected: int | None, release: PromptRelease
    ) -> None:
        """Give every caller ``version``, and end a rollout where there is one.

        Raises Conflict where ``expected`` is given (0: none) and another one is published now.
        """
        ...

    async def set_rollout(self, prompt: Prompt, rollout: Rollout, release: PromptRelease) -> None:
        """Split callers as ``rollout`` says; what the versions did so far no longer counts.

        One that gives all to the published version ends the rollout.

        Raises Conflict where who gets what has been changed since ``prompt`` was read.
        """
        ...

    async def roll_back(self, prompt: Prompt, number: int, release: PromptRelease) -> bool:
        """Give the points of a version back to the published one.

        Whether that was done: not where anything has changed since ``prompt`` was read.
        """
        ...

    async def list_rollouts(self) -> Sequence[tuple[str, UUID]]:
        """Tenant and prompt of every rollout that runs, of all tenants."""
        ...

    async def watch_rollout(
        self, tenant_id: str, prompt_id: UUID
    ) -> tuple[Prompt, Sequence[WatchedVersion]] | None:
        """A prompt whose callers are split, and how its versions do; None where they no longer are."""
        ...

    async def list_releases(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: UUID | None
    ) -> Mapping[UUID, Sequence[PromptRelease]]:
        """Newest first, up to ``first`` per prompt, older than ``before``; one statement."""
        ...


class PromptTestStore(Protocol):
    """Cases of the tenant's prompts and the platform's, and the tenant's runs of either.

    Raises: StorageUnavailable.
    """

    async def list_cases(
        self, tenant_id: str, prompt_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[PromptTestCase]]:
        """Each prompt's cases by name; one statement."""
        ...

    async def put_case(
        self, tenant_id: str, case: PromptTestCase, most: int
    ) -> PromptTestCase | None:
        """Add a case, or change the one of that name, whose id stays. None without room."""
        ...

    async def delete_case(self, tenant_id: str, id_: UUID) -> bool:
        """Whether the tenant had it."""
        ...

    async def put_run(self, tenant_id: str, run: PromptTestRun, most: int) -> None:
        """Record how far a run is; of a version, the ``most`` newest runs are kept."""
        ...

    async def list_runs(
        self, tenant_id: str, version_ids: Sequence[UUID], first: int
    ) -> Mapping[UUID, Sequence[PromptTestRun]]:
        """Newest first, up to ``first`` per version; one statement."""
        ...


class PerformanceStore(Protocol):
    """What the tenant's own requests came to, by prompt and version.

    Raises: StorageUnavailable.
    """

    async def performance(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptPerformance]:
        """Exact to the row, for every prompt asked for; one statement."""
        ...

    async def latencies(
        self, tenant_id: str, prompt_ids: Sequence[UUID], window: UsageWindow
    ) -> Mapping[UUID, PromptLatencies]:
        """Exact percentiles, which read every usage row of the window; one statement."""
        ...


class LedgerStore(Protocol):
    """The durable record of every completion and what it used.

    Writes of many requests share one commit; a call returns when its own row is durable.

    Raises: StorageUnavailable.
    """

    async def open(
        self, completion: Completion, stake: Stake, *, is_more: bool = False
    ) -> Admission:
        """Record that a completion runs and hold what it may take, before a provider is called.

        All budgets and limits of tokens that are about the caller are asked at once: they hold all
        of it or nothing. ``is_more``: it runs already, and ``stake`` is what it holds from now on.

        Raises: BudgetExceeded, PriceUnknown, LimitReached; EntryReaped where it ran, and was
        settled since.
        """
        ...

    async def settle(self, completion: Completion) -> None:
        """Record how it ended and what it used, and give back what it held beyond that.

        Settling twice changes nothing. What cannot be recorded now is so as soon as it can be.

        Raises: EntryReaped where it has been settled since by somebody else.
        """
        ...


class CacheStore(Protocol):
    """Kept answers, shared by all replicas. What is removed is announced to all of them.

    Reads and writes of many requests share their statements. Nothing here needs to be durable.

    Raises: StorageUnavailable.
    """

    async def find(self, key: CacheKey) -> CacheEntry | None:
        """The newest entry of the very same request that has not expired; without its vector."""
        ...

    async def find_or_lead(self, key: CacheKey, flight: FlightKey) -> CacheEntry | Lead:
        """As ``find``; where there is none, whether the caller is the one who asks for it.

        At any time at most one of all replicas leads a flight. Whoever leads it lands it.
        """
        ...

    async def find_similar(
        self, key: CacheKey, vector: Vector, most: int
    ) -> Sequence[tuple[CacheEntry, float]]:
        """The nearest entries of ``key``'s scope and their cosine with ``vector``, nearest first.

        Without their vectors.
        """
        ...

    async def keep(self, entry: CacheEntry) -> None:
        """Keep an answer, in place of an older one of the same key."""
        ...

    async def count_hits(self, hits: Mapping[tuple[str, UUID], int]) -> None:
        """Add to how often entries, by tenant and id, were of use."""
        ...

    async def judge(
        self, tenant_id: str, id_: UUID, min_similarity: float, rejected: bytes | None = None
    ) -> None:
        """Set from which similarity on the entry answers, and what it must never answer again."""
        ...

    async def remove(self, tenant_id: str, id_: UUID) -> bool:
        """Whether it was there."""
        ...

    async def clear(self, tenant_id: str, selection: CacheSelection) -> int:
        """Remove what is selected; how many that were."""
        ...

    async def get_entry(self, tenant_id: str, id_: UUID) -> CacheEntry | None:
        """Without its vector; None where it has expired or was removed."""
        ...


class FlightStore(Protocol):
    """Questions that are being asked, known to all replicas: one asks, the others listen.

    A flight whose leader has not been heard of for three seconds is anybody's to lead.

    Raises: StorageUnavailable.
    """

    def lead(self, flight: FlightKey, events: Sequence[ProgressEvent]) -> None:
        """Keep the flight alive, and tell its ``events`` to whoever listens as the list grows."""
        ...

    async def land(self, flight: FlightKey, landing: Landing) -> None:
        """Tell whoever listens how it ended. Never waits for them, and ends ``lead``."""
        ...

    def follow(self, flight: FlightKey) -> AsyncGenerator[FlightEvent, None]:
        """What the flight's leader tells, from the first event on; ends with a Landing.

        An empty Landing where the leader has gone: ``find_or_lead`` says who asks now.
        """
        ...


class CacheUpkeepStore(Protocol):
    """The cache as a whole: every tenant's in turn.

    Raises: StorageUnavailable.
    """

    async def clean(self, max_bytes_per_tenant: int) -> CacheUpkeep:
        """Remove what has expired, then what is worth least where a tenant has too much."""
        ...

    async def measure(self) -> CacheUpkeep:
        """How many entries there are, and how large they are, in all."""
        ...

    async def figures(self, tenant_id: str, window: UsageWindow) -> CacheFigures:
        """What the cache did for the tenant, to the usage row."""
        ...

    async def list_warming(
        self, before: datetime, prompts: int, entries: int
    ) -> Sequence[WarmingTask]:
        """Of the most used prompts of every tenant, the entries that expire before ``before``.

        At most so many prompts a tenant and entries a prompt, those of most use first.
        """
        ...


class LoggedStream(Protocol):
    """A stream that is being made in this process, as the replay log sees it."""

    @property
    def id(self) -> UUID: ...

    @property
    def caller(self) -> Caller: ...

    @property
    def is_ended(self) -> bool:
        """Whether its last event is there."""
        ...

    def unlogged(self, start: int) -> tuple[int, Sequence[LoggedEvent]]:
        """What there is from event ``start`` on, and the number of the first, which may be higher.

        From now on these events do not change.
        """
        ...

    def was_logged(self, count: int) -> None:
        """The log has its first ``count`` events."""
        ...

    def was_followed(self) -> None:
        """Another replica has read it in the last seconds."""
        ...

    def was_abandoned(self) -> None:
        """Others took this process for dead and have told its readers so."""
        ...

    def cancel(self) -> None:
        """Somebody asked another replica to stop it."""
        ...


class StreamLog(Protocol):
    """The replay log: the events of streams, for every replica to read, until ten minutes after
    their end. What it has may be lost with the database; streams go on without it.

    Raises: StorageUnavailable.
    """

    def keep(self, stream: LoggedStream) -> None:
        """Write down what happens in ``stream`` from now on, a few times a second, to its end."""
        ...

    def follow(
        self, tenant_id: str, completion_id: UUID, after: int
    ) -> AsyncGenerator[LogPage | None, None]:
        """What is in the log after event ``after``; -1 for all.

        A page at once, one whenever there is more, and one each second in between; None instead
        where the log knows nothing of the stream. A page with ``is_ended`` is the last.
        """
        ...

    async def abandon(
        self, tenant_id: str, completion_id: UUID, first: int, events: Sequence[LoggedEvent]
    ) -> bool:
        """End a stream whose maker is silent with ``events``, the first of which is number ``first``.

        False, and nothing done, where it has been heard of, was ended, or has other events.
        """
        ...

    async def cancel(self, tenant_id: str, completion_id: UUID) -> None:
        """Tell every replica to stop the completion, if it is theirs."""
        ...


class IdempotencyStore(Protocol):
    """Which completion answers which key. A key is forgotten after 24 hours.

    Raises: StorageUnavailable.
    """

    async def claim(
        self,
        key: IdempotencyKey,
        completion_id: UUID,
        fingerprint: bytes,
        instead_of: UUID | None = None,
    ) -> KeyHolder:
        """Who has the key now: ``completion_id`` where nobody had it, or ``instead_of`` did.

        Durable when it returns.
        """
        ...

    async def keep_error(
        self, key: IdempotencyKey, completion_id: UUID, error: Mapping[str, object]
    ) -> None:
        """What the completion ended with is its result: who repeats the request gets it too."""
        ...

    async def release(self, key: IdempotencyKey, completion_id: UUID) -> None:
        """The completion came to nothing: who repeats the request begins anew."""
        ...


class CompletionStore(Protocol):
    """Completions, to read."""

    async def find_completions(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, Completion]: ...


class UsageLogStore(Protocol):
    """The usage rows themselves, and their sums by the day. Raises StorageUnavailable."""

    def pages(
        self, tenant_id: str, window: UsageWindow, *, of_attempts: bool | None = None
    ) -> AsyncGenerator[Sequence[UsageRow], None]:
        """The tenant's rows by request and attempt, so many at a time, none of them empty.

        ``of_attempts``: only those of attempts, or only those of requests; None: both. Each page
        is a transaction of its own.
        """
        ...

    async def used_of_provider(
        self, tenant_id: str, provider: str, day: date, operation: str | None
    ) -> Sequence[RecordedDay]:
        """What attempts used of a provider's models on a day of UTC; models by their bare names."""
        ...


class TenantSettingsStore(Protocol):
    """What tenants have set for themselves as a whole. Raises StorageUnavailable."""

    async def find_time_zone(self, tenant_id: str) -> str | None:
        """The IANA name of the zone in which the tenant's days begin; None where it set none."""
        ...

    async def set_time_zone(self, tenant_id: str, time_zone: str) -> bool:
        """Whether the database knows a zone of this name. Budgets' windows begin anew in it."""
        ...


class BudgetStore(Protocol):
    """A tenant's budgets, and how they stand. ``most`` is as in CatalogStore.

    ``members`` is None for who sees everything; others see what is about them, by name or as any
    member, and then as they themselves stand.

    Raises: StorageUnavailable.
    """

    async def list_budgets(
        self, tenant_id: str, at: datetime, members: Members | None = None
    ) -> Sequence[BudgetAccount]:
        """In the window that runs at ``at``: by scope, those of every member first."""
        ...

    async def find_budget(
        self, tenant_id: str, id_: UUID, at: datetime
    ) -> BudgetAccount | None: ...

    async def list_members(
        self,
        tenant_id: str,
        ids: Sequence[UUID],
        first: int,
        at: datetime,
        members: Members | None = None,
    ) -> Mapping[UUID, Sequence[BudgetStanding]]:
        """Of budgets of every member: up to ``first`` that have spent, those with least left first.

        Not those that a budget names. One statement.
        """
        ...

    async def put_budget(
        self, budget: Budget, at: datetime, most: int, *, keeps_alert_steps: bool = False
    ) -> UUID | None:
        """Add it, or change the one of its scope, subject and period: its id. None without room.

        ``keeps_alert_steps``: the steps of one that is there stay.
        """
        ...

    async def add_override(self, tenant_id: str, override: BudgetOverride, most: int) -> bool:
        """Add to the window that runs when it is made, whatever ``starts_at`` says.

        Whether there was room: ``most`` is how many a window may have. The budget is there.
        """
        ...

    async def delete_budget(self, tenant_id: str, id_: UUID) -> bool:
        """Whether the tenant had it. What runs goes on, and no longer counts against it."""
        ...


class RateLimitStore(Protocol):
    """A tenant's rate limits, and what is in their buckets; ``members`` is as in BudgetStore.

    Raises: StorageUnavailable.
    """

    async def list_limits(
        self, tenant_id: str, members: Members | None = None
    ) -> Sequence[RateLimitLevel]:
        """By scope, those of every member first."""
        ...

    async def find_limit(self, tenant_id: str, id_: UUID) -> RateLimitLevel | None: ...

    async def put_limit(self, limit: RateLimit, at: datetime, most: int) -> UUID | None:
        """As ``put_budget``: what has been taken of its buckets stays taken."""
        ...

    async def delete_limit(self, tenant_id: str, id_: UUID) -> bool:
        """Whether the tenant had it."""
        ...


class BudgetAlertStore(Protocol):
    """Steps of budgets that were reached. Raises StorageUnavailable."""

    async def claim(self, tenant_id: str) -> Sequence[BudgetAlert]:
        """Those that nobody has told of: from now on, it is the caller who does.

        Each is given to one caller, once, and put into the queue of what others are told, in the
        same transaction.
        """
        ...

    async def list_unannounced(self, waited_s: float) -> Sequence[str]:
        """The tenants with some that nobody has told of for so long."""
        ...

    async def list_after(self, tenant_id: str, after: datetime, most: int) -> Sequence[BudgetAlert]:
        """The tenant's latest since then, oldest first."""
        ...

    async def find(self, alert_id: UUID) -> BudgetAlert | None:
        """The one that the queue knows by this id, whoever's it is."""
        ...


class AlertReceiver(Protocol):
    """Somebody else's address that is told of alerts."""

    async def tell(self, alert_id: UUID, alert: BudgetAlert) -> bool:
        """Whether it took the alert; False where it wants none. Raises UpstreamError: try again."""
        ...


class RequestLimitStore(Protocol):
    """Limits of requests, and how many may be made now. Raises StorageUnavailable."""

    async def is_limited(self, tenant_id: str) -> bool:
        """Whether the tenant has any limit of requests."""
        ...

    async def take(self, caller: Caller) -> None:
        """Take one request of every limit that is about ``caller``, of all of them or of none.

        Raises: LimitReached.
        """
        ...


@dataclass(frozen=True, slots=True)
class UsageSubject:
    """Whose usage: a user's, a service's, or with neither the whole tenant's."""

    user_id: str | None = None
    service_id: str | None = None


class UsageStore(Protocol):
    """Sums over the usage rows, exact whatever a window cuts. Raises StorageUnavailable."""

    async def summarize_users(
        self, tenant_id: str, user_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        """A summary for each user asked for, those without usage included; one statement."""
        ...

    async def summarize_services(
        self, tenant_id: str, service_ids: Sequence[str], window: UsageWindow
    ) -> Mapping[str, UsageSummary]:
        """The same by calling service."""
        ...

    async def top_users(
        self, tenant_id: str, window: UsageWindow, limit: int, by: UsageMeasure
    ) -> Sequence[UserUsage]:
        """Those who used most, most first; as many as ``limit``."""
        ...

    async def trend(
        self, tenant_id: str, window: UsageWindow, steps: Sequence[UsageWindow], whose: UsageSubject
    ) -> Sequence[UsagePoint]:
        """A point for each step, those without usage included: what of it lies in ``window``."""
        ...


class ApiKeyStore(Protocol):
    """API keys by the SHA-256 of their secret."""

    async def add(self, key: ApiKey, secret_hash: bytes) -> None: ...

    async def find_by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """The key, expired and revoked ones included; works before a tenant is known."""
        ...

    async def list_keys(self, tenant_id: str) -> Sequence[ApiKey]: ...

    async def revoke(self, tenant_id: str, key_id: UUID, at: datetime) -> ApiKey | None: ...


# ---------------------------------------------------------------------- identity


class TokenVerifier(Protocol):
    """Tells a genuine JWT from any other."""

    async def verify(self, token: str) -> JsonObject:
        """The claims of a token that is signed by its issuer, for us, and in time.

        Raises: Unauthenticated, saying what is wrong with it and never what it says.
        """
        ...


# ------------------------------------------------------------------ everything else


class Clock(Protocol):
    """Time and identifiers, so that the services have neither a clock nor randomness of their own."""

    def now(self) -> datetime:
        """Aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...

    def new_id(self) -> UUID:
        """A UUIDv7: sorts by time of creation."""
        ...


class Telemetry(Protocol):
    """Counts what happened. Never raises: a request does not fail because it was not counted."""

    def completion_settled(self, completion: Completion, prompt_name: str | None) -> None:
        """A completion has ended. ``prompt_name`` is None where no prompt of the catalog was met."""
        ...

    def request_refused(self, code: str) -> None:
        """A caller was turned away: not identified, or without the scope that a field needs."""
        ...

    def cache_looked_up(self, level: CacheLevel, outcome: CacheLookup, latency_s: float) -> None:
        """One level of the cache was asked."""
        ...

    def cache_shadow_checked(self, verdict: ShadowVerdict) -> None:
        """A semantic hit was compared with what a model says."""
        ...

    def job_ended(self, job: str, outcome: JobOutcome, duration_s: float) -> None:
        """A run of a background job has ended."""
        ...

    def budget_alert_announced(self, alert: BudgetAlert) -> None:
        """A step of a budget was reached. Counted by one replica alone."""
        ...

    def stream_resumed(self, outcome: Resumption) -> None:
        """A reader has picked a stream up, or was told why not."""
        ...

    def reader_dropped(self) -> None:
        """A reader fell too far behind its stream."""
        ...

    def key_met(self, outcome: KeyOutcome) -> None:
        """A request came with an idempotency key."""
        ...

    def version_taken_back(self, prompt_name: str) -> None:
        """A new version of a prompt did worse than its rollout allows, and is given to nobody now."""
        ...
