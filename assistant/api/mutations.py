"""Every mutation, named once, with the scope that it needs."""

from __future__ import annotations

from typing import Annotated

import strawberry

from assistant.api import (
    budget,
    cache,
    completion,
    embeddings,
    model_changes,
    model_pull,
    prompt_changes,
    prompt_publishing,
    prompt_testing,
    rate_limit,
    routing_rule,
)
from assistant.api.budget import (
    BudgetInput,
    BudgetOverrideInput,
    BudgetPayload,
    SetTimeZonePayload,
)
from assistant.api.cache import ClearCacheInput, ClearCachePayload, ReportCacheHitPayload
from assistant.api.completion import CancelCompletionPayload, CompletionResponse
from assistant.api.completion_request import CompletionRequest
from assistant.api.context import Info
from assistant.api.embeddings import EmbeddingsInput, EmbeddingsPayload
from assistant.api.federation import cost
from assistant.api.model_changes import (
    ModelGroupInput,
    ModelGroupPayload,
    ModelInput,
    ModelPayload,
    ProviderInput,
    ProviderPayload,
)
from assistant.api.prompt_changes import (
    CreatePromptInput,
    CreatePromptPayload,
    CreatePromptVersionPayload,
    DeletePromptPayload,
    PromptVersionInput,
    UpdatePromptInput,
    UpdatePromptPayload,
)
from assistant.api.prompt_publishing import (
    PromptRolloutInput,
    PublishPromptVersionInput,
    PublishPromptVersionPayload,
    SetPromptRolloutPayload,
)
from assistant.api.prompt_testing import (
    PromptTestingInput,
    PromptTestingPayload,
    PromptTestInput,
    PromptTestPayload,
)
from assistant.api.rate_limit import RateLimitInput, RateLimitPayload
from assistant.api.routing_rule import RoutingRuleInput, RoutingRulePayload
from assistant.api.user_errors import DeletePayload
from assistant.domain.caller import Scope


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
        description="Stops a running completion, on whichever replica it runs; its stream ends with "
        "CompletionFinished(finishReason: CANCELLED), and what was received is charged. One that "
        "has ended stays as it is. Needs assistant:complete; for others' completions "
        "assistant:admin."
    )
    async def cancel_completion(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The completion.")
        ],
    ) -> CancelCompletionPayload:
        info.context.require(Scope.COMPLETE)
        return await completion.cancel_completion(info, id)

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
        description="Adds a prompt of the tenant's own with its first version; it takes the place "
        "of the platform's of the same name. Needs assistant:prompts:write.",
    )
    async def create_prompt(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CreatePromptInput, strawberry.argument(description="The prompt and what it says.")
        ],
    ) -> CreatePromptPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_changes.create_prompt(info, input)

    @strawberry.mutation(
        description="Changes what describes a prompt, or brings an archived one back; what it says "
        "is changed by a new version. Needs assistant:prompts:write; the platform's prompts are "
        "the operator's to change.",
    )
    async def update_prompt(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The prompt's id.")
        ],
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            UpdatePromptInput, strawberry.argument(description="What changes.")
        ],
    ) -> UpdatePromptPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_changes.update_prompt(info, id, input)

    @strawberry.mutation(
        description="Archives a prompt: it can no longer be used, its versions and its history "
        "stay. Needs assistant:prompts:write; the platform's prompts are the operator's to "
        "archive.",
    )
    async def delete_prompt(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The prompt's id.")
        ],
    ) -> DeletePromptPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_changes.delete_prompt(info, id)

    @strawberry.mutation(
        description="Adds a version to a prompt, a draft with the next number; what the templates "
        "include is copied into it. Needs assistant:prompts:write; the platform's prompts are the "
        "operator's to change.",
    )
    async def create_prompt_version(
        self,
        info: Info,
        prompt_id: Annotated[strawberry.ID, strawberry.argument(description="The prompt's id.")],
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptVersionInput, strawberry.argument(description="What the version says.")
        ],
    ) -> CreatePromptVersionPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_changes.create_prompt_version(info, prompt_id, input)

    @strawberry.mutation(
        description="Makes a version the one that callers get, and ends a rollout. Publishing an "
        "older version is a rollback. Needs assistant:prompts:write; the platform's prompts are "
        "the operator's to publish.",
    )
    async def publish_prompt_version(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PublishPromptVersionInput, strawberry.argument(description="Which version, and why.")
        ],
    ) -> PublishPromptVersionPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_publishing.publish_prompt_version(info, input)

    @strawberry.mutation(
        description="Splits callers between versions; sticky per subject, the user or else the "
        "service. Needs assistant:prompts:write; the platform's prompts are the operator's to "
        "split.",
    )
    async def set_prompt_rollout(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptRolloutInput,
            strawberry.argument(description="The shares, and when one is taken back."),
        ],
    ) -> SetPromptRolloutPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_publishing.set_prompt_rollout(info, input)

    @strawberry.mutation(
        description="Adds a test to a prompt or changes the one of that name. Needs "
        "assistant:prompts:write; the platform's prompts are the operator's to test.",
    )
    async def set_prompt_test(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptTestInput, strawberry.argument(description="The test.")
        ],
    ) -> PromptTestPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_testing.set_prompt_test(info, input)

    @strawberry.mutation(
        description="Deletes a test of a prompt; runs that had it stay as they were. Needs "
        "assistant:prompts:write.",
    )
    async def delete_prompt_test(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The test's id.")
        ],
    ) -> DeletePayload:
        info.context.require(Scope.PROMPTS_WRITE)
        return await prompt_testing.delete_prompt_test(info, id)

    @strawberry.mutation(
        description="Runs a prompt's tests against one of its versions and waits for the last. "
        "Needs assistant:prompts:write and assistant:complete.",
        directives=[cost(100)],
    )
    async def test_prompt_version(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptTestingInput,
            strawberry.argument(description="Which version, and by which model."),
        ],
    ) -> PromptTestingPayload:
        info.context.require(Scope.PROMPTS_WRITE)
        info.context.require(Scope.COMPLETE)
        return await prompt_testing.run_prompt_tests(info, input)

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

    @strawberry.mutation(
        description="Adds a budget, or changes the one of the same scope, subject and window; it "
        "holds at once, on every replica, for what is spent before as well. Needs assistant:admin."
    )
    async def set_budget(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            BudgetInput, strawberry.argument(description="The budget, whole.")
        ],
    ) -> BudgetPayload:
        info.context.require(Scope.ADMIN)
        return await budget.set_budget(info, input)

    @strawberry.mutation(
        description="Raises a budget for its running window only, recorded with who and why. Needs "
        "assistant:admin."
    )
    async def override_budget(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The budget's id.")
        ],
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            BudgetOverrideInput, strawberry.argument(description="How much, and why.")
        ],
    ) -> BudgetPayload:
        info.context.require(Scope.ADMIN)
        return await budget.override_budget(info, id, input)

    @strawberry.mutation(
        description="Removes a budget, with what is counted for it; usage stays. Needs "
        "assistant:admin."
    )
    async def delete_budget(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The budget's id.")
        ],
    ) -> DeletePayload:
        info.context.require(Scope.ADMIN)
        return await budget.delete_budget(info, id)

    @strawberry.mutation(
        description="Sets the time zone in which the tenant's budgets begin their days, weeks and "
        "months, and reports theirs; UTC until it is set. Windows that run begin anew in it, with "
        "what was spent in them, and without overrides. Needs assistant:admin."
    )
    async def set_time_zone(
        self,
        info: Info,
        time_zone: Annotated[
            str, strawberry.argument(description="An IANA name, as in Europe/Berlin.")
        ],
    ) -> SetTimeZonePayload:
        info.context.require(Scope.ADMIN)
        return await budget.set_time_zone(info, time_zone)

    @strawberry.mutation(
        description="Adds a rate limit, or changes the one of the same scope, subject and measure. "
        "Needs assistant:admin."
    )
    async def set_rate_limit(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            RateLimitInput, strawberry.argument(description="The limit, whole.")
        ],
    ) -> RateLimitPayload:
        info.context.require(Scope.ADMIN)
        return await rate_limit.set_rate_limit(info, input)

    @strawberry.mutation(description="Removes a rate limit. Needs assistant:admin.")
    async def delete_rate_limit(
        self,
        info: Info,
        id: Annotated[  # noqa: A002 - the argument's name in the schema
            strawberry.ID, strawberry.argument(description="The limit's id.")
        ],
    ) -> DeletePayload:
        info.context.require(Scope.ADMIN)
        return await rate_limit.delete_rate_limit(info, id)

    @strawberry.mutation(
        description="Removes kept answers of the caller's tenant; the next requests are answered by "
        "models. Needs assistant:admin."
    )
    async def clear_cache(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            ClearCacheInput, strawberry.argument(description="Which ones.")
        ],
    ) -> ClearCachePayload:
        info.context.require(Scope.ADMIN)
        return await cache.clear_cache(info, input)

    @strawberry.mutation(
        description="Says that an answer which came from the cache was wrong, or that it was right. "
        "A wrong one is not given to that question again. Needs assistant:complete; of others' "
        "completions assistant:admin."
    )
    async def report_cache_hit(
        self,
        info: Info,
        completion_id: Annotated[
            strawberry.ID, strawberry.argument(description="The completion that was answered.")
        ],
        wrong: Annotated[
            bool, strawberry.argument(description="false where the answer was right.")
        ] = True,
    ) -> ReportCacheHitPayload:
        info.context.require(Scope.COMPLETE)
        return await cache.report_cache_hit(info, completion_id, wrong=wrong)
