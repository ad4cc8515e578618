"""What a request leaves open is as its prompt says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.domain.completion import InterruptionPolicy
from assistant.services.selection import on_interruption_of
from tests.unit.routing_desk import rendered
from tests.unit.world import request_of

ERROR, RESTART, CONTINUE = InterruptionPolicy


@pytest.mark.parametrize(
    ("asked", "prompts", "holds"),
    [
        (ERROR, ERROR, ERROR),
        (ERROR, CONTINUE, CONTINUE),
        (RESTART, CONTINUE, RESTART),
        (RESTART, ERROR, RESTART),
    ],
)
def test_a_request_that_says_error_leaves_interruptions_to_its_prompt(
    asked: InterruptionPolicy, prompts: InterruptionPolicy, holds: InterruptionPolicy
) -> None:
    prompt = rendered(template="t", on_interruption=prompts)

    assert on_interruption_of(request_of(on_interruption=asked), prompt) is holds
    without = replace(prompt, version=None)
    assert on_interruption_of(request_of(on_interruption=asked), without) is asked
