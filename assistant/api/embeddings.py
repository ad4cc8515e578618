"""Embeddings as clients ask for them and see them."""

from __future__ import annotations

from typing import cast

import strawberry

from assistant.api.completion import TokenUsage
from assistant.api.context import Context, Info
from assistant.api.model import Model
from assistant.domain.embeddings import DEFAULT_MODEL, EmbeddingsRequest


@strawberry.input(description="Which texts to embed, and by which model.")
class EmbeddingsInput:
    texts: list[str] = strawberry.field(
        description="1 to 1,024 texts of 1 to 100,000 characters; at most 1,000,000 in all."
    )
    model: str | None = strawberry.field(
        default=None,
        description="A model's id, or its name without a provider. Defaults to the built-in "
        "MiniLM, builtin/all-minilm-l6-v2.",
    )

    def to_domain(self, context: Context) -> EmbeddingsRequest:
        model = DEFAULT_MODEL if self.model is None else self.model
        return EmbeddingsRequest(context.caller, tuple(self.texts), model)


@strawberry.type(description="Texts as vectors.")
class EmbeddingsPayload:
    model: Model = strawberry.field(description="The model that made them.")
    dimensions: int = strawberry.field(description="How many numbers each vector has.")
    vectors: list[list[float]] = strawberry.field(
        description="One vector of length 1 (L2) per text, in order: the dot product of two is "
        "their cosine similarity."
    )
    usage: TokenUsage = strawberry.field(description="Tokens of all texts, and what they cost.")


async def create_embeddings(info: Info, wanted: EmbeddingsInput) -> EmbeddingsPayload:
    """Embed texts."""
    context = info.context
    found = await context.services.embeddings.embed(wanted.to_domain(context))
    return EmbeddingsPayload(
        model=Model.of(found.model),
        dimensions=found.dimensions,
        vectors=cast("list[list[float]]", found.vectors),
        usage=TokenUsage.of(found.usage),
    )
