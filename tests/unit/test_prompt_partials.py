"""What prompts include of one another: found when a version is made, and kept with it for good."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.domain.prompt import Prompt, PromptPartial, PromptVersion
from assistant.errors import BadUserInput, Conflict
from tests.unit.prompt_desk import (
    ANN,
    BOB,
    DEVELOPER,
    OPERATOR,
    PromptDesk,
    paths,
    refused,
    wording,
)
from tests.unit.world import request_of


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


def newest(at: PromptDesk, prompt: Prompt) -> PromptVersion:
    return list(at.rows.of(prompt.id).values())[-1]


async def partials(at: PromptDesk, prompt: Prompt) -> list[tuple[str, int, str]]:
    """What the newest version includes: as what, of which version, saying what."""
    return [(p.used_as, p.version, p.template) for p in newest(at, prompt).partials]


async def rendered(at: PromptDesk, name: str, number: int | None = None) -> str:
    request = request_of(caller=ANN, prompt_name=name, prompt_version=number, text=None)
    return (await at.prompts.render(request)).messages[-1].content


async def including(at: PromptDesk, template: str, name: str = "letter") -> BadUserInput:
    """What is said of a new prompt that includes what it should not."""
    return await refused(at.create(name, template))


# ------------------------------------------------------------------ which version


async def test_without_a_number_the_version_that_is_published_now_is_included(
    at: PromptDesk,
) -> None:
    greet = await at.create("greet", "Hello.")
    await at.add(greet, "a draft")

    letter = await at.create("letter", "{{> greet}} Bye.")

    assert await partials(at, letter) == [("greet", 1, "Hello.")]
    assert await rendered(at, "letter") == "Hello. Bye."


async def test_with_a_number_that_version_is_included_whether_callers_get_it_or_not(
    at: PromptDesk,
) -> None:
    greet = await at.create("greet", "one")
    await at.add(greet, "two")
    await at.add(greet, "three")
    await at.publish("greet", 2)
    assert at.statuses(greet) == "APD"

    letter = await at.create("letter", "{{> greet@1}}, {{> greet}}, {{> greet@3}}.")

    assert await partials(at, letter) == [
        ("greet@1", 1, "one"),
        ("greet", 2, "two"),
        ("greet@3", 3, "three"),
    ]
    assert await rendered(at, "letter") == "one, two, three."


async def test_a_version_of_a_rollout_is_not_what_is_included_but_the_published_one(
    at: PromptDesk,
) -> None:
    await at.add(await at.create("greet", "one"), "two")
    await at.roll_out("greet", (1, 1), (2, 99))

    assert await partials(at, await at.create("letter", "{{> greet}}")) == [("greet", 1, "one")]


async def test_what_a_version_includes_stays_when_another_one_is_published(
    at: PromptDesk,
) -> None:
    greet = await at.create("greet", "Hello.")
    letter = await at.create("letter", "{{> greet}} Bye.")
    await at.add(greet, "Good day.")
    await at.publish("greet", 2)

    assert await rendered(at, "letter") == "Hello. Bye."

    await at.add(letter, "{{> greet}} Bye.")
    assert await rendered(at, "letter", 1) == "Hello. Bye."
    assert await rendered(at, "letter", 2) == "Good day. Bye."


async def test_what_a_version_includes_stays_when_that_prompt_is_archived(at: PromptDesk) -> None:
    greet = await at.create("greet", "Hello.")
    await at.create("letter", "{{> greet}} Bye.")
    await at.authoring.update(ANN, greet.id, {"is_archived": True})

    assert await rendered(at, "letter") == "Hello. Bye."
    assert "greet" in (await including(at, "{{> greet}}", "other")).message
    assert "greet@1" in (await including(at, "{{> greet@1}}", "other")).message


async def test_what_another_replica_has_just_published_is_included_before_the_notice_arrives(
    at: PromptDesk,
) -> None:
    greet = await at.create("greet", "Hello.")
    await at.add(greet, "Good day.")
    await at.prompts.get_served("acme", "greet")  # in this replica's memory
    other = PromptDesk()
    other.rows.prompts, other.rows.versions = at.rows.prompts, at.rows.versions
    await other.publish("greet", 2)

    letter = await at.create("letter", "{{> greet}}")

    assert await partials(at, letter) == [("greet", 2, "Good day.")]


async def test_system_templates_include_too_each_text_once(at: PromptDesk) -> None:
    await at.create("greet", "Hello.")
    await at.create("tone", "Be kind.")
    draft = wording("{{> greet}} {{> greet}}", system_template="{{> tone}} {{> greet}}")
    prompt = await at.create("letter")

    version = await at.authoring.add_version(ANN, prompt.id, draft)

    assert [p.used_as for p in version.partials] == ["greet", "tone"]


async def test_what_a_prompt_says_to_the_system_is_not_included_but_only_its_template(
    at: PromptDesk,
) -> None:
    await at.create("tone", "Be kind.")
    greet = await at.create("greet", "old")
    await at.authoring.add_version(
        ANN, greet.id, wording("Hello.", system_template="{{> tone}} Be brief.")
    )
    await at.publish("greet", 2)

    letter = await at.create("letter", "{{> greet}}")

    assert newest(at, letter).partials == (PromptPartial("greet", "greet", 2, "Hello."),)


async def test_however_much_is_included_takes_three_reads(at: PromptDesk) -> None:
    names = [f"part-{number}" for number in range(16)]
    for name in names:
        await at.add(await at.create(name))
    at.rows.asked.clear()

    await at.create("letter", "".join(f"{{{{> {name}}}}}{{{{> {name}@2}}}}" for name in names))

    assert at.rows.asked == [
        "prompts_by_name",
        "versions_by_number",
        "versions_by_id",
        "add_prompt",
    ]


async def test_a_prompt_that_includes_nothing_reads_nothing(at: PromptDesk) -> None:
    await at.create("letter", "{{! > greet}} Hello.")

    assert at.rows.asked == ["add_prompt"]


# ------------------------------------------------------------------ partials of partials


async def test_a_partial_keeps_what_it_included_itself_when_it_was_made(at: PromptDesk) -> None:
    sign = await at.create("sign", "Yours, A.")
    await at.create("close", "Bye. {{> sign}}")
    await at.add(sign, "Yours, B.")
    await at.publish("sign", 2)

    letter = await at.create("letter", "{{> close}} | {{> sign}}")

    assert await rendered(at, "letter") == "Bye. Yours, A. | Yours, B."
    close, now = newest(at, letter).partials
    assert close.partials == (PromptPartial("sign", "sign", 1, "Yours, A."),)
    assert now.version == 2


@settings(deadline=None)
@given(st.integers(1, 8))
async def test_a_chain_of_partials_says_what_its_parts_said_one_after_the_other(
    length: int,
) -> None:
    at = PromptDesk()
    await at.create("part-0", "0")
    for number in range(1, length + 1):
        await at.create(f"part-{number}", f"{{{{> part-{number - 1}}}}} {number}")

    assert await rendered(at, f"part-{length}") == " ".join(map(str, range(length + 1)))


# ------------------------------------------------------------------ whose


async def test_the_tenants_own_prompt_is_included_before_the_platforms(at: PromptDesk) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    letter = await at.create("letter", "{{> greet}}")
    assert await rendered(at, "letter") == "the platform's"

    await at.create("greet", "acme's")
    await at.add(letter, "{{> greet}}")

    assert await rendered(at, "letter", 2) == "acme's"


async def test_another_tenants_prompt_is_never_included(at: PromptDesk) -> None:
    await at.create("greet", "globex's", BOB)

    assert "greet" in (await including(at, "{{> greet}}")).message


async def test_an_archived_prompt_of_ones_own_does_not_let_the_platforms_be_included(
    at: PromptDesk,
) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    own = await at.create("greet", "acme's")
    await at.authoring.update(ANN, own.id, {"is_archived": True})

    assert "greet" in (await including(at, "{{> greet}}")).message


async def test_the_platforms_prompts_include_only_the_platforms_whoever_changes_them(
    at: PromptDesk,
) -> None:
    await at.create("greet", "the platform's", OPERATOR)
    await at.create("greet", "the developer's", DEVELOPER)
    letter = await at.create("letter", "old", OPERATOR)

    await at.add(letter, "{{> greet}}", DEVELOPER)

    assert await partials(at, letter) == [("greet", 1, "the platform's")]


# ------------------------------------------------------------------ what cannot be included


@pytest.mark.parametrize("name", ["nothing", "draft", "greet@2", "nothing@1"])
async def test_what_cannot_be_included_is_named_with_line_and_column(
    at: PromptDesk, name: str
) -> None:
    await at.create("greet", "Hello.")
    await at.create("draft", publish=False)

    problem = await including(at, f"Dear all,\n  {{{{> {name}}}}}\nBye.")

    assert problem.path == ("initialVersion", "template")
    assert name in problem.message
    assert "line 2, column 3" in problem.message


async def test_everything_that_cannot_be_included_is_said_of_either_template(
    at: PromptDesk,
) -> None:
    prompt = await at.create("letter")

    problem = await refused(
        at.authoring.add_version(
            ANN, prompt.id, wording("{{> nothing}}", system_template="{{> nobody}}")
        )
    )

    assert paths(problem) == ["template", "systemTemplate"]


@pytest.mark.parametrize("used_as", ["letter", "letter@1", "letter@9"])
async def test_a_prompt_does_not_include_itself_in_any_version(
    at: PromptDesk, used_as: str
) -> None:
    prompt = await at.create("letter", "one")

    problem = await refused(at.add(prompt, f"{{{{> {used_as}}}}}"))

    assert problem.message == "A prompt cannot include itself: letter -> letter."
    assert problem.path == ("template",)


async def test_a_new_prompt_does_not_include_itself_nor_the_platforms_that_it_hides(
    at: PromptDesk,
) -> None:
    problem = await including(at, "{{> letter}}")
    assert problem.message == "A prompt cannot include itself: letter -> letter."
    assert problem.path == ("initialVersion", "template")

    await at.create("letter", "the platform's", OPERATOR)
    assert "letter -> letter" in (await including(at, "{{> letter}}")).message


async def test_a_circle_through_others_is_refused_with_the_way_it_takes(at: PromptDesk) -> None:
    first = await at.create("a", "a")
    await at.create("b", "{{> a}}")
    await at.create("c", "x {{> b}}")
    await at.create("d", "fine")

    problem = await refused(at.add(first, "{{> d}} {{> c}}"))

    assert problem.message == "A prompt cannot include itself: a -> c -> b -> a."
    assert at.statuses(first) == "P"


async def test_a_circle_is_said_of_the_template_that_it_begins_in(at: PromptDesk) -> None:
    prompt = await at.create("a", "a")
    await at.create("b", "{{> a}}")

    problem = await refused(
        at.authoring.add_version(ANN, prompt.id, wording("fine", system_template="{{> b}}"))
    )

    assert problem.message == "A prompt cannot include itself: a -> b -> a."
    assert problem.path == ("systemTemplate",)


async def test_including_the_same_text_by_two_ways_is_no_circle(at: PromptDesk) -> None:
    await at.create("sign", "Yours")
    await at.create("left", "{{> sign}} l")
    await at.create("right", "{{> sign}} r")

    await at.create("letter", "{{> left}}, {{> right}}, {{> sign}}")

    assert await rendered(at, "letter") == "Yours l, Yours r, Yours"


PARTS = ["a", "b", "c", "d"]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(PARTS), st.lists(st.sampled_from(PARTS), max_size=3)),
        max_size=12,
    )
)
async def test_whatever_is_written_in_whatever_order_no_version_ever_includes_its_own_prompt(
    changes: list[tuple[str, list[str]]],
) -> None:
    at = PromptDesk()
    prompts = {name: await at.create(name, name) for name in PARTS}
    for name, includes in changes:
        template = name + "".join(f"{{{{> {other}}}}}" for other in includes)
        try:
            number = await at.add(prompts[name], template)
        except BadUserInput as problem:
            assert problem.message.endswith(f" -> {name}.")
        else:
            await at.publish(name, number)

    for name, prompt in prompts.items():
        for version in at.rows.of(prompt.id).values():
            assert name not in names_in(version.partials)


def names_in(found: tuple[PromptPartial, ...]) -> set[str]:
    return {p.name for p in found} | {name for p in found for name in names_in(p.partials)}


async def test_two_prompts_of_one_name_are_refused_before_anything_is_included(
    at: PromptDesk,
) -> None:
    await at.create("greet", "Hello.")
    await at.create("letter", "{{> greet}}")

    with pytest.raises(Conflict):
        await at.create("letter", "{{> greet}}")
