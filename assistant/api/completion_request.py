"""What clients ask a completion with."""

from __future__ import annotations

from typing import cast

import strawberry
from strawberry.scalars import JSON

from assistant.api.context import Context
from assistant.domain import completion as domain
from assistant.domain.cache import CachePolicy
from assistant.domain.completion import InterruptionPolicy, MessageRole
from assistant.domain.model import RoutingStrategy
from assistant.domain.prompt_test import TEST_FEATURE
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput


@strawberry.input(description="One turn of a conversation.")
class MessageInput:
    role: MessageRole = strawberry.field(description="Who says it.")
    content: str = strawberry.field(description="What is said.")
    tool_call_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which call a TOOL message answers."
    )


@strawberry.input(
    description="How to generate; what is left out is left to the prompt, then to the model."
)
class GenerationParameters:
    temperature: float | None = strawberry.field(
        default=None, description="0 to 2; 0 is the most predictable."
    )
    top_p: float | None = strawberry.field(
        default=None, description="0 to 1: the share of likely tokens to choose from."
    )
    max_tokens: int | None = strawberry.field(
        default=None, description="The longest answer, in tokens; from 1."
    )
    stop: list[str] | None = strawberry.field(
        default=None, description="Up to 16 texts that end the answer."
    )
    seed: int | None = strawberry.field(
        default=None, description="The same seed asks for the same answer, where a model can."
    )
    timeout_ms: int | None = strawberry.field(
        default=None, description="Bounds the whole completion, all attempts together."
    )

    def to_domain(self) -> domain.GenerationParameters:
        return domain.GenerationParameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=None if self.stop is None else tuple(self.stop),
            seed=self.seed,
            timeout_ms=self.timeout_ms,
        )


@strawberry.input(description="Exactly one of promptName, messages and text says what to complete.")
class CompletionRequest:
    prompt_name: str | None = strawberry.field(
        default=None, description="A prompt of the catalog, rendered with `variables`."
    )
    prompt_version: int | None = strawberry.field(
        default=None, description="Defaults to what the prompt's rollout gives this caller."
    )
    variables: JSON | None = strawberry.field(
        default=None, description="An object with a value for each of the prompt's variables."
    )
    messages: list[MessageInput] | None = strawberry.field(
        default=None, description="A conversation to go on from."
    )
    text: str | None = strawberry.field(default=None, description="Shorthand for one user message.")
    model: str | None = strawberry.field(
        default=None,
        description="A model id, a model's name without its provider (any provider's), or a model "
        "group; the routing rules choose when it is absent.",
    )
    parameters: GenerationParameters | None = strawberry.field(
        default=None, description="How to generate."
    )
    response_schema: JSON | None = strawberry.field(
        default=None,
        description="A JSON Schema (draft 2020-12) that the answer must satisfy; the prompt's own "
        "by default.",
    )
    requires_accuracy: bool | None = strawberry.field(
        default=False, description="Routing rules can prefer better models for it."
    )
    strategy: RoutingStrategy | None = strawberry.field(
        default=None,
        description="Which models are tried first, or at all; the group's, else LOCAL_FIRST, by "
        "default.",
    )
    on_interruption: InterruptionPolicy | None = strawberry.field(
        default=InterruptionPolicy.ERROR,
        description="What to do when a provider breaks off after text was streamed. ERROR leaves it "
        "to the prompt.",
    )
    cache: CachePolicy | None = strawberry.field(
        default=CachePolicy.DEFAULT, description="Whether an answer that was made before will do."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="8 to 64 characters chosen by the client, such as a UUID. Repeating the request "
        "with it within 24 hours returns the first result, or joins it while it still runs, and "
        "never charges twice; another request with it is a CONFLICT.",
    )
    feature: str | None = strawberry.field(
        default=None,
        description="What part of the calling service this is for; usage is reported by it.",
    )
    metadata: JSON | None = strawberry.field(
        default=None, description="An object of the caller's own; not sent to models."
    )

    def to_domain(self, context: Context) -> domain.CompletionRequest:
        for name, value in (
            ("variables", self.variables),
            ("metadata", self.metadata),
            ("responseSchema", self.response_schema),
        ):
            if value is not None and not isinstance(value, dict):
                raise BadUserInput(f"{name} must be a JSON object, as in {{}}.", path=(name,))
        if self.feature == TEST_FEATURE:
            raise BadUserInput(
                f"feature {TEST_FEATURE} is for runs of prompts' tests. Choose another name.",
                path=("feature",),
            )
        return domain.CompletionRequest(
            caller=context.caller,
            prompt_name=self.prompt_name,
            prompt_version=self.prompt_version,
            variables=cast("JsonObject | None", self.variables),
            messages=None
            if self.messages is None
            else tuple(
                domain.Message(message.role, message.content, message.tool_call_id)
                for message in self.messages
            ),
            text=self.text,
            model=self.model,
            parameters=(self.parameters or GenerationParameters()).to_domain(),
            response_schema=cast("JsonObject | None", self.response_schema),
            requires_accuracy=bool(self.requires_accuracy),
            strategy=self.strategy,
            on_interruption=self.on_interruption or InterruptionPolicy.ERROR,
            cache=self.cache or CachePolicy.DEFAULT,
            idempotency_key=self.idempotency_key,
            feature=self.feature,
            metadata=cast("JsonObject | None", self.metadata),
        )
