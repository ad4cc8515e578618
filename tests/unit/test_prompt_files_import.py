"""What an import finds to do, by what the file says and what the catalog has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptPartial,
    PromptVersion,
    PromptVersionStatus,
    VersionDraft,
)
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    Assertion,
    Contains,
    JsonPath,
    PromptTestCase,
    PromptTestDraft,
)
from assistant.domain.rollout import Rollout
from assistant.services.prompt_file_partials import Circle, in_order, partials_of, version_of
from assistant.services.prompt_import_step import ImportStep, Known, plan_step

FILE = Path("prompts/hello.yaml")
NOW = datetime(2026, 3, 14, tzinfo=UTC)


def document(
    template: str = "Hello", *tests: tuple[str, Assertion], name: str = "hello"
) -> PromptDocument:
    return PromptDocument(
        PromptDraft(name, "misc", VersionDraft(template), tags=("a", "b")),
        tuple(PromptTestDraft(name, {}, (assertion,)) for name, assertion in tests),
    )


def version(
    number: int, template: str, partials: tuple[PromptPartial, ...] = (), *, is_draft: bool = False
) -> PromptVersion:
    return replace(
        version_of(VersionDraft(template, change_note="a note"), partials),
        id=uuid4(),
        version=number,
        status=PromptVersionStatus.DRAFT if is_draft else PromptVersionStatus.ARCHIVED,
        published_at=None if is_draft else NOW,
    )


def known(
    *versions: PromptVersion, published: int = 0, tests: tuple[PromptTestDraft, ...] = ()
) -> Known:
    """The catalog's prompt with ``versions``, the newest first, of which one is published."""
    served = next((one for one in versions if one.version == published), None)
    prompt = Prompt(
        id=UUID(int=1),
        tenant_id="acme",
        name="hello",
        description=None,
        category="misc",
        tags=("a", "b"),
        published_version_id=served.id if served else None,
        is_archived=False,
        created_by=None,
        created_at=NOW,
        updated_at=NOW,
    )
    cases = [
        PromptTestCase(uuid4(), prompt.id, t.name, t.variables, t.assertions, NOW) for t in tests
    ]
    return Known(prompt, served, versions, cases)


def planned(
    file: PromptDocument,
    catalog: Known,
    partials: tuple[PromptPartial, ...] = (),
    *,
    as_drafts: bool = False,
) -> ImportStep:
    return plan_step(FILE, file, partials, catalog, as_drafts=as_drafts)


def test_what_is_new_is_created_and_published() -> None:
    step = planned(document("Hello", ("a", Contains("x"))), Known())
    assert list(step.actions) == ["create it", "put 1 test", "publish it"]
    assert step.published == 0
    assert list(step.diff())[:2] == ["--- nothing", "+++ prompts/hello.yaml"]


def test_a_prompt_may_take_the_place_of_the_platforms() -> None:
    step = planned(document(), Known(hidden=True), as_drafts=True)
    assert list(step.actions) == ["create it, which takes the place of the platform's"]


def test_nothing_is_to_be_done_where_the_catalog_says_it_already() -> None:
    step = planned(
        document(), known(version(2, "Bye", is_draft=True), version(1, "Hello"), published=1)
    )
    assert list(step.actions) == []
    assert list(step.diff()) == []


def test_another_wording_is_a_new_version() -> None:
    step = planned(document("Hello!"), known(version(1, "Hello"), published=1))
    assert list(step.actions) == ["add a version", "publish it"]
    assert (step.published, step.says_so) == (1, None)
    assert "-  Hello" in step.diff()
    assert "+  Hello!" in step.diff()
    assert step.diff()[0] == "--- catalog: hello, version 1"


@pytest.mark.parametrize("is_draft", [True, False])
def test_a_version_that_says_it_already_is_published_and_not_added_again(is_draft: bool) -> None:
    catalog = known(version(2, "Hello!", is_draft=is_draft), version(1, "Hello"), published=1)
    step = planned(document("Hello!"), catalog)
    assert list(step.actions) == ["publish version 2"]
    assert list(planned(document("Hello!"), catalog, as_drafts=True).actions) == []


def test_a_prompt_without_a_published_version_is_compared_with_the_newest() -> None:
    catalog = known(version(2, "Bye", is_draft=True), version(1, "Hello", is_draft=True))
    step = planned(document("Hello"), catalog)
    assert step.diff()[0] == "--- catalog: hello, version 2"
    assert list(step.actions) == ["publish version 1"]


def test_what_describes_a_prompt_is_changed_without_a_version() -> None:
    file = document()
    file = replace(file, prompt=replace(file.prompt, description="Greets.", tags=()))
    step = planned(file, known(version(1, "Hello"), published=1))
    assert list(step.actions) == ["change description, tags"]
    assert step.changes == {"description": "Greets.", "tags": ()}


