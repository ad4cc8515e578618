"""The errors a caller can meet, and nothing else.

    AssistantError                   code, message, retry_after_s
    ├── RequestError                 the caller can mend it
    │   ├── BadUserInput             path: the input field at fault
    │   ├── Unauthenticated
    │   ├── Forbidden
    │   ├── NotFound
    │   ├── Conflict                 somebody else changed it meanwhile
    │   ├── ResumeExpired            the events of the stream are no longer kept
    │   ├── ContextLengthExceeded
    │   └── AdmissionRefused         this caller may not now; details: by what, until when
    │       ├── LimitReached         more requests or tokens in a time than a rate limit allows
    │       └── BudgetExceeded       what is left of a budget is less than it may cost
    │           └── PriceUnknown     nobody knows what it may cost, and a budget is to be kept
    ├── UpstreamError                a provider failed us
    │   ├── ProviderUnavailable      could not be reached, or answered that it cannot serve now
    │   │   ├── ModelMissing         is there, but does not have the model
    │   │   └── CircuitOpen          failed so often that it is not called for a while
    │   ├── RateLimited              takes no more calls of ours now, or we hold them back
    │   │   └── ProviderBusy         our own queue for it is full, or was waited in too long
    │   ├── ProviderRejected         understood the call and refused it
    │   │   └── QuotaExhausted       its account with the provider is used up
    │   ├── ProviderTimeout
    │   │   └── TimeLimitReached     within the limits of the provider, but the caller's is up
    │   ├── StreamInterrupted        broke off after text had been received
    │   │   ├── ReaderTooSlow        the stream goes on, but not for one who reads it so slowly
    │   │   └── StreamUnreadable     the stream goes on, but where it is kept cannot be read now
    │   └── InvalidResponse          answered something that is not its protocol
    │       └── SchemaViolated       answered, but not what the response schema asks for
    ├── CompletionCancelled          somebody stopped it
    ├── StorageUnavailable           our own database; reported as INTERNAL_SERVER_ERROR
    ├── EntryReaped                  this process was taken for dead, and its completion settled
    └── InternalError                a defect of ours; its cause is in the log, not in the message

Foreign errors are translated once, in the adapter that meets them (``raise ... from``).
Messages are written for the caller: they say what to do, and never hold prompt text or keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar
from uuid import UUID


class ErrorCode(StrEnum):
    """What a client branches on. The values are the schema's ``CompletionErrorCode``."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    RATE_LIMITED = "RATE_LIMITED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    CONTENT_FILTERED = "CONTENT_FILTERED"
    CONTEXT_LENGTH_EXCEEDED = "CONTEXT_LENGTH_EXCEEDED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
    INVALID_RESPONSE = "INVALID_RESPONSE"
    TOOL_FAILED = "TOOL_FAILED"
    RESUME_EXPIRED = "RESUME_EXPIRED"
    CANCELLED = "CANCELLED"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class AssistantError(Exception):
    """Root of every error that this service raises on purpose.

    ``retry_after_s`` is how long to wait before the same call may succeed; None where
    waiting alone will not help or where nobody knows. ``completion_id`` is the completion that
    the error ended, None where none had begun.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_SERVER_ERROR
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.completion_id: UUID | None = None

    @property
    def retry_after_ms(self) -> int | None:
        """``retry_after_s`` as clients get it: whole milliseconds, never too few."""
        if self.retry_after_s is None:
            return None
        # 2.007 s is a little more than 2,007 ms, as floats go.
        return math.ceil(round(1000 * self.retry_after_s, 6))

    def to_json(self) -> dict[str, str | float | None]:
        """What it takes to raise it elsewhere, with ``error_of``."""
        return {
            "code": self.code,
            "message": self.message,
            "retry_after_s": self.retry_after_s,
        }


class RequestError(AssistantError):
    """The caller can mend it."""


class BadUserInput(RequestError):
    """The input breaks a rule; ``path`` names the field, as in ``("variables", "text")``.

    ``also`` is what else is wrong with the same input, where more than one thing was looked for.
    """

    code = ErrorCode.BAD_USER_INPUT

    def __init__(
        self, message: str, *, path: tuple[str, ...] = (), also: tuple[BadUserInput, ...] = ()
    ) -> None:
        super().__init__(message)
        self.path = path
        self.also = also

    @property
    def every(self) -> tuple[BadUserInput, ...]:
        """This one and what else is wrong, however deep it was found."""
        return (self, *(each for other in self.also for each in other.every))

    def within(self, *outer: str) -> BadUserInput:
        """The same of an input that is a part of a larger one, its field ``outer``."""
        return BadUserInput(
            self.message,
            path=(*outer, *self.path),
            also=tuple(other.within(*outer) for other in self.also),
        )

    def renamed(self, names: Mapping[str, str]) -> BadUserInput:
        """The same to who knows fields by other ``names``, also where a message begins with one."""
        problems = []
        for each in self.every:
            path = tuple(names.get(part, part) for part in each.path)
            message = each.message
            if each.path and message.startswith(f"{each.path[-1]} "):
                message = path[-1] + message.removeprefix(each.path[-1])
            problems.append(BadUserInput(message, path=path))
        return BadUserInput.joined(problems)

    @staticmethod
    def joined(problems: Sequence[BadUserInput]) -> BadUserInput:
        """One error for all of ``problems``, of which there is at least one."""
        first, *others = (
            BadUserInput(each.message, path=each.path)
            for problem in problems
            for each in problem.every
        )
        return BadUserInput(first.message, path=first.path, also=tuple(others))


class Unauthenticated(RequestError):
    """Nobody, or not who they say they are."""

    code = ErrorCode.UNAUTHENTICATED


class Forbidden(RequestError):
    """Somebody, but not somebody who may do this."""

    code = ErrorCode.FORBIDDEN


class NotFound(RequestError):
    """It does not exist, or not for this caller; the two look alike on purpose."""

    code = ErrorCode.NOT_FOUND


class Conflict(RequestError):
    """Somebody else changed it meanwhile; read it again and decide anew."""

    code = ErrorCode.CONFLICT


class ResumeExpired(RequestError):
    """The events of a stream are no longer kept, or not those that were asked for."""

    code = ErrorCode.RESUME_EXPIRED


class ContextLengthExceeded(RequestError):
    """The prompt does not fit the model's context window."""

    code = ErrorCode.CONTEXT_LENGTH_EXCEEDED


