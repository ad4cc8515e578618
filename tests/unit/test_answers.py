"""Answers that must satisfy a schema: checked when they are whole, mended once."""

from __future__ import annotations

import pytest

from assistant.domain.completion import (
    AttemptOutcome,
    CompletionRestarted,
    CompletionStatus,
    GenerationParameters,
    InterruptionPolicy,
    Message,
    MessageRole,
    TextDelta,
)
from assistant.domain.model import CircuitState, ModelCapability
from assistant.errors import (
    BadUserInput,
    ErrorCode,
    ProviderTimeout,
    ProviderUnavailable,
    SchemaViolated,
)
from tests.unit.asking import Turns, ask, failing, key_of
from tests.unit.fakes import FakeProvider, answering, model
from tests.unit.world import World

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
GOOD, BAD = answering('{"n": 1}').script, answering('{"n": "one"}').script
CAN = frozenset({ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT})


def world_of(**providers: FakeProvider) -> World:
    """Models of ollama by name, which can all be held to a schema."""
    scripts = {f"ollama/{name}": provider for name, provider in providers.items()}
    rows = [model(id_, capabilities=CAN, preference=index) for index, id_ in enumerate(scripts)]
    return World(scripts, models=rows)


def mending() -> Turns:
    return Turns(turns=[BAD, GOOD])


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_that_satisfies_the_schema_is_parsed(streamed: bool) -> None:
    world = world_of(a=FakeProvider(GOOD))

    asked = await ask(world, streamed=streamed, response_schema=SCHEMA)

    assert asked.record.json == {"n": 1}
    assert asked.record.text == '{"n": 1}'
    (call,) = world.providers["ollama/a"].calls
    assert call.response_schema == SCHEMA


async def test_without_a_schema_nothing_is_parsed_and_none_is_sent() -> None:
    world = world_of(a=FakeProvider(GOOD))

    asked = await ask(world)

    assert asked.record.json is None
    assert world.providers["ollama/a"].calls[0].response_schema is None


async def test_an_answer_that_does_not_is_sent_back_once_with_what_is_wrong() -> None:
    world = world_of(a=mending())

    asked = await ask(world, streamed=False, response_schema=SCHEMA)

    assert asked.error is None
    assert (asked.record.json, asked.record.text) == ({"n": 1}, '{"n": 1}')
    _, call = world.providers["ollama/a"].calls
    question, answer, complaint = call.messages
    assert question == Message(MessageRole.USER, "hello")
    assert answer == Message(MessageRole.ASSISTANT, '{"n": "one"}')
    assert complaint.role is MessageRole.USER
    assert "n" in complaint.content
    assert call.response_schema == SCHEMA
    assert call.estimated_tokens > world.providers["ollama/a"].calls[0].estimated_tokens


async def test_both_answers_are_charged() -> None:
    asked = await ask(world_of(a=mending()), streamed=False, response_schema=SCHEMA)

    assert [a.outcome for a in asked.record.decision.attempts] == [AttemptOutcome.SUCCEEDED] * 2
    assert (asked.record.usage.prompt_tokens, asked.record.usage.completion_tokens) == (14, 6)


async def test_it_is_mended_by_the_model_that_gave_it() -> None:
    world = world_of(a=failing(ProviderUnavailable("down")), b=mending(), c=FakeProvider(GOOD))

    asked = await ask(world, streamed=False, response_schema=SCHEMA)

    assert asked.record.model == "ollama/b"
    assert [a.model for a in asked.record.decision.attempts[-2:]] == ["ollama/b", "ollama/b"]


async def test_a_second_answer_that_does_not_satisfy_it_either_is_an_invalid_response() -> None:
    world = world_of(a=FakeProvider(BAD), b=FakeProvider(GOOD))

    asked = await ask(world, streamed=False, response_schema=SCHEMA)

    assert isinstance(asked.error, SchemaViolated)
    assert asked.error.code is ErrorCode.INVALID_RESPONSE
    assert "one" not in asked.error.message
    assert asked.record.status is CompletionStatus.FAILED
    assert asked.record.json is None
    assert len(asked.attempts) == 2
    assert asked.record.usage.completion_tokens == 6
    assert world.providers["ollama/b"].calls == []


@pytest.mark.parametrize("policy", [InterruptionPolicy.ERROR, InterruptionPolicy.CONTINUE])
async def test_what_was_streamed_cannot_be_taken_back_and_fails_at_the_end(
    policy: InterruptionPolicy,
) -> None:
    world = world_of(a=mending())

    asked = await ask(world, response_schema=SCHEMA, on_interruption=policy)

    assert isinstance(asked.error, SchemaViolated)
    assert asked.shown == asked.record.text == '{"n": "one"}'
    assert len(asked.attempts) == 1
    assert asked.record.usage.completion_tokens == 3


async def test_a_stream_that_may_restart_does_with_the_mended_answer() -> None:
    asked = await ask(
        world_of(a=mending()),
        response_schema=SCHEMA,
        on_interruption=InterruptionPolicy.RESTART,
    )

    assert asked.events[1:] == [
        TextDelta('{"n": "one"}'),
        CompletionRestarted("ollama/a", ErrorCode.INVALID_RESPONSE),
        TextDelta('{"n": 1}'),
    ]
    assert (asked.record.json, asked.record.text) == ({"n": 1}, '{"n": 1}')


async def test_where_it_cannot_be_mended_because_the_provider_fails_that_is_told() -> None:
    down = ProviderUnavailable("down")
    world = world_of(a=Turns(turns=[BAD, [down]]))

    asked = await ask(world, streamed=False, response_schema=SCHEMA)

    assert asked.error is down
    assert asked.record.usage.completion_tokens == 3  # the first answer is charged all the same
    assert len(asked.attempts) == 4


async def test_both_answers_together_have_the_time_of_one() -> None:
    world = world_of(a=Turns(turns=[[0.03, *BAD], [0.03, *GOOD]]))

    asked = await ask(
        world,
        streamed=False,
        response_schema=SCHEMA,
        parameters=GenerationParameters(timeout_ms=45),
    )

    assert isinstance(asked.error, ProviderTimeout)
    assert [a.outcome for a in asked.record.decision.attempts] == [
        AttemptOutcome.SUCCEEDED,
        AttemptOutcome.TIMED_OUT,
    ]


async def test_answers_that_do_not_satisfy_a_schema_open_no_circuit() -> None:
    world = world_of(a=FakeProvider(BAD))

    for _ in range(6):
        await ask(world, streamed=False, response_schema=SCHEMA)

    assert world.circuits.state(key_of("ollama/a")) is CircuitState.CLOSED


async def test_nothing_is_learnt_of_tokens_where_a_schema_was_sent_along() -> None:
    world = world_of(a=mending())

    await ask(world, streamed=False, response_schema=SCHEMA)

    assert world.tokens.learnt == []


async def test_a_schema_that_is_none_is_refused_before_anybody_is_called() -> None:
    world = world_of(a=FakeProvider(GOOD))

    asked = await ask(world, response_schema={"type": "nonsense"})

    assert isinstance(asked.error, BadUserInput)
    assert world.providers["ollama/a"].calls == []
    assert world.store.opened == []
