"""Every root field, named once, with the scope that it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from assistant.api import (
    completion,
    completion_stream,
    embeddings,
    model,
    model_changes,
    model_pull,
    prompt,
    route_explanation,
    routing_rule,
    usage,
)
from assistant.api.completion import CompletionResponse
from assistant.api.completion_request import CompletionRequest
from assistant.api.completion_stream import CHUNKS, CompletionChunk
from assistant.api.connection import AFTER, FIRST
from assistant.api.context import Info
from assistant.api.embeddings import EmbeddingsInput, EmbeddingsPayload
from assistant.api.federation import SubgraphSchema, assumed_size, cost, list_size
from assistant.api.model import Model, ModelGroup, Provider
from assistant.api.model_changes import (
    ModelGroupInput,
    ModelGroupPayload,
    ModelInput,
    ModelPayload,
    ProviderInput,
    ProviderPayload,
)
from assistant.api.model_pull import ModelPullProgress
from assistant.api.prompt import (
    READERS,
    Prompt,
    PromptConnection,
    PromptFilter,
    PromptOrder,
    PromptVersion,
    RenderedPrompt,
    RenderPromptInput,
)
from assistant.api.route_explanation import RouteExplanation
from assistant.api.routing_rule import RoutingRule, RoutingRuleInput, RoutingRulePayload
from assistant.api.scalars import SCALARS
from assistant.api.usage import Period, UsageSummary, User
from assistant.api.user_errors import DeletePayload
from assistant.domain.caller import Scope
from assistant.domain.model import ModelCapability
from assistant.domain.usage import UsagePeriod


@strawberry.type(description="What can be asked.")
class Query:
    @strawberry.field(
        description="The prompts of the catalog. Needs assistant:complete or assistant:prompts:write.",
        directives=[list_size()],
    )
    async def prompts(
        self,
        info: Info,
        filter: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptFilter | None, strawberry.argument(description="Which ones; all by default.")
        ] = None,
        order_by: Annotated[
            PromptOrder | None,
            strawberry.argument(description="In which order; by name by default."),
        ] = None,
        first: FIRST = 20,
        after: AFTER = None,
    ) -> PromptConnection:
        info.context.require(*READERS)
        return await prompt.prompts(info, filter, order_by, first, after)

    @strawberry.field(
        description="A prompt by its id. Needs assistant:complete or assistant:prompts:write."
    )
    async def prompt(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The prompt's id.")],  # noqa: A002
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await prompt.prompt(info, id)

    @strawberry.field(
        description="A prompt by its name. Needs assistant:complete or assistant:prompts:write."
    )
    async def prompt_by_name(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="The prompt's name.")],
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await prompt.prompt_by_name(info, name)

    @strawberry.field(
        description="Renders a prompt without calling a model: what would be sent, and how many "
        "tokens it is estimated at. Needs assistant:complete or assistant:prompts:write."
    )
    async def render_prompt(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            RenderPromptInput, strawberry.argument(description="The prompt and its variables.")
        ],
    ) -> RenderedPrompt:
        info.context.require(*READERS)
        return await prompt.render_prompt(info, input)

    @strawberry.field(
        description="The models that providers have now. Needs assistant:complete.",
        directives=[assumed_size(50)],
    )
    async def available_models(
        self,
        info: Info,
        capability: Annotated[
            ModelCapability | None, strawberry.argument(description="Only those that can do this.")
        ] = None,
    ) -> list[Model]:
        info.context.require(Scope.COMPLETE)
        return await model.available_models(info, capability)

    @strawberry.field(description="Every model group. Needs assistant:complete.")
    async def model_groups(self, info: Info) -> list[ModelGroup]:
        info.context.require(Scope.COMPLETE)
        return await model.model_groups(info)

    @strawberry.field(
        description="Every configured provider with its health and circuit state. Needs "
        "assistant:complete."
    )
    async def providers(self, info: Info) -> list[Provider]:
        info.context.require(Scope.COMPLETE)
        return await model.providers(info)

    @strawberry.field(
        description="The routing rules that the tenant's requests meet, in the order in which they "
        "are tried. Needs assistant:admin.",
        directives=[assumed_size(50)],
    )
    async def routing_rules(self, info: Info) -> list[RoutingRule]:
        info.context.require(Scope.ADMIN)
        return await routing_rule.routing_rules(info)

    @strawberry.field(
        description="What the router would do with this request, and why. Calls no model. Needs "
        "assistant:complete."
    )
    async def explain_route(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CompletionRequest, strawberry.argument(description="As for generateCompletion.")
        ],
    ) -> RouteExplanation:
        info.context.require(Scope.COMPLETE)
        return await route_explanation.explain_route(info, input)

    @strawberry.field(
        description="A finished or running completion of the caller; administrators see all of "
        "their tenant's. Needs any valid credential."
    )
    async def completion(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The completion's id.")],  # noqa: A002
    ) -> CompletionResponse | None:
        return await completion.completion(info, id)

    @strawberry.field(
        description="What the caller used: the user, or the service where no user is involved. "
        "Needs any valid credential."
    )
    async def my_usage(self, info: Info, period: Period = UsagePeriod.THIS_MONTH) -> UsageSummary:
        return await usage.my_usage(info, period)


@strawberry.type(description="What can be done.")
class Mutation:
    @strawberry.mutation(
        description="Runs one completion and waits for its result. Needs assistant:complete.",
        directives=[cost(100)],
    )
    async def generate_completion(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CompletionRequest, strawberry.argument(description="What to complete, and how.")
        ],
    ) -> CompletionResponse:
        return await completion.generate_completion(info, input)

    @strawberry.mutation(
        description="L2-normalised embeddings, one per text, in order. Needs assistant:complete.",
        directives=[cost(10)],
    )
    async def create_embeddings(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            EmbeddingsInput, strawberry.argument(description="The texts, and by which model.")
        ],
    ) -> EmbeddingsPayload:
        return await embeddings.create_embeddings(info, input)

    @strawberry.mutation(
        description="Adds a routing rule; one of the tenant's own takes the place of the "
        "platform's of the same name. Needs assistant:admin."
    )
    async def create_routing_rule(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            RoutingRuleInput, strawberry.argument(description="What the rule says.")
        ],
    ) -> RoutingRulePayload:
        info.context.require(Scope.ADMIN)
        return await routing_rule.create_routing_rule(info, input)

    @strawberry.mutation(
        description="Says anew what a routing rule says. Needs assistant:admin; the platform's "
        "rules are the operator's to change."
    )
    async def update_routing_rule(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The rule's id.")],  # noqa: A002
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            RoutingRuleInput, strawberry.argument(description="What the rule says from now on.")
        ],
    ) -> RoutingRulePayload:
        info.context.require(Scope.ADMIN)
        return await routing_rule.update_routing_rule(info, id, input)

    @strawberry.mutation(
        description="Deletes a routing rule. Needs assistant:admin; the platform's rules are the "
        "operator's to delete."
    )
    async def delete_routing_rule(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The rule's id.")],  # noqa: A002
    ) -> DeletePayload:
        info.context.require(Scope.ADMIN)
        return await routing_rule.delete_routing_rule(info, id)

    @strawberry.mutation(
        description="Adds a model group or replaces one; a group of the tenant's own takes the "
        "place of the platform's of the same name. Needs assistant:admin."
    )
    async def set_model_group(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            ModelGroupInput, strawberry.argument(description="The group.")
        ],
    ) -> ModelGroupPayload:
        info.context.require(Scope.ADMIN)
        return await model_changes.set_model_group(info, input)

    @strawberry.mutation(
        description="Adds a provider or changes one. Keys stay in the environment; the row names "
        "the variable. Needs assistant:admin."
    )
    async def set_provider(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            ProviderInput, strawberry.argument(description="The provider.")
        ],
    ) -> ProviderPayload:
        info.context.require(Scope.ADMIN)
        return await model_changes.set_provider(info, input)

    @strawberry.mutation(
        description="Deletes a provider of the tenant's own, and what the catalog says of its "
        "models. Needs assistant:admin; the platform's providers are the operator's to delete."
    )
    async def delete_provider(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="The provider's name.")],
    ) -> DeletePayload:
        info.context.require(Scope.ADMIN)
        return await model_changes.delete_provider(info, name)

    @strawberry.mutation(
        description="Adds a model or changes its window, prices, capabilities or permission; "
        "absent fields stay as they are. Needs assistant:admin."
    )
    async def set_model(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            ModelInput, strawberry.argument(description="What changes, and of which model.")
        ],
    ) -> ModelPayload:
        info.context.require(Scope.ADMIN)
        return await model_changes.set_model(info, input)

    @strawberry.mutation(
        description="Removes a model: its row, and where its provider is local the model itself. "
        "Needs assistant:admin; the platform's rows and hosts are the operator's."
    )
    async def delete_model(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID,
            strawberry.argument(description="provider/name, as in ollama/llama3.2:3b."),
        ],
    ) -> DeletePayload:
        info.context.require(Scope.ADMIN)
        return await model_pull.delete_model(info, id)


@strawberry.type(description="What can be watched.")
class Subscription:
    @strawberry.subscription(
        description="Starts a completion and streams it. Needs assistant:complete."
    )
    def completion_stream(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CompletionRequest | None, strawberry.argument(description="What to complete, and how.")
        ] = None,
    ) -> AsyncIterator[CompletionChunk]:
        return completion_stream.completion_stream(info, input)

    @strawberry.subscription(
        description="Pulls a model into the local provider and reports progress. The download goes "
        "on when its watchers leave; subscribing again joins it. Needs assistant:admin, and a "
        "model that is allowed."
    )
    def model_pull(
        self,
        info: Info,
        name: Annotated[
            str,
            strawberry.argument(
                description="A model's id, as in ollama/llama3.2:3b, or the host's own name for it."
            ),
        ],
    ) -> AsyncIterator[ModelPullProgress]:
        return model_pull.model_pull(info, name)


ENTITIES = (CompletionResponse, Prompt, PromptVersion, Model, User)


def create_schema() -> SubgraphSchema:
    """The subgraph's schema, as gateways compose it and as the endpoint serves it."""
    return SubgraphSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[*ENTITIES, *CHUNKS],
        scalar_overrides=SCALARS,
    )
