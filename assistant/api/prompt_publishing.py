"""Changes to which versions of a prompt callers get: what clients send, and what they get."""

from __future__ import annotations

import strawberry

from assistant.api.context import Info
from assistant.api.prompt import Prompt
from assistant.api.prompt_changes import attempt_change
from assistant.api.prompt_version import PromptVersion
from assistant.api.user_errors import UserError
from assistant.domain import rollout as domain


@strawberry.input(description="A version that all callers are to get.")
class PublishPromptVersionInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    version: int = strawberry.field(
        description="The number of one of its versions; an older one is a rollback."
    )
    expected_published_version: int | None = strawberry.field(
        default=None,
        description="Optimistic lock: CONFLICT when another version was published meanwhile; 0 "
        "expects none. Not checked by default.",
    )
    reason: str | None = strawberry.field(
        default=None, description="Why; kept in the prompt's history."
    )


@strawberry.input(description="The part of all callers that is to get one version.")
class RolloutShareInput:
    version: int = strawberry.field(description="The number of one of the prompt's versions.")
    weight: int = strawberry.field(description="In whole percents, from 1.")


@strawberry.input(
    description="When a version is taken back without anybody's doing; its share returns to the "
    "published version."
)
class RolloutGuardInput:
    error_rate_margin: float | None = strawberry.field(
        default=0.05,
        description="How much more of its requests may fail than of the published version's: 0.05 "
        "is five in a hundred. Null does not watch it.",
    )
    cost_margin: float | None = strawberry.field(
        default=0.5,
        description="How much dearer a request may be on average: 0.5 is half as much again. Null "
        "does not watch it.",
    )
    min_samples: int | None = strawberry.field(
        default=100,
        description="How many requests either version needs before they are compared, from 1.",
    )

    def to_domain(self) -> domain.RolloutGuard:
        samples = (
            domain.RolloutGuard().min_samples if self.min_samples is None else self.min_samples
        )
        return domain.RolloutGuard(self.error_rate_margin, self.cost_margin, samples)


@strawberry.input(
    description="How callers are to be split between versions. Weights are whole percents that add "
    "up to 100."
)
class PromptRolloutInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    shares: list[RolloutShareInput] = strawberry.field(
        description="Up to 10, the published version among them; only it ends the rollout."
    )
    guard: RolloutGuardInput | None = strawberry.field(
        default=None,
        description="When a version is taken back by itself; as the running rollout has it by "
        "default, else 0.05, 0.5 and 100.",
    )
    reason: str | None = strawberry.field(
        default=None, description="Why; kept in the prompt's history."
    )


@strawberry.type(description="A version that was published, or why not.")
class PublishPromptVersionPayload:
    prompt: Prompt | None = strawberry.field(
        description="The prompt as it is now; null where the change was refused."
    )
    prompt_version: PromptVersion | None = strawberry.field(
        description="The version as it is now; null where the change was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A prompt whose callers were split, or why not.")
class SetPromptRolloutPayload:
    prompt: Prompt | None = strawberry.field(
        description="The prompt as it is now; null where the change was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def publish_prompt_version(
    info: Info, given: PublishPromptVersionInput
) -> PublishPromptVersionPayload:
    context = info.context
    change = context.services.releases.publish(
        context.caller,
        given.prompt_name,
        given.version,
        expected=given.expected_published_version,
        reason=given.reason,
    )
    published, user_errors = await attempt_change(info, change, "input")
    return PublishPromptVersionPayload(
        prompt=Prompt.of(published[0]) if published else None,
        prompt_version=PromptVersion.of(published[1]) if published else None,
        user_errors=user_errors,
    )


async def set_prompt_rollout(info: Info, given: PromptRolloutInput) -> SetPromptRolloutPayload:
    context = info.context
    change = context.services.releases.set_rollout(
        context.caller,
        given.prompt_name,
        [(share.version, share.weight) for share in given.shares],
        guard=given.guard.to_domain() if given.guard else None,
        reason=given.reason,
    )
    prompt, user_errors = await attempt_change(info, change, "input")
    return SetPromptRolloutPayload(
        prompt=Prompt.of(prompt) if prompt else None, user_errors=user_errors
    )
