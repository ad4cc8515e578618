"""Which models may serve a request, and in which order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assistant.domain.completion import CompletionRequest, Message, MessageRole
from assistant.domain.model import Model, ModelCapability, ModelGroup, TaskType
from assistant.domain.prompt import RenderedPrompt
from assistant.errors import (
    BadUserInput,
    ContextLengthExceeded,
    Forbidden,
    NotFound,
    ProviderUnavailable,
)
from assistant.services.routing import route
from tests.unit.fakes import ALICE, catalog, model

BUILTIN = model(
    "builtin/extractive", tasks=frozenset({TaskType.SUMMARIZATION}), context_window=10**6
)


def _ids(
    *models: Model,
    name: str | None = None,
    task: TaskType = TaskType.GENERAL,
    tokens: int = 10,
    groups: tuple[ModelGroup, ...] = (),
) -> tuple[str, ...]:
    request = CompletionRequest(ALICE, text="hello", model=name)
    prompt = RenderedPrompt(None, (Message(MessageRole.USER, "hello"),), task, {}, tokens)
    return route(request, prompt, catalog(*models, groups=groups)).ids


def test_local_models_come_first_then_the_cheaper_then_the_preferred_and_the_builtin_last() -> None:
    dear = model("openai/dear", is_local=False, input_price=Decimal(5))
    cheap = model("openai/cheap", is_local=False, input_price=Decimal(1))
    second = model("ollama/second", preference=20)
    first = model("ollama/first", preference=10)

    order = _ids(BUILTIN, dear, cheap, second, first, task=TaskType.SUMMARIZATION)

    assert order == (
        "ollama/first",
        "ollama/second",
        "openai/cheap",
        "openai/dear",
        "builtin/extractive",
    )


def test_the_builtin_is_no_candidate_for_other_tasks() -> None:
    assert _ids(BUILTIN, model("ollama/a")) == ("ollama/a",)


@pytest.mark.parametrize(
    "unfit",
    [
        model("ollama/b", is_available=False),
        model("ollama/b", is_allowed=False),
        model("ollama/b", capabilities=frozenset({ModelCapability.EMBEDDING})),
        model("ollama/b", context_window=5),
    ],
)
def test_a_model_that_cannot_serve_is_left_out(unfit: Model) -> None:
    assert _ids(unfit, model("ollama/a")) == ("ollama/a",)


def test_a_named_model_is_never_replaced() -> None:
    down = model("ollama/b", is_available=False)
    with pytest.raises(ProviderUnavailable, match="ollama pull b"):
        _ids(model("ollama/a"), down, name="ollama/b")


def test_a_group_is_its_members_then_its_fallback_and_a_circle_of_groups_ends() -> None:
    groups = (
        ModelGroup("quality", ("ollama/b", "ollama/gone"), "fast"),
        ModelGroup("fast", ("ollama/a",), "quality"),
    )
    assert _ids(model("ollama/a"), model("ollama/b"), name="quality", groups=groups) == (
        "ollama/b",
        "ollama/a",
    )


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"ollama/a"):
        _ids(model("ollama/a"), name="ollama/zzz")


def test_a_model_that_is_not_allowed_is_forbidden() -> None:
    with pytest.raises(Forbidden):
        _ids(model("ollama/a", is_allowed=False), name="ollama/a")


def test_a_named_model_of_another_task_says_so() -> None:
    with pytest.raises(BadUserInput, match="other tasks"):
        _ids(BUILTIN, name="builtin/extractive")


def test_a_prompt_that_fits_no_window_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"9,000 .* 8,192"):
        _ids(model("ollama/a"), tokens=9_000)


def test_without_a_model_that_generates_the_error_tells_two_ways_to_get_one() -> None:
    with pytest.raises(ProviderUnavailable, match=r"ollama pull .* or set ASSISTANT_OLLAMA_URL"):
        _ids(BUILTIN)
