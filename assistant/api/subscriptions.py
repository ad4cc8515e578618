"""Every subscription, named once, with the scope that it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from assistant.api import budget_alert, completion_stream, model_pull, prompt_testing
from assistant.api.budget_alert import BudgetAlert
from assistant.api.completion_request import CompletionRequest
from assistant.api.completion_stream import CompletionChunk, ResumeCompletion
from assistant.api.context import Info
from assistant.api.model_pull import ModelPullProgress
from assistant.api.prompt_testing import PromptTestingInput, PromptTestProgress


@strawberry.type(description="What can be watched.")
class Subscription:
    @strawberry.subscription(
        description="Starts a completion and streams it; or, given `resume`, re-attaches to one "
        "without starting or paying again, on any replica, until ten minutes after its end. A "
        "stream that nobody reads goes on for half a minute. Needs assistant:complete."
    )
    def completion_stream(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            CompletionRequest | None, strawberry.argument(description="What to complete, and how.")
        ] = None,
        resume: Annotated[
            ResumeCompletion | None,
            strawberry.argument(description="Which stream to pick up, instead, and where."),
        ] = None,
    ) -> AsyncIterator[CompletionChunk]:
        return completion_stream.completion_stream(info, input, resume)

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

    @strawberry.subscription(
        description="Runs a prompt's tests against one of its versions and reports each case as it "
        "ends; leaving ends the run. Needs assistant:prompts:write and assistant:complete."
    )
    def test_prompt_version(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the argument's name in the schema
            PromptTestingInput,
            strawberry.argument(description="Which version, and by which model."),
        ],
    ) -> AsyncIterator[PromptTestProgress]:
        return prompt_testing.watch_prompt_tests(info, input)

    @strawberry.subscription(
        description="Reports each step of a budget that is reached, from now on. With "
        "assistant:admin those of the whole tenant; otherwise those of the caller's own user and, "
        "with assistant:usage:read, of its service. Who is too slow to read misses the oldest of "
        "more than a hundred."
    )
    def budget_alerts(self, info: Info) -> AsyncIterator[BudgetAlert]:
        return budget_alert.budget_alerts(info)
