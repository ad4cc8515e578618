"""The domain's closed sets as GraphQL enums: one line for each value that a client can meet."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from assistant.domain.budget import BudgetPeriod, LimitScope
from assistant.domain.cache import CacheOutcome, CachePolicy, CacheSharing
from assistant.domain.completion import (
    AttemptOutcome,
    CompletionStatus,
    FinishReason,
    InterruptionPolicy,
    MessageRole,
)
from assistant.domain.model import (
    CircuitState,
    ModelCapability,
    ProviderKind,
    RoutingStrategy,
    TaskType,
)
from assistant.domain.prompt import PromptOrderField, PromptVersionStatus, VariableType
from assistant.domain.prompt_test import PromptTestOutcome, PromptTestStatus
from assistant.domain.rate_limit import LimitMeasure
from assistant.domain.rollout import ReleaseKind
from assistant.domain.tokens import TokenMethod
from assistant.domain.usage import UsageGranularity, UsageMeasure, UsagePeriod
from assistant.errors import ErrorCode

E = TypeVar("E", bound=type[Enum])


def _described(enum: E, description: str, /, name: str | None = None, **values: str) -> E:
    """Register a domain enum with a description for it and for each of its values."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    assert {value.name for value in definition.values} == set(values), enum
    for value in definition.values:
        value.description = values[value.name]
    return enum


