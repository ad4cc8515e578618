"""The flow, over hand-written ports."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from assistant.domain.caller import Caller
from assistant.domain.completion import (
    AttemptOutcome,
    CompletionFailed,
    CompletionFinished,
    CompletionStarted,
    CompletionStatus,
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    ReasoningDelta,
    TextDelta,
)
from assistant.domain.ports import TimeLimits
from assistant.domain.prompt import PromptVariable
from assistant.errors import (
    BadUserInput,
    ErrorCode,
    Forbidden,
    InternalError,
    ProviderTimeout,
    ProviderUnavailable,
    StorageUnavailable,
    StreamInterrupted,
)
from tests.unit.fakes import FakeProvider, answering, model, statuses
from tests.unit.replicas import streamed
from tests.unit.routing_desk import rendered
from tests.unit.world import World, request_of


async def test_an_answer_is_opened_before_the_provider_is_called_and_settled_after() -> None:
    world = World({"ollama/a": answering("Good ", "day.")})

    completion = await world.flow.complete(request_of(feature="greeting"))

    assert completion.text == "Good day."
    assert completion.status is CompletionStatus.SUCCEEDED
    assert completion.finish_reason is FinishReason.STOP
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (7, 3)
    assert not completion.usage.is_estimated
    assert completion.feature == "greeting"
    assert statuses(world.store.opened) == [CompletionStatus.RUNNING]
    assert world.store.settled == [completion]
    assert world.telemetry.settled == [completion]
    assert world.ledger.running == 0


async def test_started_comes_before_the_deltas_and_names_the_model_that_answers() -> None:
    world = World(
        {
            "ollama/a": FakeProvider([ProviderUnavailable("down")]),
            "ollama/b": answering("x", "y"),
        }
    )

    events = await world.ask()

    started, *deltas = events
    assert isinstance(started, CompletionStarted)
    assert started.model == "ollama/b"
    assert deltas == [TextDelta("x"), TextDelta("y")]


async def test_only_a_request_with_a_listener_is_streamed_on_the_wire() -> None:
    world = World({"ollama/a": answering("x")})

    await world.flow.complete(request_of())
    await world.ask()

    assert [call.streamed for call in world.providers["ollama/a"].calls] == [False, True]


async def test_a_whole_answer_may_take_all_the_time_and_a_stream_has_to_begin() -> None:
    world = World({"ollama/a": answering("x")})

    await world.flow.complete(request_of())
    await world.ask()

    limits = [call.time_limits for call in world.providers["ollama/a"].calls]
    assert [(limit.first_event_s, limit.total_s) for limit in limits] == [
        (30.0, 30.0),
        (TimeLimits().first_event_s, 30.0),
    ]


async def test_a_failed_candidate_is_in_the_decision_and_the_next_one_answers() -> None:
    world = World(
        {"ollama/a": FakeProvider([ProviderUnavailable("down")]), "ollama/b": answering("x")}
    )

    completion = await world.flow.complete(request_of())

    decision = completion.decision
    assert completion.model == "ollama/b"
    assert decision.candidates == ("ollama/a", "ollama/b")
    assert [(a.model, a.outcome, a.error_code) for a in decision.attempts] == [
        *[("ollama/a", AttemptOutcome.FAILED, ErrorCode.PROVIDER_UNAVAILABLE)] * 3,
        ("ollama/b", AttemptOutcome.SUCCEEDED, None),
    ]


async def test_after_the_first_text_nobody_else_is_asked_and_the_partial_answer_is_charged() -> (
    None
):
    cut = FakeProvider([TextDelta("Once upon a time"), ProviderUnavailable("connection lost")])
    priced = model("ollama/a", input_price=Decimal(1), output_price=Decimal(2), preference=0)
    world = World(
        {"ollama/a": cut, "ollama/b": answering("x")},
        models=[priced, model("ollama/b", input_price=Decimal(9))],
    )

    with pytest.raises(StreamInterrupted) as caught:
        await world.ask()

    (settled,) = world.store.settled
    assert caught.value.completion_id == settled.id
    assert settled.status is CompletionStatus.FAILED
    assert settled.text == "Once upon a time"
    assert settled.usage.is_estimated
    assert settled.usage.completion_tokens > 0
    assert settled.usage.cost > 0
    assert world.providers["ollama/b"].calls == []


async def test_after_the_first_thought_nobody_else_is_asked_and_the_thinking_is_charged() -> None:
    cut = FakeProvider([ReasoningDelta("Let me see whether"), ProviderUnavailable("lost")])
    world = World({"ollama/a": cut, "ollama/b": answering("x")})

    with pytest.raises(StreamInterrupted):
        await world.ask()

    (settled,) = world.store.settled
    assert settled.text == ""
    assert settled.usage.completion_tokens > 0
    assert world.providers["ollama/b"].calls == []


async def test_an_answer_without_an_end_is_not_a_success() -> None:
    world = World({"ollama/a": FakeProvider([TextDelta("Half an")])})

    with pytest.raises(StreamInterrupted):
        await world.ask()


async def test_counts_that_the_provider_leaves_out_are_estimated_and_said_to_be() -> None:
    world = World({"ollama/a": answering("four words of text", completion_tokens=None)})

    usage = (await world.flow.complete(request_of())).usage

    assert usage.is_estimated
    assert usage.prompt_tokens == 7
    assert usage.completion_tokens >= 3


async def test_a_disconnect_is_accounted_and_closes_the_provider() -> None:
    provider = FakeProvider([TextDelta("Once"), 60.0])
    world = World({"ollama/a": provider})
    events = streamed(world, request_of())

    assert isinstance(await anext(events), CompletionStarted)
    assert await anext(events) == TextDelta("Once")
    await events.aclose()

    (settled,) = world.store.settled
    assert settled.status is CompletionStatus.CANCELLED
    assert settled.finish_reason is FinishReason.CANCELLED
    assert settled.usage.completion_tokens > 0
    assert provider.closed == 1
    assert world.ledger.running == 0


async def test_cancelling_twice_while_settling_does_not_lose_the_row() -> None:
    world = World({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})
    world.store.settle_delay_s = 0.05
    task = asyncio.create_task(world.ask())
    await asyncio.sleep(0.01)

    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert statuses(world.store.settled) == [CompletionStatus.CANCELLED]


async def test_a_stream_ends_with_the_settled_completion() -> None:
    world = World({"ollama/a": answering("x")})

    events = [event async for event in streamed(world, request_of())]

    end = events[-1]
    assert isinstance(end, CompletionFinished)
    assert world.store.settled == [end.completion]


async def test_a_refusal_ends_a_stream_as_data_and_is_counted() -> None:
    world = World({"ollama/a": answering("x")})

    (event,) = [event async for event in streamed(world, request_of(text="  "))]

    assert isinstance(event, CompletionFailed)
    assert event.code is ErrorCode.BAD_USER_INPUT
    assert event.completion_id == world.store.settled[0].id
    assert world.store.opened == []
    assert world.store.settled[0].error_code is ErrorCode.BAD_USER_INPUT


async def test_a_version_fails_with_those_whose_variables_it_does_not_take() -> None:
    world = World({"ollama/a": answering("x")})
    about = rendered(variables=(PromptVariable("text"),), template="{{text}}", partials=())
    assert about.prompt is not None and about.version is not None
    request = request_of(text=None, unsaved=(about.prompt, about.version))

    with pytest.raises(BadUserInput, match="needs text"):
        await world.flow.complete(request)

    [settled] = world.store.settled
    assert (settled.status, settled.prompt_version_id) == (
        CompletionStatus.FAILED,
        about.version.id,
    )


async def test_a_caller_without_the_scope_is_forbidden_and_counted() -> None:
    world = World({"ollama/a": answering("x")})
    stranger = Caller("acme", "eve", None, frozenset())

    with pytest.raises(Forbidden, match="assistant:complete"):
        await world.flow.complete(request_of(caller=stranger))

    assert [c.error_code for c in world.telemetry.settled] == [ErrorCode.FORBIDDEN]


async def test_the_time_limit_of_the_request_bounds_all_attempts_together() -> None:
    world = World(
        {
            "ollama/a": FakeProvider([60.0]),
            "ollama/b": answering("x"),
        }
    )

    with pytest.raises(ProviderTimeout, match="timeoutMs"):
        await world.flow.complete(request_of(parameters=GenerationParameters(timeout_ms=20)))

    (settled,) = world.store.settled
    assert [a.outcome for a in settled.decision.attempts] == [AttemptOutcome.TIMED_OUT]


async def test_an_answer_whose_usage_cannot_be_recorded_is_not_final() -> None:
    world = World({"ollama/a": answering("x")})
    world.store.settle_error = StorageUnavailable("The database is down.")

    with pytest.raises(StorageUnavailable) as caught:
        await world.flow.complete(request_of())

    assert caught.value.completion_id is not None


async def test_a_stream_ends_even_where_recording_its_usage_met_a_defect() -> None:
    world = World({"ollama/a": answering("x")})
    world.store.settle_error = TypeError("secret detail")

    async with asyncio.timeout(5):
        events = [event async for event in streamed(world, request_of())]

    assert isinstance(events[-1], CompletionFailed)
    assert events[-1].code is ErrorCode.INTERNAL_SERVER_ERROR
    assert "secret" not in events[-1].message


@pytest.mark.parametrize("feature", ["nul \x00", "half \ud800", "f" * 129, ""])
async def test_a_refusal_is_recorded_without_a_feature_that_nothing_can_hold(feature: str) -> None:
    world = World({"ollama/a": answering("x")})

    with pytest.raises(BadUserInput):
        await world.flow.complete(request_of(feature=feature))

    assert [settled.feature for settled in world.store.settled] == [None]


async def test_no_provider_is_called_when_the_entry_cannot_be_opened() -> None:
    world = World({"ollama/a": answering("x")})
    world.store.open_error = StorageUnavailable("The database is down.")

    with pytest.raises(StorageUnavailable):
        await world.flow.complete(request_of())

    assert world.providers["ollama/a"].calls == []


async def test_a_defect_of_ours_is_typed_settled_and_says_nothing_of_its_cause() -> None:
    world = World({"ollama/a": FakeProvider([ZeroDivisionError("secret detail")])})

    with pytest.raises(InternalError) as caught:
        await world.flow.complete(request_of())

    assert "secret" not in caught.value.message
    assert [c.error_code for c in world.store.settled] == [ErrorCode.INTERNAL_SERVER_ERROR]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"text": None}, ("promptName",)),
        ({"text": "a", "prompt_name": "b"}, ("text",)),
        ({"text": ""}, ("text",)),
        ({"text": "a\x00b"}, ("text",)),
        ({"text": "a\ud800b"}, ("text",)),
        ({"variables": {"x": 1}}, ("variables",)),
        ({"metadata": {"k": ["\x00"]}}, ("metadata", "k", "0")),
        ({"metadata": {"k": float("inf")}}, ("metadata", "k")),
        ({"feature": "f" * 200}, ("feature",)),
        ({"parameters": GenerationParameters(temperature=2.1)}, ("parameters", "temperature")),
        (
            {"parameters": GenerationParameters(temperature=float("nan"))},
            ("parameters", "temperature"),
        ),
        ({"parameters": GenerationParameters(top_p=-0.1)}, ("parameters", "topP")),
        ({"parameters": GenerationParameters(max_tokens=0)}, ("parameters", "maxTokens")),
        ({"parameters": GenerationParameters(timeout_ms=0)}, ("parameters", "timeoutMs")),
        ({"parameters": GenerationParameters(stop=("",))}, ("parameters", "stop")),
    ],
)
async def test_bad_input_names_the_field_at_fault(
    fields: dict[str, object], path: tuple[str, ...]
) -> None:
    world = World({"ollama/a": answering("x")})

    with pytest.raises(BadUserInput) as caught:
        await world.flow.complete(request_of(**fields))

    assert caught.value.path == path


async def test_a_whole_answer_is_one_event_on_the_same_path() -> None:
    world = World(
        {"ollama/a": FakeProvider([TextDelta("All"), GenerationFinished(FinishReason.LENGTH)])}
    )

    completion = await world.flow.complete(request_of())

    assert (completion.text, completion.finish_reason) == ("All", FinishReason.LENGTH)
