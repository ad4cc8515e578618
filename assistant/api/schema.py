"""The schema: every root field, every entity, every type that only an interface leads to."""

from __future__ import annotations

from assistant.api.completion import CompletionResponse
from assistant.api.completion_stream import CHUNKS
from assistant.api.federation import SubgraphSchema
from assistant.api.model import Model
from assistant.api.mutations import Mutation
from assistant.api.prompt import Prompt
from assistant.api.prompt_version import PromptVersion
from assistant.api.queries import Query
from assistant.api.scalars import SCALARS
from assistant.api.subscriptions import Subscription
from assistant.api.usage import Service, User

ENTITIES = (CompletionResponse, Prompt, PromptVersion, Model, User, Service)


def create_schema() -> SubgraphSchema:
    """The subgraph's schema, as gateways compose it and as the endpoint serves it."""
    return SubgraphSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[*ENTITIES, *CHUNKS],
        scalar_overrides=SCALARS,
    )