_described(
    ErrorCode,
    "Why a completion failed; generateCompletion carries the same codes in errors[].extensions.code.",
    name="CompletionErrorCode",
    BAD_USER_INPUT="The input breaks a rule; the message names the field and says what to do.",
    UNAUTHENTICATED="No credentials, or credentials that are not valid.",
    FORBIDDEN="The caller lacks a scope, or the model is not allowed.",
    NOT_FOUND="It does not exist, or not for this caller.",
    CONFLICT="Somebody else changed it meanwhile.",
    RATE_LIMITED="Too many requests or tokens; wait for retryAfterMs.",
    BUDGET_EXCEEDED="A budget is used up until its window ends.",
    CONTENT_FILTERED="The prompt or the answer was refused by the content filter.",
    CONTEXT_LENGTH_EXCEEDED="The prompt does not fit the context window of any model that may serve it.",
    PROVIDER_UNAVAILABLE="No provider that may serve this can be reached now.",
    PROVIDER_REJECTED="The provider understood the call and refused it.",
    PROVIDER_TIMEOUT="The provider did not answer within the time limit.",
    STREAM_INTERRUPTED="The provider broke off in the middle of the answer.",
    INVALID_RESPONSE="The provider's answer is malformed, or does not satisfy the schema.",
    TOOL_FAILED="A tool that the model called failed.",
    RESUME_EXPIRED="The stream can no longer be resumed.",
    CANCELLED="The completion was stopped.",
    INTERNAL_SERVER_ERROR="Something broke inside the service; it has been logged.",
)
_described(
    MessageRole,
    "Who says a message.",
    SYSTEM="Instructions that stand above the conversation.",
    USER="The person or service that asks.",
    ASSISTANT="The model.",
    TOOL="The result of a tool that the model called.",
)
_described(
    CompletionStatus,
    "Where a completion stands.",
    RUNNING="A provider is working on it.",
    SUCCEEDED="It has its answer.",
    FAILED="It ended without a whole answer.",
    CANCELLED="It was stopped before it ended.",
)
_described(
    FinishReason,
    "Why the text ends where it does.",
    STOP="The model was done, or met a stop text.",
    LENGTH="It reached maxTokens or the end of its window.",
    TOOL_CALLS="It asks for tools to be called.",
    CONTENT_FILTER="The provider's filter cut it.",
    CANCELLED="It was stopped.",
    ERROR="It failed.",
)
_described(
    CacheOutcome,
    "Whether the answer came from the cache, and how.",
    MISS="A model answered.",
    EXACT="An identical request had been answered before.",
    SEMANTIC="A request of the same meaning had been answered before.",
    COALESCED="An identical request was running; this one shared its answer.",
    BYPASSED="The cache was not consulted.",
)
_described(
    CachePolicy,
    "Whether an answer that was made before will do.",
    DEFAULT="The answer to the very same request, or to one of the same meaning where the prompt "
    "lets it; what is answered is kept.",
    EXACT_ONLY="The answer to the very same request; what is answered is kept.",
    BYPASS="A model answers, and nothing is kept.",
    REFRESH="A model answers, and what it answers is kept in place of what there was.",
)
_described(
    CacheSharing,
    "Whose requests one kept answer may serve. Never another tenant's.",
    USER="The user's who asked first; where no user is involved, the service's.",
    TENANT="Everybody's of the tenant. For prompts whose answers are nobody's secret.",
)
_described(
    AttemptOutcome,
    "How one call of one provider ended.",
    SUCCEEDED="It answered.",
    FAILED="It answered with an error, or broke off.",
    TIMED_OUT="It did not answer in time.",
    CIRCUIT_OPEN="It was not called, because it has been failing.",
    CANCELLED="It was stopped.",
)
_described(
    ModelCapability,
    "What a model can do.",
    CHAT="Answers messages.",
    TOOLS="Calls tools.",
    VISION="Reads images.",
    EMBEDDING="Turns texts into vectors.",
    STRUCTURED_OUTPUT="Answers in a given JSON Schema.",
    REASONING="Thinks before it answers, visibly.",
)
_described(
    ProviderKind,
    "The wire protocol that a provider speaks.",
    OLLAMA="Ollama's native API.",
    OPENAI="OpenAI's chat completions, and every host compatible with them.",
    ANTHROPIC="Anthropic's messages.",
    BUILTIN="Runs inside this service.",
)
_described(
    TaskType,
    "What kind of work a prompt is; decides which models can serve it.",
    GENERAL="Anything else.",
    SUMMARIZATION="Says a text in fewer sentences.",
    TITLE_GENERATION="Gives a text a title.",
    KEYWORD_EXTRACTION="Finds the phrases that a text is about.",
    CLASSIFICATION="Chooses one of some labels.",
    QUESTION_ANSWERING="Answers a question, from a context where one is given.",
    CODE_GENERATION="Writes code.",
    CODE_REVIEW="Judges code.",
    REASONING="Works something out step by step.",
    ERROR_DIAGNOSIS="Explains an error.",
    DATA_INTERPRETATION="Says what data means.",
    WORKFLOW_GENERATION="Plans steps.",
    EXTRACTION="Takes structured data out of a text.",
    REWRITING="Says a text in other words.",
)
_described(
    PromptVersionStatus,
    "Where a version of a prompt stands.",
    DRAFT="Never given to callers.",
    PUBLISHED="Given to callers now: to all, or to those that a rollout gives it to.",
    ARCHIVED="No longer given to callers.",
)
_described(
    PromptOrderField,
    "What a list of prompts is sorted by.",
    NAME="The name, by code point.",
    CREATED_AT="When the prompt was created.",
    UPDATED_AT="When the prompt was last changed.",
)
_described(
    VariableType,
    "What the value of a prompt's variable may be.",
    name="PromptVariableType",
    ANY="Whatever the template can print, or open as a section.",
    STRING="A text.",
    INTEGER="A whole number.",
    NUMBER="A number.",
    BOOLEAN="true or false.",
    LIST="A list of anything.",
    OBJECT="An object of anything.",
)
_described(
    ReleaseKind,
    "What changed which versions callers get.",
    name="PromptReleaseKind",
    PUBLISHED="A version was given to all callers.",
    ROLLOUT="Callers were split between versions.",
    ROLLED_BACK="A version was taken back because it did worse than its prompt's guard allows.",
)
_described(
    PromptTestStatus,
    "How a run of a prompt's tests stands.",
    RUNNING="Cases are still to end.",
    PASSED="Every case has passed.",
    FAILED="Some case has not passed.",
    CANCELLED="It was stopped, or who watched it left.",
)
_described(
    PromptTestOutcome,
    "What became of a case of a prompt's tests.",
    PASSED="Everything that it asserts holds.",
    FAILED="Something that it asserts does not hold.",
    ERROR="There was no answer to judge, or no judge.",
)
_described(
    UsagePeriod,
    "A period of time, seen from now; days begin in the tenant's time zone, weeks on Monday.",
    TODAY="Since midnight.",
    THIS_WEEK="Since Monday's midnight.",
    THIS_MONTH="Since the first of the month.",
    LAST_24_HOURS="The last 24 hours.",
    LAST_7_DAYS="The last 7 days.",
    LAST_30_DAYS="The last 30 days.",
    LAST_90_DAYS="The last 90 days.",
)
_described(
    UsageGranularity,
    "How long each point of a trend is.",
    HOUR="An hour of UTC.",
    DAY="A day in the tenant's time zone, of 23 or 25 hours where clocks are changed.",
    WEEK="Monday to Sunday in the tenant's time zone.",
    MONTH="A month in the tenant's time zone.",
)
_described(
    UsageMeasure,
    "What makes one use more than another.",
    TOKENS="Prompt and answer tokens.",
    COST="What they cost.",
    REQUESTS="How often they asked.",
)


