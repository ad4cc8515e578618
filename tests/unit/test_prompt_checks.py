"""What may be written into the prompt catalog, and that everything that is wrong is said at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import GenerationParameters
from assistant.domain.model import ModelGroup
from assistant.domain.prompt import PromptVariable, VersionDraft
from assistant.domain.rollout import RolloutGuard
from assistant.errors import BadUserInput, ErrorCode
from assistant.services.prompt_checks import (
    MAX_SHARES,
    MAX_TAGS,
    MAX_VARIABLES,
    check_all,
    check_category,
    check_description,
    check_guard,
    check_prompt_name,
    check_reason,
    check_shares,
    check_tags,
    check_version,
)
from tests.unit.fakes import catalog, model
from tests.unit.prompt_desk import paths, wording

CATALOG = catalog(model("ollama/llama3.2:3b"), groups=[ModelGroup("fast", ("ollama/llama3.2:3b",))])
PUBLISHED, KNOWN = 1, (1, 2, 3)


def problem_of(check: Callable[..., None], *given: Any) -> BadUserInput:
    with pytest.raises(BadUserInput) as caught:
        check(*given)
    assert caught.value.code is ErrorCode.BAD_USER_INPUT
    return caught.value


def check_draft(draft: VersionDraft) -> None:
    check_version(draft, (), CATALOG)


# ------------------------------------------------------------------ names and labels


@pytest.mark.parametrize("name", ["a", "7", "text-summary", "-", "x" * 64])
def test_names_are_small_letters_digits_and_hyphens(name: str) -> None:
    check_prompt_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "Greet", "greet me", "greet@2", "gréet", "greet\n", "a/b", "a_b", "a.b", "\x00"],
)
def test_other_names_are_refused(name: str) -> None:
    assert problem_of(check_prompt_name, name).path == ("name",)


@pytest.mark.parametrize("label", ["c", "Kundendienst", "two words", "x" * 64, "ÄÖ", "東京"])
def test_a_category_or_a_tag_is_any_short_text(label: str) -> None:
    check_category(label)
    check_tags([label])


@pytest.mark.parametrize("label", ["", " ", " c", "c ", "c\n", "x" * 65, "a\x00b", "half \ud800"])
def test_a_category_or_a_tag_is_neither_empty_nor_long_nor_padded_nor_unreadable(
    label: str,
) -> None:
    assert problem_of(check_category, label).path == ("category",)
    assert problem_of(check_tags, ["fine", label]).path == ("tags", "1")


def test_a_prompt_has_so_many_tags_and_no_more() -> None:
    tags = [f"tag-{number}" for number in range(MAX_TAGS)]
    check_tags(tags)
    check_tags([])

    assert problem_of(check_tags, [*tags, "more"]).path == ("tags",)


def test_a_tag_is_given_once() -> None:
    problem = problem_of(check_tags, ["a", "b", "a", "b"])

    assert paths(problem) == ["tags.2", "tags.3"]
    assert problem.message == "The tag a is given twice."


def test_every_bad_tag_is_named() -> None:
    assert paths(problem_of(check_tags, ["", "good", " bad", "good"])) == [
        "tags.0",
        "tags.2",
        "tags.3",
    ]


@pytest.mark.parametrize(
    ("check", "field"), [(check_description, "description"), (check_reason, "reason")]
)
def test_a_description_or_a_reason_may_be_left_out_and_is_not_endless(
    check: Callable[[str | None], None], field: str
) -> None:
    for text in (None, "", "x" * 2_000, "two\nlines"):
        check(text)
    for text in ("x" * 2_001, "a\x00b"):
        assert problem_of(check, text).path == (field,)


# ------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    "draft",
    [
        wording("Hello {{name}}", "name"),
        wording("Hello", model="fast"),
        wording("Hello", model="ollama/llama3.2:3b"),
        wording("Hello", model="llama3.2:3b", response_schema={"type": "object"}),
        wording(
            "Hello", system_template="Be brief, {{name}}.", variables=(PromptVariable("name"),)
        ),
    ],
    ids=lambda draft: draft.template,
)
def test_a_wording_that_can_be_rendered_and_routed_passes(draft: VersionDraft) -> None:
    check_draft(draft)


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        (wording("Hello {{name"), "template"),
        (wording("Hello {{name}}"), "template"),
        (wording(""), "template"),
        (wording(" \n", system_template="Be brief."), "template"),
        (wording("a\x00b"), "template"),
        (wording("x", system_template="half \ud800"), "systemTemplate"),
        (wording("Hello", system_template="{{#open}}"), "systemTemplate"),
        (wording("{{> nothing}}"), "template"),
        (wording("Hello", "unused"), "variables.0.name"),
        (wording("{{a}}", "a", "a"), "variables.1.name"),
        (wording("{{a}}", variables=(PromptVariable("a", "\x00"),)), "variables.0.description"),
        (
            wording("{{a}}", variables=(PromptVariable("a", None, False, "\ud800"),)),
            "variables.0.defaultValue",
        ),
        (wording("x", parameters=GenerationParameters(temperature=3)), "parameters.temperature"),
        (wording("x", parameters=GenerationParameters(top_p=math.nan)), "parameters.topP"),
        (wording("x", response_schema={"type": "nothing"}), "responseSchema"),
        (wording("x", response_schema={"title": "\x00"}), "responseSchema.title"),
        (wording("x", model="gpt-9"), "model"),
        (wording("x", model=""), "model"),
        (wording("x", change_note="n" * 2_001), "changeNote"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_wording_that_is_wrong_is_refused_with_the_field_that_is(
    draft: VersionDraft, path: str
) -> None:
    assert path in paths(problem_of(check_draft, draft))


def test_everything_that_is_wrong_with_a_wording_is_said_at_once() -> None:
    draft = wording(
        "{{#open}}",
        "a b",
        system_template="{{undeclared}}",
        parameters=GenerationParameters(max_tokens=0),
        response_schema={"type": 7},
        model="gpt-9",
        change_note="\x00",
    )

    problem = problem_of(check_draft, draft)

    assert {
        "template",
        "systemTemplate",
        "variables.0.name",
        "parameters.maxTokens",
        "responseSchema",
        "model",
        "changeNote",
    } == {each.split("+")[0] for each in paths(problem)}


def test_what_is_wrong_is_said_once() -> None:
    draft = wording("{{a}}", variables=(PromptVariable("a", None, False, "half \ud800"),))

    assert paths(problem_of(check_draft, draft)) == ["variables.0.defaultValue"]


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    message = problem_of(check_draft, wording("x", model="gpt-9")).message

    assert "'gpt-9'" in message
    assert "ollama/llama3.2:3b" in message
    assert "fast" in message


def test_a_template_is_refused_with_line_and_column() -> None:
    message = problem_of(check_draft, wording("Hello\nthere {{> nothing}}")).message

    assert "line 2, column 7" in message


def test_a_prompt_takes_so_many_variables_and_no_more() -> None:
    names = [f"v{number}" for number in range(MAX_VARIABLES + 1)]
    template = "".join(f"{{{{{name}}}}}" for name in names)
    most = wording(template.replace(f"{{{{{names[-1]}}}}}", ""), *names[:-1])
    check_draft(most)

    assert "variables" in paths(problem_of(check_draft, wording(template, *names)))


# ------------------------------------------------------------------ shares


@pytest.mark.parametrize(
    "shares", [[(1, 100)], [(1, 90), (2, 10)], [(3, 1), (2, 1), (1, 98)]], ids=str
)
def test_shares_that_add_up_with_the_published_version_among_them_pass(
    shares: list[tuple[int, int]],
) -> None:
    check_shares(shares, PUBLISHED, KNOWN)


@pytest.mark.parametrize(
    ("shares", "path", "part"),
    [
        ([], "shares", "1 to 10"),
        ([(n, 9) for n in range(1, MAX_SHARES + 2)], "shares", "1 to 10"),
        ([(1, 90), (2, 9)], "shares", "add up to 99"),
        ([(1, 90), (2, 11)], "shares", "add up to 101"),
        ([(2, 50), (3, 50)], "shares", "Version 1 is published"),
        ([(2, 100)], "shares", "Version 1 is published"),
        ([(1, 90), (4, 10)], "shares.1.version", "no version 4. `versions`"),
        ([(1, 90), (-1, 10)], "shares.1.version", "no version -1"),
        ([(1, 50), (2, 10), (1, 40)], "shares.2.version", "Version 1 has two shares. Give it one"),
        ([(1, 100), (2, 0)], "shares.1.weight", "1 to 100"),
        ([(1, 110), (2, -10)], "shares.1.weight", "1 to 100"),
    ],
)
def test_shares_that_are_no_split_of_all_callers_are_refused(
    shares: list[tuple[int, int]], path: str, part: str
) -> None:
    problem = problem_of(check_shares, shares, PUBLISHED, KNOWN)

    assert [part in each.message for each in problem.every if ".".join(each.path) == path] == [True]


def test_every_bad_share_is_named() -> None:
    problem = problem_of(check_shares, [(4, 50), (2, 0), (2, 40)], PUBLISHED, KNOWN)

    assert paths(problem) == ["shares.0.version", "shares.1.weight", "shares.2.version", "shares"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-5, 105)), max_size=12))
def test_whatever_passes_is_a_split_of_all_callers(shares: list[tuple[int, int]]) -> None:
    try:
        check_shares(shares, PUBLISHED, KNOWN)
    except BadUserInput:
        is_split = False
    else:
        is_split = True

    numbers = [number for number, _ in shares]
    assert is_split == (
        sum(weight for _, weight in shares) == 100
        and min((weight for _, weight in shares), default=0) > 0
        and len(set(numbers)) == len(numbers) <= MAX_SHARES
        and PUBLISHED in numbers
        and set(numbers) <= set(KNOWN)
    )


# ------------------------------------------------------------------ guards


@pytest.mark.parametrize(
    "guard",
    [
        RolloutGuard(),
        RolloutGuard(0.0, 0.0, 1),
        RolloutGuard(1.0, 1_000.0, 1_000_000),
        RolloutGuard(None, None),
    ],
    ids=str,
)
def test_a_guard_that_could_ever_act_passes(guard: RolloutGuard) -> None:
    check_guard(guard)


@pytest.mark.parametrize(
    ("guard", "path"),
    [
        (RolloutGuard(error_rate_margin=-0.01), "guard.errorRateMargin"),
        (RolloutGuard(error_rate_margin=1.01), "guard.errorRateMargin"),
        (RolloutGuard(error_rate_margin=math.nan), "guard.errorRateMargin"),
        (RolloutGuard(error_rate_margin=math.inf), "guard.errorRateMargin"),
        (RolloutGuard(cost_margin=-1), "guard.costMargin"),
        (RolloutGuard(cost_margin=1_001), "guard.costMargin"),
        (RolloutGuard(cost_margin=math.nan), "guard.costMargin"),
        (RolloutGuard(cost_margin=math.inf), "guard.costMargin"),
        (RolloutGuard(min_samples=0), "guard.minSamples"),
        (RolloutGuard(min_samples=-1), "guard.minSamples"),
        (RolloutGuard(min_samples=1_000_001), "guard.minSamples"),
    ],
    ids=str,
)
def test_a_guard_that_never_could_is_refused(guard: RolloutGuard, path: str) -> None:
    assert paths(problem_of(check_guard, guard)) == [path]


def test_everything_that_is_wrong_with_a_guard_is_said_at_once() -> None:
    assert paths(problem_of(check_guard, RolloutGuard(2, -1, 0))) == [
        "guard.errorRateMargin",
        "guard.costMargin",
        "guard.minSamples",
    ]


# ------------------------------------------------------------------ several problems as one error


def raising(problem: BadUserInput) -> Callable[[], None]:
    def check() -> None:
        raise problem

    return check


def nested(depth: int, *names: str) -> BadUserInput:
    first, *others = (BadUserInput(f"{name} is bad", path=(name,)) for name in names)
    joined = BadUserInput.joined([first, *others])
    return joined if depth == 0 else joined.within(f"outer{depth}")


def test_every_check_is_run_and_all_problems_are_one_error_in_their_order() -> None:
    problem = problem_of(
        check_all,
        raising(nested(0, "a", "b")),
        lambda: None,
        raising(nested(1, "c")),
        raising(nested(2, "d", "e")),
    )

    assert paths(problem) == ["a", "b", "outer1.c", "outer2.d", "outer2.e"]
    assert [each.message for each in problem.every] == [f"{name} is bad" for name in "abcde"]
    assert [each.also for each in problem.also] == [()] * 4


def test_where_nothing_is_wrong_nothing_is_raised() -> None:
    check_all()
    check_all(lambda: None)


def test_a_problem_of_a_part_is_said_within_the_whole_and_stays_as_it_was() -> None:
    problem = BadUserInput("no", path=("b",), also=(BadUserInput("nor that"),))

    within = problem.within("input", "a")

    assert paths(within) == ["input.a.b", "input.a"]
    assert (within.message, within.also[0].message) == ("no", "nor that")
    assert paths(problem) == ["b", ""]


def test_what_else_is_wrong_is_kept_however_deep_it_was_found() -> None:
    deep = BadUserInput("1", also=(BadUserInput("2", also=(BadUserInput("3"),)),))

    assert [each.message for each in BadUserInput.joined([deep]).every] == ["1", "2", "3"]


def test_drafts_are_not_changed_by_being_checked() -> None:
    draft = wording("{{a}}", "a", response_schema={"type": "object"})
    same = replace(draft)

    check_draft(draft)

    assert draft == same