def test_an_archived_prompt_is_brought_back() -> None:
    catalog = known(version(1, "Hello"), published=1)
    assert catalog.prompt is not None
    catalog = replace(catalog, prompt=replace(catalog.prompt, is_archived=True))
    step = planned(document(), catalog)
    assert list(step.actions) == ["bring it back from the archive"]


def test_tests_that_differ_are_put_and_those_that_no_file_has_stay() -> None:
    before = document(
        "Hello", ("a", Contains("x")), ("b", Contains("x")), ("c", Contains("x"))
    ).tests
    file = document("Hello", ("d", Contains("x")), ("b", Contains("y")), ("a", Contains("x")))
    step = planned(file, known(version(1, "Hello"), published=1, tests=before))
    assert [test.name for test in step.tests] == ["d", "b"]
    assert step.kept_tests == ("c",)
    assert list(step.actions) == ["put 2 tests"]
    changed = [line for line in step.diff() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [
        "+  - name: d",
        "+    assertions:",
        "+      - contains: x",
        "-      - contains: x",
        "+      - contains: y",
    ]


def test_true_is_not_one_but_one_is_one_point_nought() -> None:
    def expecting(value: bool | float) -> tuple[str, Assertion]:
        return ("a", JsonPath("$", value, has_expected=True))

    catalog = known(version(1, "Hello"), published=1, tests=document("", expecting(1)).tests)
    assert planned(document("Hello", expecting(1.0)), catalog).tests == ()
    assert len(planned(document("Hello", expecting(True)), catalog).tests) == 1


def test_a_version_is_added_where_a_text_that_it_includes_has_changed() -> None:
    old, new = (
        PromptPartial("greeting", "greeting", n, text) for n, text in ((1, "Hi"), (2, "Ho"))
    )
    catalog = known(version(1, "{{> greeting}}", (old,)), published=1)
    assert list(planned(document("{{> greeting}}"), catalog, (old,)).actions) == []
    # From another version, but the same text.
    same = replace(old, version=7)
    assert list(planned(document("{{> greeting}}"), catalog, (same,)).actions) == []
    step = planned(document("{{> greeting}}"), catalog, (new,))
    assert list(step.actions) == [
        "add a version, for a text that it includes has changed",
        "publish it",
    ]


def test_a_version_that_callers_never_got_is_tested_where_its_prompt_asks_for_it() -> None:
    file = document("Hello!")
    file = replace(file, prompt=replace(file.prompt, publish_requires_tests=True))
    catalog = known(version(1, "Hello"), published=1)
    assert planned(file, catalog).needs_run
    assert not planned(file, catalog, as_drafts=True).needs_run
    again = known(version(2, "Hello"), version(1, "Hello!"), published=2)
    assert not planned(file, again).needs_run


def test_how_answers_are_kept_is_changed_as_a_whole() -> None:
    catalog = known(version(1, "Hello"), published=1)
    assert catalog.prompt is not None
    kept = CacheSettings(ttl_s=60, sharing=CacheSharing.TENANT)
    catalog = replace(catalog, prompt=replace(catalog.prompt, cache=kept))
    step = planned(document("Hello"), catalog)
    assert list(step.actions) == ["change cache"]
    assert replace(kept, **step.changes["cache"]) == CacheSettings()
    assert "-cache: {ttl_seconds: 60, sharing: TENANT}" in step.diff()

    file = document("Hello")
    file = replace(file, prompt=replace(file.prompt, cache=kept))
    assert list(planned(file, catalog).actions) == []


def test_publishing_says_that_it_ends_a_rollout() -> None:
    catalog = known(version(1, "Hello"), published=1)
    assert catalog.prompt is not None
    rollout = Rollout((1,) * 100, NOW)
    catalog = replace(catalog, prompt=replace(catalog.prompt, rollout=rollout))
    assert planned(document("Hello!"), catalog).actions[-1] == "publish it, which ends the rollout"
    assert list(planned(document("Hello"), catalog).actions) == []


def test_each_prompt_comes_after_those_that_it_includes() -> None:
    documents = {
        "a": document("{{> b}}{{> z@3}}", name="a"),
        "b": document("{{> c}}", name="b"),
        "c": document("C", name="c"),
    }
    elsewhere = {"z@3": PromptPartial("z@3", "z", 3, "Z"), "b": PromptPartial("b", "b", 1, "old")}
    assert in_order(documents) == ("c", "b", "a")
    (b, z) = partials_of(documents, elsewhere)["a"]
    assert (b.template, z.template) == ("{{> c}}", "Z")
    assert [inner.template for inner in b.partials] == ["C"]


def test_a_circle_of_files_is_refused_with_the_way_around() -> None:
    documents = {
        "a": document("{{> b}}", name="a"),
        "b": document("{{> c}}", name="b"),
        "c": document("{{> b}}", name="c"),
    }
    with pytest.raises(Circle, match=r"b -> c -> b\.") as refused:
        in_order(documents)
    assert refused.value.name == "b"
