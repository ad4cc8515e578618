"""Errors: told on another replica than they were met on, and how long to wait."""

from __future__ import annotations

import pytest

from assistant.errors import (
    AssistantError,
    InternalError,
    LimitReached,
    ModelMissing,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    StorageUnavailable,
    error_of,
)


@pytest.mark.parametrize(
    ("met", "told"),
    [
        (ProviderUnavailable("It is away."), ProviderUnavailable),
        (ModelMissing("It is away."), ProviderUnavailable),
        (RateLimited("Too many.", retry_after_s=1.5), RateLimited),
        (NotFound("There is none."), NotFound),
        (InternalError("It broke."), InternalError),
        (StorageUnavailable("It is away."), InternalError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AssistantError) else "",
)
def test_an_error_that_was_met_elsewhere_is_the_most_general_one_of_its_code(
    met: AssistantError, told: type[AssistantError]
) -> None:
    again = error_of(met.to_json())

    assert type(again) is told
    assert (again.code, again.message) == (met.code, met.message)
    assert again.retry_after_s == met.retry_after_s


def test_whole_milliseconds_stay_what_they_are_and_parts_of_one_are_rounded_up() -> None:
    waits_ms = range(1, 100_000)
    kept = [LimitReached("", retry_after_s=ms / 1000).retry_after_ms for ms in waits_ms]
    assert kept == list(waits_ms)
    assert LimitReached("", retry_after_s=0.0010001).retry_after_ms == 2
