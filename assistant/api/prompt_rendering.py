"""What a prompt would send to a model, as clients see it."""

from __future__ import annotations

from typing import cast

import strawberry
from strawberry.scalars import JSON

from assistant.api.context import Info
from assistant.api.prompt_version import PromptVersion
from assistant.domain.completion import CompletionRequest, MessageRole
from assistant.domain.tokens import TokenMethod
from assistant.domain.values import JsonObject


@strawberry.input(description="A prompt to render.")
class RenderPromptInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    prompt_version: int | None = strawberry.field(
        default=None, description="Defaults to what the prompt's rollout gives this caller."
    )
    variables: JSON | None = strawberry.field(
        default=None, description="An object with a value for each variable."
    )


@strawberry.type(description="One message that would be sent.")
class RenderedMessage:
    role: MessageRole = strawberry.field(description="Who says it.")
    content: str = strawberry.field(description="What is said.")


@strawberry.type(description="What would be sent to a model.")
class RenderedPrompt:
    prompt_version: PromptVersion = strawberry.field(description="The version that was rendered.")
    messages: list[RenderedMessage] = strawberry.field(description="In order.")
    estimated_tokens: int = strawberry.field(
        description="How many tokens it has, by what tokenCountMethod says."
    )
    token_count_method: TokenMethod = strawberry.field(
        description="How the tokens were counted, for the model that it would be sent to first."
    )
    token_count_error: float | None = strawberry.field(
        description="What such counts have been off by on average, 0.05 for 5 %; null until known."
    )


async def render_prompt(info: Info, wanted: RenderPromptInput) -> RenderedPrompt:
    """What would be sent, and how many tokens it is estimated at."""
    context = info.context
    request = CompletionRequest(
        context.caller,
        prompt_name=wanted.prompt_name,
        prompt_version=wanted.prompt_version,
        variables=cast("JsonObject | None", wanted.variables),  # checked where it is bound
    )
    rendered, counted = await context.services.completions.preview(request)
    assert rendered.version is not None
    return RenderedPrompt(
        prompt_version=PromptVersion.of(rendered.version),
        messages=[
            RenderedMessage(role=message.role, content=message.content)
            for message in rendered.messages
        ],
        estimated_tokens=counted.tokens,
        token_count_method=counted.method,
        token_count_error=counted.error,
    )
