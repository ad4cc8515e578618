"""One completion: what is asked, what comes back, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from assistant.domain.cache import CacheOutcome, CachePolicy, CacheVerdict
from assistant.domain.caller import Caller
from assistant.domain.idempotency import check_idempotency_key
from assistant.domain.model import RoutingStrategy
from assistant.domain.values import JsonObject, JsonValue, check_json, check_text
from assistant.errors import BadUserInput, ErrorCode

if TYPE_CHECKING:
    from assistant.domain.prompt import Prompt, PromptVersion


class MessageRole(StrEnum):
    """Who says a message."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. ``tool_call_id`` says which call a TOOL message answers."""

    role: MessageRole
    content: str
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class GenerationParameters:
    """How to generate. None leaves it to the prompt, then to the model.

    ``timeout_ms`` bounds the whole completion, not one attempt.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    timeout_ms: int | None = None

    def over(self, defaults: GenerationParameters) -> GenerationParameters:
        """These parameters, and ``defaults`` where these say nothing."""
        return GenerationParameters(
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            max_tokens=defaults.max_tokens if self.max_tokens is None else self.max_tokens,
            stop=defaults.stop if self.stop is None else self.stop,
            seed=defaults.seed if self.seed is None else self.seed,
            timeout_ms=defaults.timeout_ms if self.timeout_ms is None else self.timeout_ms,
        )

    def check(self) -> None:
        """Raises BadUserInput for the first parameter out of its range."""
        _check_range("temperature", self.temperature, 0, 2)
        _check_range("topP", self.top_p, 0, 1)
        _check_range("maxTokens", self.max_tokens, 1, 1_000_000)
        _check_range("timeoutMs", self.timeout_ms, 1, 3_600_000)
        if self.stop is not None:
            if len(self.stop) > 16 or not all(1 <= len(text) <= 256 for text in self.stop):
                raise BadUserInput(
                    "parameters.stop takes at most 16 texts of 1 to 256 characters.",
                    path=("parameters", "stop"),
                )
            for text in self.stop:
                check_text(text, ("parameters", "stop"))


def _check_range(name: str, value: float | None, lowest: float, highest: float) -> None:
    # NaN compares false with everything, so "not inside" refuses it too.
    if value is not None and not lowest <= value <= highest:
        raise BadUserInput(
            f"parameters.{name} must be between {lowest:,} and {highest:,}.",
            path=("parameters", name),
        )


class InterruptionPolicy(StrEnum):
    """What to do when a provider breaks off after some of its answer was streamed."""

    ERROR = "ERROR"
    RESTART = "RESTART"
    CONTINUE = "CONTINUE"


_LONGEST_FEATURE = 128


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a caller asks for. Exactly one of prompt_name, messages and text says what to complete.

    ``unsaved`` stands for prompt_name: a prompt and a version of it that the catalog does not
    have, as tests of files do.
    """

    caller: Caller
    prompt_name: str | None = None
    prompt_version: int | None = None
    variables: JsonObject | None = None
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    model: str | None = None
    parameters: GenerationParameters = GenerationParameters()
    response_schema: JsonObject | None = None
    requires_accuracy: bool = False
    strategy: RoutingStrategy | None = None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR
    cache: CachePolicy = CachePolicy.DEFAULT
    idempotency_key: str | None = None
    feature: str | None = None
    metadata: JsonObject | None = None
    unsaved: tuple[Prompt, PromptVersion] | None = None

    def check(self) -> None:
        """Raises BadUserInput for what is wrong with the request on its own."""
        sources = {
            "promptName": self.unsaved if self.prompt_name is None else self.prompt_name,
            "messages": self.messages,
            "text": self.text,
        }
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise BadUserInput(
                f"Give exactly one of promptName, messages and text; found {found}.",
                path=(given[1],) if given else ("promptName",),
            )
        if self.prompt_name is None and self.unsaved is None:
            for name, value in (
                ("promptVersion", self.prompt_version),
                ("variables", self.variables),
            ):
                if value is not None:
                    raise BadUserInput(
                        f"{name} goes with promptName only; remove it or name a prompt.",
                        path=(name,),
                    )
        if self.text is not None:
            _check_content(self.text, ("text",))
        if self.messages is not None:
            if not 1 <= len(self.messages) <= 1_000:
                raise BadUserInput("messages takes 1 to 1,000 messages.", path=("messages",))
            for index, message in enumerate(self.messages):
                _check_content(message.content, ("messages", str(index), "content"))
                if message.tool_call_id is not None:
                    check_text(message.tool_call_id, ("messages", str(index), "toolCallId"))
        if self.idempotency_key is not None:
            check_idempotency_key(self.idempotency_key)
        _check_name("promptName", self.prompt_name, 64)
        _check_name("model", self.model, 256)
        _check_name("feature", self.feature, _LONGEST_FEATURE)
        check_json(self.variables, ("variables",))
        check_json(self.metadata, ("metadata",))
        check_json(self.response_schema, ("responseSchema",))
        self.parameters.check()

    @property
    def recorded_feature(self) -> str | None:
        """``feature`` where it is fit to be recorded: refused requests are recorded too."""
        try:
            _check_name("feature", self.feature, _LONGEST_FEATURE)
        except BadUserInput:
            return None
        return self.feature