class AdmissionRefused(RequestError):
    """This caller may not now, somebody else perhaps; ``details`` says by what and until when."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.details = details or {}


class LimitReached(AdmissionRefused):
    """A rate limit of ours is used up; ``retry_after_s`` is when there will be enough again."""

    code = ErrorCode.RATE_LIMITED
    is_retryable = True


class BudgetExceeded(AdmissionRefused):
    """Less is left of a budget than it may cost; ``retry_after_s`` is when its window ends."""

    code = ErrorCode.BUDGET_EXCEEDED


class PriceUnknown(BudgetExceeded):
    """The model has no price, and there is a budget to be kept."""


class UpstreamError(AssistantError):
    """A provider failed us."""

    is_retryable = True


class ProviderUnavailable(UpstreamError):
    """No provider that may serve this call can be reached, or none will take it now."""

    code = ErrorCode.PROVIDER_UNAVAILABLE


class ModelMissing(ProviderUnavailable):
    """The provider is there and does not have the model."""


class CircuitOpen(ProviderUnavailable):
    """The model failed so often that it is not called; ``retry_after_s`` is when it may be again."""


class RateLimited(UpstreamError):
    """The provider takes no more calls of ours now; ``retry_after_s`` is what it says, if it does."""

    code = ErrorCode.RATE_LIMITED


class ProviderBusy(RateLimited):
    """Our own queue for the provider is full, or the call waited in it for too long."""


class ProviderRejected(UpstreamError):
    """The provider understood the call and refused it; the same call will be refused again."""

    code = ErrorCode.PROVIDER_REJECTED
    is_retryable = False


class QuotaExhausted(ProviderRejected):
    """What the provider's account may spend is used up: waiting does not help, another one may."""


class ProviderTimeout(UpstreamError):
    """The provider did not answer within the time limit."""

    code = ErrorCode.PROVIDER_TIMEOUT


class TimeLimitReached(ProviderTimeout):
    """The caller's own time limit is up. It says nothing of the provider."""


class StreamInterrupted(UpstreamError):
    """The provider broke off in the middle of an answer."""

    code = ErrorCode.STREAM_INTERRUPTED


class ReaderTooSlow(StreamInterrupted):
    """A reader fell too far behind. The completion goes on: resume after ``last_event_id``."""

    def __init__(self, last_event_id: str) -> None:
        super().__init__(
            "This connection is too slow for the stream. The completion goes on: resume it after "
            f"event {last_event_id}."
        )
        self.last_event_id = last_event_id


class StreamUnreadable(StreamInterrupted):
    """A stream cannot be read here now. It may go on: resume it after ``last_event_id``.

    None where the reader has had no event of it.
    """

    def __init__(self, last_event_id: str | None) -> None:
        super().__init__(
            "The stream cannot be read at this moment. The completion goes on: resume it in a "
            "second.",
            retry_after_s=1.0,
        )
        self.last_event_id = last_event_id


class InvalidResponse(UpstreamError):
    """The provider's answer is not its protocol, or does not satisfy what was asked."""

    code = ErrorCode.INVALID_RESPONSE


class SchemaViolated(InvalidResponse):
    """The answer is whole, but does not satisfy the response schema."""


class CompletionCancelled(AssistantError):
    """Somebody stopped the completion: its client went away, or the service is shutting down."""

    code = ErrorCode.CANCELLED
    is_retryable = True


class StorageUnavailable(AssistantError):
    """The database cannot be reached or refuses to write; what was not recorded is not final."""

    is_retryable = True


class EntryReaped(AssistantError):
    """The process was not heard of for so long that its completion was settled for it."""

    is_retryable = True


class InternalError(AssistantError):
    """A defect of ours: nothing the caller did, and nothing that the caller can mend."""


def error_of(json: Mapping[str, object]) -> AssistantError:
    """An error that was met elsewhere, as the most general one of its code."""
    waiting: list[type[AssistantError]] = AssistantError.__subclasses__()
    kind: type[AssistantError] = InternalError
    for each in waiting:
        # Its own code: families have that of a defect, which is none of theirs.
        if vars(each).get("code") == json["code"]:
            kind = each
            break
        waiting.extend(each.__subclasses__())
    retry_after_s = json["retry_after_s"]
    return kind(
        str(json["message"]),
        retry_after_s=retry_after_s if isinstance(retry_after_s, float | int) else None,
    )
