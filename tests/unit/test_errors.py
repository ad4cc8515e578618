"""Errors that are met on one replica and told on another."""

from __future__ import annotations

import pytest

from assistant.errors import (
    AssistantError,
    InternalError,
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