def _check_name(name: str, text: str | None, longest: int) -> None:
    if text is not None:
        if not 1 <= len(text) <= longest:
            raise BadUserInput(f"{name} must have 1 to {longest} characters.", path=(name,))
        check_text(text, (name,))


def _check_content(content: str, path: tuple[str, ...]) -> None:
    if not content.strip():
        raise BadUserInput(f"{'.'.join(path)} is empty; give some text to complete.", path=path)
    check_text(content, path)


# ---------------------------------------------------------------- what comes back


class CompletionStatus(StrEnum):
    """Where a completion stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class FinishReason(StrEnum):
    """Why the text ends where it does."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


class Operation(StrEnum):
    """What a model was used for, by the name that telemetry has for it."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class AttemptOutcome(StrEnum):
    """How one call of one provider ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens and what they cost in USD. ``is_estimated``: the provider did not report them.

    ``cached_tokens`` are among those of the prompt, ``reasoning_tokens`` among those of the answer.
    ``is_priced``: ``cost`` is all of it; else some of it was used of a model that had no price.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    is_estimated: bool = False
    cost: Decimal = Decimal(0)
    reasoning_tokens: int = 0
    is_priced: bool = True

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.is_estimated or other.is_estimated,
            self.cost + other.cost,
            self.reasoning_tokens + other.reasoning_tokens,
            self.is_priced and other.is_priced,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one provider for a completion.

    ``first_token_ms`` is from the call to its first event; None where there was none.
    """

    provider: str
    model: str
    outcome: AttemptOutcome
    latency_ms: int
    error_code: ErrorCode | None = None
    usage: TokenUsage = TokenUsage()
    first_token_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How an answer came about. What was saved is what the answer had taken when it was made.

    ``cache`` is None where the request ended before the cache was asked. ``first_token_ms`` is from
    the request to what was first heard of an answer; None where nothing was.
    ``most_output_tokens`` is how long a budget let the answer be, where the request left that open;
    None where it did not, and where no budget held.
    """

    rule_name: str | None = None
    candidates: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    overhead_ms: float = 0.0
    cache: CacheVerdict | None = None
    saved_tokens: int = 0
    saved_cost: Decimal = Decimal(0)
    first_token_ms: int | None = None
    most_output_tokens: int | None = None

    @property
    def similarity(self) -> float | None:
        """Cosine with the question that was answered; None where it was not found by meaning."""
        if self.cache is None or self.cache.outcome is not CacheOutcome.SEMANTIC:
            return None
        return self.cache.similarity


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished or running completion, as stored and as answered. ``model`` is a model id.

    ``json`` is the parsed answer where a response schema was given and is satisfied.
    """

    id: UUID
    caller: Caller
    status: CompletionStatus
    created_at: datetime
    model: str
    text: str = ""
    finish_reason: FinishReason | None = None
    prompt_version_id: UUID | None = None
    usage: TokenUsage = TokenUsage()
    cache: CacheOutcome = CacheOutcome.BYPASSED
    decision: Decision = field(default_factory=Decision)
    latency_ms: int = 0
    error_code: ErrorCode | None = None
    feature: str | None = None
    json: JsonValue = None
    operation: Operation = Operation.CHAT


# ------------------------------------------------- what a provider yields, what a stream carries


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer; the whole of it where the call was not streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call that the model asks for.

    ``index`` tells the calls of one answer apart. ``id`` and ``name`` come once, with a call's
    first piece; ``id`` is None where the provider gives none. ``arguments`` is a fragment of
    JSON text: only all fragments of a call together can be parsed.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The provider's last event: why it stopped and what it counted. None is not reported."""

    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


ProviderEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | GenerationFinished


@dataclass(frozen=True, slots=True)
class CompletionStarted:
    """A model was chosen and is about to answer."""

    completion_id: UUID
    model: str
    prompt_version_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CompletionRestarted:
    """Another model starts over: what was streamed so far is void."""

    model: str
    reason: ErrorCode


@dataclass(frozen=True, slots=True)
class CompletionContinued:
    """Another model goes on from the text so far."""

    model: str
    reason: ErrorCode


@dataclass(frozen=True, slots=True)
class CompletionFinished:
    """Ends a stream that succeeded."""

    completion: Completion


@dataclass(frozen=True, slots=True)
class CompletionFailed:
    """Ends a stream that failed as expected failures do."""

    completion_id: UUID | None
    code: ErrorCode
    message: str
    is_retryable: bool
    retry_after_ms: int | None


ProgressEvent: TypeAlias = (
    CompletionStarted | TextDelta | ReasoningDelta | CompletionRestarted | CompletionContinued
)
"""What the flow emits while it runs."""

StreamEvent: TypeAlias = ProgressEvent | CompletionFinished | CompletionFailed
"""What a stream's subscriber receives: progress, then exactly one of the two ends."""