class OrderDirection(Enum):
    """Which end of a list comes first."""

    ASC = "ASC"
    DESC = "DESC"


_described(
    CircuitState,
    "Whether a model of a provider is called.",
    CLOSED="It is called.",
    OPEN="It has been failing and is not called.",
    HALF_OPEN="One call at a time may try whether it works again.",
)
_described(
    OrderDirection,
    "Which end of a list comes first.",
    ASC="The smallest or earliest first.",
    DESC="The largest or latest first.",
)
_described(
    RoutingStrategy,
    "Which of the models that may serve a request are tried first, or at all.",
    LOCAL_FIRST="Models on our own machines first, then the others by price.",
    LOCAL_ONLY="Only models on our own machines.",
    CLOUD_FIRST="Models of others first, then our own.",
    CLOUD_ONLY="Only models of others.",
    FASTEST="By the time that each has lately taken to begin its answer.",
    CHEAPEST="By what this request is estimated to cost.",
)
_described(
    InterruptionPolicy,
    "What to do when a provider breaks off after some of its answer was streamed.",
    ERROR="The stream ends with CompletionFailed(STREAM_INTERRUPTED).",
    RESTART="Another model starts over, after CompletionRestarted: what was streamed is void.",
    CONTINUE="Another model goes on from the text so far, after CompletionContinued.",
)
_described(
    TokenMethod,
    "How a prompt's tokens were counted before a call.",
    name="TokenCountMethod",
    EXACT="With the model's own tokenizer; only what its provider adds to the texts is estimated.",
    CALIBRATED="Estimated, with weights learnt from what the provider counted before.",
    ESTIMATE="Estimated by the text alone.",
)
_described(
    LimitScope,
    "Whom a budget or a rate limit is about, within a tenant.",
    name="Scope",
    GLOBAL="All of the tenant together.",
    SERVICE="A calling service, or every one of them.",
    USER="A person, or every one of them.",
    API_KEY="An API key, or every one of them; for rate limits only.",
)
_described(
    BudgetPeriod,
    "How long a budget's windows are, in the tenant's time zone.",
    name="BudgetWindow",
    DAY="From midnight to midnight.",
    WEEK="From Monday's midnight.",
    MONTH="From the first of the month.",
)
_described(
    LimitMeasure,
    "What a rate limit counts.",
    REQUESTS="Requests, those answered from the cache included.",
    TOKENS="Tokens of prompts and answers, as models use them.",
)
