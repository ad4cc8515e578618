"""Interruptions: an answer breaks off after its client has seen some of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assistant.domain.completion import (
    CompletionContinued,
    CompletionRestarted,
    CompletionStarted,
    CompletionStatus,
    GenerationFinished,
    InterruptionPolicy,
    Message,
    MessageRole,
    ProgressEvent,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.model import ModelCapability, TaskType
from assistant.errors import (
    ErrorCode,
    InvalidResponse,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from tests.unit.asking import Turns, ask, failing
from tests.unit.fakes import FakeProvider, answering, model
from tests.unit.world import World

ERROR, RESTART, CONTINUE = InterruptionPolicy
DOWN = ProviderUnavailable("down")
CUT = StreamInterrupted("cut")
STORY = "Once upon a time there was"


def interrupted(*texts: str, by: Exception = CUT) -> FakeProvider:
    """A provider that says ``texts`` and breaks off."""
    return failing(*map(TextDelta, texts), by)


def kinds(events: list[ProgressEvent]) -> list[object]:
    """The events, texts as themselves and others by what they are and whose."""
    return [
        event.text
        if isinstance(event, TextDelta | ReasoningDelta)
        else (type(event).__name__, event.model)
        for event in events
    ]


# ------------------------------------------------------------------ ERROR


@pytest.mark.parametrize("error", [CUT, DOWN, RateLimited("429"), InvalidResponse("HTML")])
async def test_by_default_the_answer_ends_there_with_what_was_received(error: Exception) -> None:
    world = World({"ollama/a": interrupted(STORY, by=error), "ollama/b": answering("x")})

    asked = await ask(world)

    assert isinstance(asked.error, StreamInterrupted)
    assert (asked.record.text, asked.shown) == (STORY, STORY)
    assert asked.record.status is CompletionStatus.FAILED
    assert asked.record.usage.completion_tokens > 0
    assert world.providers["ollama/b"].calls == []


async def test_a_silence_in_the_middle_is_told_as_a_timeout() -> None:
    silent = ProviderTimeout("sent nothing for 30 s")
    world = World({"ollama/a": interrupted(STORY, by=silent)})

    assert (await ask(world)).error is silent


# ------------------------------------------------------------------ RESTART


async def test_restart_lets_the_next_one_answer_anew_and_says_so() -> None:
    world = World({"ollama/a": interrupted(STORY), "ollama/b": answering("A wolf ", "was.")})

    asked = await ask(world, on_interruption=RESTART)

    started, *rest = asked.events
    assert isinstance(started, CompletionStarted)
    assert rest == [
        TextDelta(STORY),
        CompletionRestarted("ollama/b", ErrorCode.STREAM_INTERRUPTED),
        TextDelta("A wolf "),
        TextDelta("was."),
    ]
    assert asked.record.text == "A wolf was."
    assert asked.record.model == "ollama/b"
    assert world.providers["ollama/b"].calls[0].messages == (Message(MessageRole.USER, "hello"),)


async def test_a_restart_is_said_once_somebody_answers_and_not_before() -> None:
    world = World(
        {
            "ollama/a": interrupted(STORY),
            "ollama/b": failing(RateLimited("429", retry_after_s=99)),
            "ollama/c": answering("A wolf."),
        }
    )

    asked = await ask(world, on_interruption=RESTART)

    assert kinds(asked.events)[1:] == [STORY, ("CompletionRestarted", "ollama/c"), "A wolf."]


async def test_it_restarts_as_often_as_there_are_candidates() -> None:
    world = World(
        {"ollama/a": interrupted("1"), "ollama/b": interrupted("2"), "ollama/c": answering("3")}
    )

    asked = await ask(world, on_interruption=RESTART)

    assert kinds(asked.events) == [
        ("CompletionStarted", "ollama/a"),
        "1",
        ("CompletionRestarted", "ollama/b"),
        "2",
        ("CompletionRestarted", "ollama/c"),
        "3",
    ]
    assert asked.record.text == "3"


@pytest.mark.parametrize("policy", [RESTART, CONTINUE])
async def test_where_nobody_is_left_it_ends_with_what_was_received(
    policy: InterruptionPolicy,
) -> None:
    world = World({"ollama/a": interrupted(STORY)})

    asked = await ask(world, on_interruption=policy)

    assert asked.error is CUT
    assert asked.record.text == STORY


@pytest.mark.parametrize("policy", [RESTART, CONTINUE])
async def test_where_the_others_fail_too_the_answer_broke_off(policy: InterruptionPolicy) -> None:
    world = World({"ollama/a": interrupted(STORY), "ollama/b": failing(DOWN)})

    asked = await ask(world, on_interruption=policy)

    assert isinstance(asked.error, StreamInterrupted)
    assert "down" in asked.error.message
    assert kinds(asked.events)[1:] == [STORY]
    assert asked.record.usage.completion_tokens > 0


@pytest.mark.parametrize("policy", [RESTART, CONTINUE])
async def test_both_attempts_are_charged(policy: InterruptionPolicy) -> None:
    prices = {"input_price": Decimal(100), "output_price": Decimal(1_000)}
    world = World(
        {"ollama/a": interrupted(STORY), "openai/b": answering("x", prompt_tokens=11)},
        models=[model("ollama/a", preference=1, **prices), model("openai/b", **prices)],
    )

    asked = await ask(world, on_interruption=policy)

    first, second = (attempt.usage for attempt in asked.record.decision.attempts)
    assert first.prompt_tokens > 0 and first.completion_tokens > 0 and first.is_estimated
    assert (second.prompt_tokens, second.completion_tokens) == (11, 3)
    assert first.cost > 0 and second.cost > 0
    assert asked.record.usage == first + second


# ------------------------------------------------------------------ CONTINUE


async def test_continue_gives_the_next_one_the_text_so_far_and_joins_what_it_adds() -> None:
    world = World(
        {"ollama/a": interrupted("Once upon ", "a time"), "ollama/b": answering(" there", " was.")}
    )

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.events[1:] == [
        TextDelta("Once upon "),
        TextDelta("a time"),
        CompletionContinued("ollama/b", ErrorCode.STREAM_INTERRUPTED),
        TextDelta(" there"),
        TextDelta(" was."),
    ]
    assert asked.record.text == asked.shown == "Once upon a time there was."
    (call,) = world.providers["ollama/b"].calls
    asked_for, so_far, go_on = call.messages
    assert asked_for == Message(MessageRole.USER, "hello")
    assert so_far == Message(MessageRole.ASSISTANT, "Once upon a time")
    assert go_on.role is MessageRole.USER
    assert "exactly where it stops" in go_on.content
    (first_call,) = world.providers["ollama/a"].calls
    assert call.estimated_tokens > first_call.estimated_tokens


@pytest.mark.parametrize(
    "repeated", ["a time there was", STORY, " there was"], ids=["the end", "all", "a little"]
)
@pytest.mark.parametrize("is_cut_fine", [False, True])
async def test_what_the_next_one_repeats_is_shown_and_kept_once(
    repeated: str, is_cut_fine: bool
) -> None:
    continuation = f"{repeated} a fox."
    texts = tuple(continuation) if is_cut_fine else (continuation,)
    world = World({"ollama/a": interrupted(STORY), "ollama/b": answering(*texts)})

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.record.text == asked.shown == f"{STORY} a fox."


async def test_an_end_that_only_looked_like_a_repetition_is_shown() -> None:
    world = World({"ollama/a": interrupted(STORY), "ollama/b": answering("Once upon")})

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.record.text == asked.shown == f"{STORY}Once upon"


async def test_a_repetition_that_breaks_off_itself_is_not_shown() -> None:
    world = World(
        {
            "ollama/a": interrupted(STORY),
            "ollama/b": interrupted("Once upon a ti"),
            "ollama/c": answering("Once upon a time there", " was a fox."),
        }
    )

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.record.text == asked.shown == f"{STORY} a fox."
    assert kinds(asked.events)[2:4] == [
        ("CompletionContinued", "ollama/b"),
        ("CompletionContinued", "ollama/c"),
    ]
    assert world.providers["ollama/c"].calls[0].messages[1].content == STORY


async def test_the_third_goes_on_from_what_the_first_two_have_said() -> None:
    world = World(
        {
            "ollama/a": interrupted(STORY),
            "ollama/b": interrupted(" a fox", by=DOWN),
            "ollama/c": answering(" and a wolf."),
        }
    )

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.record.text == asked.shown == f"{STORY} a fox and a wolf."
    assert [event.reason for event in asked.events if isinstance(event, CompletionContinued)] == [
        ErrorCode.STREAM_INTERRUPTED,
        ErrorCode.PROVIDER_UNAVAILABLE,
    ]
    assert len(asked.record.decision.attempts) == 3


async def test_one_that_fails_before_it_goes_on_is_passed_over() -> None:
    world = World(
        {
            "ollama/a": interrupted(STORY),
            "ollama/b": Turns(turns=[[DOWN]]),
            "ollama/c": answering(" a fox."),
        }
    )

    asked = await ask(world, on_interruption=CONTINUE)

    assert kinds(asked.events)[1:] == [STORY, ("CompletionContinued", "ollama/c"), " a fox."]


def with_builtin(first: FakeProvider) -> World:
    builtin = model("builtin/extractive", tasks=frozenset({TaskType.GENERAL}))
    return World(
        {"ollama/a": first, builtin.id: answering("builtin")},
        models=[model("ollama/a"), builtin],
    )


async def test_a_model_of_some_tasks_never_goes_on_from_anothers_text() -> None:
    world = with_builtin(interrupted(STORY))

    asked = await ask(world, on_interruption=CONTINUE)

    assert asked.record.decision.candidates == ("ollama/a", "builtin/extractive")
    assert asked.error is CUT
    assert world.providers["builtin/extractive"].calls == []


async def test_a_model_of_some_tasks_may_answer_anew() -> None:
    asked = await ask(with_builtin(interrupted(STORY)), on_interruption=RESTART)

    assert asked.record.text == "builtin"


@pytest.mark.parametrize(
    "begun",
    [ReasoningDelta("Let me see"), ToolCallDelta(0, "1", "search", '{"query": "fo')],
    ids=["thoughts", "a tool call"],
)
async def test_where_there_is_no_text_to_go_on_from_the_next_one_answers_anew(
    begun: ProviderEvent,
) -> None:
    world = World({"ollama/a": failing(begun, CUT), "ollama/b": answering("A fox.")})

    asked = await ask(world, on_interruption=CONTINUE)

    assert CompletionRestarted("ollama/b", ErrorCode.STREAM_INTERRUPTED) in asked.events
    assert asked.record.text == "A fox."
    assert world.providers["ollama/b"].calls[0].messages == (Message(MessageRole.USER, "hello"),)


async def test_what_must_fit_a_schema_is_answered_anew_because_nobody_can_go_on_in_it() -> None:
    can = frozenset({ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT})
    world = World(
        {"ollama/a": interrupted('{"n": '), "ollama/b": answering('{"n": 1}')},
        models=[model(f"ollama/{name}", capabilities=can, preference=ord(name)) for name in "ab"],
    )

    asked = await ask(
        world, on_interruption=CONTINUE, response_schema={"type": "object", "required": ["n"]}
    )

    assert CompletionRestarted("ollama/b", ErrorCode.STREAM_INTERRUPTED) in asked.events
    assert asked.record.json == {"n": 1}


@pytest.mark.parametrize("policy", [RESTART, CONTINUE])
async def test_token_counts_are_not_learnt_where_more_than_the_prompt_was_sent(
    policy: InterruptionPolicy,
) -> None:
    world = World({"ollama/a": interrupted(STORY), "ollama/b": answering(" a fox.")})

    await ask(world, on_interruption=policy)

    assert world.tokens.learnt == ([("ollama/b", 7)] if policy is RESTART else [])


async def test_nor_where_the_provider_had_some_of_the_prompt_in_its_cache() -> None:
    *texts, end = answering("x").script
    assert isinstance(end, GenerationFinished)
    cached = GenerationFinished(end.finish_reason, 7, 3, cached_tokens=5)
    world = World({"ollama/a": FakeProvider([*texts, cached])})

    await ask(world)

    assert world.tokens.learnt == []


async def test_nor_of_models_that_serve_some_tasks_only() -> None:
    world = with_builtin(failing(DOWN))

    asked = await ask(world)

    assert asked.record.model == "builtin/extractive"
    assert world.tokens.learnt == []
