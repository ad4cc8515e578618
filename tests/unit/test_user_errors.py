"""What a refused change tells its caller."""

from __future__ import annotations

import pytest

from assistant.api.prompt_assertion import PromptAssertionInput, in_graphql
from assistant.api.user_errors import UserError, attempt
from assistant.errors import (
    BadUserInput,
    Conflict,
    ErrorCode,
    RequestError,
    StorageUnavailable,
    Unauthenticated,
)


async def refusing(error: Exception) -> None:
    raise error


async def made() -> str:
    return "made"


async def test_what_went_well_has_no_errors() -> None:
    assert await attempt(made(), "input") == ("made", [])


async def test_everything_that_is_wrong_with_an_input_is_an_error_with_its_own_path() -> None:
    error = BadUserInput(
        "No name.",
        path=("name",),
        also=(BadUserInput("No text.", path=("version", "text")), BadUserInput("Too much.")),
    )

    assert await attempt(refusing(error), "input") == (
        None,
        [
            UserError(code=ErrorCode.BAD_USER_INPUT, message="No name.", path=["input", "name"]),
            UserError(
                code=ErrorCode.BAD_USER_INPUT, message="No text.", path=["input", "version", "text"]
            ),
            UserError(code=ErrorCode.BAD_USER_INPUT, message="Too much.", path=["input"]),
        ],
    )


async def test_what_is_wrong_with_no_field_has_no_path() -> None:
    _, errors = await attempt(refusing(Conflict("Somebody else did.")), "input")
    assert errors == [UserError(code=ErrorCode.CONFLICT, message="Somebody else did.", path=[])]


@pytest.mark.parametrize("error", [Unauthenticated("Who?"), StorageUnavailable("Away.")])
async def test_what_the_caller_cannot_mend_in_the_input_is_no_part_of_a_payload(
    error: RequestError,
) -> None:
    with pytest.raises(type(error)):
        await attempt(refusing(error), "input")


def test_only_the_kind_of_an_assertion_is_spelt_anew() -> None:
    problem = BadUserInput(
        "max_latency_ms must be a whole number.",
        path=("assertions", "0", "max_latency_ms"),
        also=(
            BadUserInput("x", path=("assertions", "1", "satisfies_schema", "json_path")),
            BadUserInput("x", path=("variables", "max_tokens")),
        ),
    )

    spelt = in_graphql(problem)

    assert spelt.message == "maxLatencyMs must be a whole number."
    assert [each.path for each in spelt.every] == [
        ("assertions", "0", "maxLatencyMs"),
        ("assertions", "1", "satisfiesSchema", "json_path"),
        ("variables", "max_tokens"),
    ]


def test_an_assertion_names_the_fields_that_it_has_too_many_of() -> None:
    given = PromptAssertionInput(contains="a", max_tokens=5)

    with pytest.raises(BadUserInput, match="found contains, maxTokens") as caught:
        given.to_domain(("assertions", "0"))
    assert caught.value.path == ("assertions", "0")
