"""Versions of prompts as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Self, cast
from uuid import UUID

import strawberry
import strawberry.federation as fed
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.connection import FIRST, PageInfo, encode_cursor, page
from assistant.api.context import Info
from assistant.api.federation import slice_size
from assistant.api.usage import User
from assistant.domain import prompt as domain
from assistant.domain.caller import Scope
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptVersionStatus, VariableType
from assistant.errors import BadUserInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assistant.api.prompt import Prompt
    from assistant.api.prompt_test_run import PromptTestRun

_MOST_RUNS: Final = 20
READERS: Final = (Scope.COMPLETE, Scope.PROMPTS_WRITE)
"""Who may read the catalog: those who use prompts and those who write them."""


@strawberry.type(description="A variable that a prompt's template takes.")
class PromptVariable:
    name: str = strawberry.field(description="As the template names it.")
    description: str | None = strawberry.field(description="What to give.")
    is_required: bool = strawberry.field(description="Whether it must be given.")
    default_value: str | None = strawberry.field(
        description="What serves when it is not given: a text as it is for STRING and ANY, JSON "
        "for every other type."
    )
    type: VariableType = strawberry.field(description="What may be given.")

    @classmethod
    def of(cls, variable: domain.PromptVariable) -> Self:
        return cls(
            name=variable.name,
            description=variable.description,
            is_required=variable.is_required,
            default_value=variable.default_value,
            type=variable.type,
        )


@strawberry.type(description="How a prompt asks models to generate; null leaves it to the model.")
class PromptParameters:
    temperature: float | None = strawberry.field(
        description="0 is the most predictable, 2 the least."
    )
    top_p: float | None = strawberry.field(description="The share of likely tokens to choose from.")
    max_tokens: int | None = strawberry.field(description="The longest answer, in tokens.")
    stop: list[str] | None = strawberry.field(description="Texts that end the answer.")
    seed: int | None = strawberry.field(
        description="The same seed asks for the same answer, where a model can."
    )
    timeout_ms: int | None = strawberry.field(
        description="Bounds the whole completion, all attempts together."
    )

    @classmethod
    def of(cls, parameters: GenerationParameters) -> Self:
        return cls(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            max_tokens=parameters.max_tokens,
            stop=None if parameters.stop is None else list(parameters.stop),
            seed=parameters.seed,
            timeout_ms=parameters.timeout_ms,
        )


@strawberry.type(
    description="A template of another prompt that a version includes, as it was when the version "
    "was made."
)
class PromptPartial:
    used_as: str = strawberry.field(
        description="What the including template calls it: greeting, or greeting@3."
    )
    name: str = strawberry.field(description="The prompt whose template it is.")
    version: int = strawberry.field(description="The version of that prompt.")
    template: str = strawberry.field(description="The text that is included.")

    @classmethod
    def of(cls, partial: domain.PromptPartial) -> Self:
        return cls(
            used_as=partial.used_as,
            name=partial.name,
            version=partial.version,
            template=partial.template,
        )


@fed.type(keys=["id"], description="One wording of a prompt; immutable.")
class PromptVersion:
    id: strawberry.ID = strawberry.field(description="Identifies the version everywhere.")
    version: int = strawberry.field(description="1 for a prompt's first version, then counting.")
    status: PromptVersionStatus = strawberry.field(description="Where it stands.")
    template: str = strawberry.field(
        description="Mustache without HTML escaping; becomes the user message."
    )
    system_template: str | None = strawberry.field(
        description="Becomes the system message, where there is one."
    )
    task: TaskType = strawberry.field(
        description="What kind of work this is; decides which models can serve it."
    )
    model: str | None = strawberry.field(
        description="A model id or group that it asks for; null leaves it to the routing."
    )
    on_interruption: InterruptionPolicy = strawberry.field(
        description="What to do when a provider breaks off in the middle of an answer, unless the "
        "request says another thing than ERROR."
    )
    response_schema: JSON | None = strawberry.field(
        description="A JSON Schema that answers satisfy."
    )
    change_note: str | None = strawberry.field(description="Why this version was made.")
    created_by: User | None = strawberry.field(description="Who made it; null for seeded ones.")
    created_at: datetime = strawberry.field(description="When it was made.")
    published_at: datetime | None = strawberry.field(description="When it was first published.")
    key: strawberry.Private[UUID]
    prompt_id: strawberry.Private[UUID]
    row: strawberry.Private[domain.PromptVersion]

    # Made only where they are asked for: a page of a catalog has a thousand versions.

    @strawberry.field(description="What the templates take.")
    def variables(self) -> list[PromptVariable]:
        return [PromptVariable.of(variable) for variable in self.row.variables]

    @strawberry.field(
        description="What the templates include of other prompts, what those include among it; "
        "each once, in order of first use."
    )
    def partials(self) -> list[PromptPartial]:
        return [PromptPartial.of(partial) for partial in _included(self.row.partials)]

    @strawberry.field(description="How to generate.")
    def parameters(self) -> PromptParameters:
        return PromptParameters.of(self.row.parameters)

    @strawberry.field(description="The prompt that it is a version of.")
    async def prompt(
        self, info: Info
    ) -> Annotated[Prompt, strawberry.lazy("assistant.api.prompt")]:
        from assistant.api.prompt import Prompt

        found = await loaders.prompt_by_id(info).load(self.prompt_id)
        assert found is not None  # a version's prompt is never deleted, only archived
        return Prompt.of(found)

    @strawberry.field(
        description="The tenant's runs of the prompt's tests against this version, newest first; at "
        "most 20.",
        directives=[slice_size()],
    )
    async def test_runs(
        self, info: Info, first: FIRST = 10
    ) -> list[Annotated[PromptTestRun, strawberry.lazy("assistant.api.prompt_test_run")]]:
        from assistant.api.prompt_test_run import PromptTestRun

        if first > _MOST_RUNS:
            raise BadUserInput(f"testRuns gives at most {_MOST_RUNS} at once.", path=("first",))
        runs = await loaders.test_runs(info, first).load(self.key)
        return [PromptTestRun.of(run) for run in runs or ()]

    @classmethod
    def of(cls, version: domain.PromptVersion) -> Self:
        return cls(
            id=strawberry.ID(str(version.id)),
            version=version.version,
            status=version.status,
            template=version.template,
            system_template=version.system_template,
            task=version.task,
            model=version.model,
            on_interruption=version.on_interruption,
            response_schema=cast("JSON | None", version.response_schema),
            change_note=version.change_note,
            created_by=User.of(version.created_by),
            created_at=version.created_at,
            published_at=version.published_at,
            key=version.id,
            prompt_id=version.prompt_id,
            row=version,
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> PromptVersion | None:  # noqa: A002 - the key's name
        info.context.require(*READERS)
        return await version_of(info, uuid_of(id))


async def version_of(info: Info, id_: UUID | None) -> PromptVersion | None:
    """The version that a record names; None where it names none."""
    found = await loaders.version_by_id(info).load(id_) if id_ else None
    return PromptVersion.of(found) if found else None


def uuid_of(text: str) -> UUID | None:
    """``text`` as a UUID; None where it is none, which names nothing."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _included(partials: Sequence[domain.PromptPartial]) -> list[domain.PromptPartial]:
    """Those of a whole tree, each once, the including one before what it includes."""
    found: dict[tuple[str, str, int], domain.PromptPartial] = {}
    for partial in partials:
        for each in (partial, *_included(partial.partials)):
            found.setdefault((each.used_as, each.name, each.version), each)
    return list(found.values())


@strawberry.type(description="A version and where it stands in the list.")
class PromptVersionEdge:
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")
    node: PromptVersion = strawberry.field(description="The version.")


@strawberry.type(description="A page of versions.")
class PromptVersionConnection:
    @strawberry.field(description="The versions with their cursors.")
    def edges(self) -> list[PromptVersionEdge]:
        return [
            PromptVersionEdge(cursor=encode_cursor(str(node.version), node.key), node=node)
            for node in self.nodes
        ]

    nodes: list[PromptVersion] = strawberry.field(description="The versions alone.")
    page_info: PageInfo = strawberry.field(description="Whether there is more.")

    @classmethod
    def of(
        cls, rows: Sequence[domain.PromptVersion], first: int, after: str | None
    ) -> PromptVersionConnection:
        """The page in ``rows``, which may hold one more than ``first``."""
        found, page_info = page(rows, first, after, _cursor)
        return cls(nodes=[PromptVersion.of(version) for version in found], page_info=page_info)


def _cursor(version: domain.PromptVersion) -> str:
    return encode_cursor(str(version.version), version.id)
