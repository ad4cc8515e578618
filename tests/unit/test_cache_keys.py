"""What is part of a request's keys, and which text of it may differ in its wording."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from assistant.domain.cache import CacheKey, CacheOutcome, CacheSettings, CacheSharing
from assistant.domain.completion import CompletionRequest, Message, MessageRole
from assistant.domain.prompt import Prompt, PromptVariable, PromptVersion, VersionDraft
from assistant.services.cache_keys import exact_key_of, question_of, why_not_kept
from assistant.services.prompts import render_request
from tests.unit.fakes import ALICE
from tests.unit.prompt_stores import FakePromptStore
from tests.unit.test_cache import cached_world
from tests.unit.world import request_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BOB = replace(ALICE, user_id="bob")
SHARED = CacheSettings(sharing=CacheSharing.TENANT)


def key_of(
    request: CompletionRequest,
    asked: tuple[Prompt, PromptVersion] | None = None,
    embedder: str = "e",
) -> CacheKey:
    prompt = render_request(request, asked)
    exact = exact_key_of(request, prompt)
    return question_of(request, prompt, exact, uuid4(), embedder).key


def asked_of(
    template: str,
    *variables: str,
    settings: CacheSettings = CacheSettings(),  # noqa: B008 - immutable
    system: str | None = None,
    version_id: int = 2,
) -> tuple[Prompt, PromptVersion]:
    draft = VersionDraft(template, system, tuple(PromptVariable(name) for name in variables))
    version = PromptVersion.of(
        draft, (), id_=UUID(int=version_id), prompt_id=UUID(int=1), created_at=NOW
    )
    prompt = Prompt(
        UUID(int=1), "acme", "p", None, "c", (), version.id, False, None, NOW, NOW, cache=settings
    )
    return prompt, version


def of_prompt(variables: dict[str, object], **fields: object) -> CompletionRequest:
    return request_of(text=None, prompt_name="p", variables=variables, **fields)


def test_only_the_last_text_of_the_user_may_differ() -> None:
    said = (
        Message(MessageRole.SYSTEM, "Be brief."),
        Message(MessageRole.USER, "Hello"),
        Message(MessageRole.ASSISTANT, "Hi"),
        Message(MessageRole.USER, "How are you?"),
    )
    other_end = (*said[:3], Message(MessageRole.USER, "How do you do?"))
    other_start = (said[0], Message(MessageRole.USER, "Hey"), *said[2:])

    keys = [key_of(request_of(text=None, messages=m)) for m in (said, other_end, other_start)]

    assert [key.wording for key in keys] == ["How are you?", "How do you do?", "How are you?"]
    assert keys[0].scope == keys[1].scope != keys[2].scope
    assert len({key.exact for key in keys}) == 3


def test_of_a_prompt_its_only_variable_may_differ_and_not_its_own_words() -> None:
    asked = asked_of("Summarise in two lines:\n{{text}}", "text")

    one, other = (key_of(of_prompt({"text": text}), asked) for text in ("a b c", "d e f"))

    assert (one.wording, other.wording) == ("a b c", "d e f")
    assert one.scope == other.scope
    assert one.exact != other.exact


def test_of_a_prompt_of_several_variables_those_may_differ_that_its_settings_name() -> None:
    settings = CacheSettings(variables=("question", "unknown"))
    unnamed = asked_of("{{tone}} {{question}}", "tone", "question")
    named = asked_of("{{tone}} {{question}}", "tone", "question", settings=settings)
    request = of_prompt({"tone": "kind", "question": "why?"})
    other_tone = of_prompt({"tone": "rude", "question": "why?"})

    assert key_of(request, unnamed).scope is None
    assert key_of(request, named).wording == "why?"
    assert key_of(request, named).scope != key_of(other_tone, named).scope


async def test_no_word_may_change_from_one_variable_to_another() -> None:
    settings = CacheSettings(variables=("buy", "leave"))
    prompt, version = asked_of("Buy {{buy}}, not {{leave}}", "buy", "leave", settings=settings)
    prompts = FakePromptStore({prompt.id: prompt}, {version.id: replace(version, version=1)})
    world = cached_world(prompts=prompts)

    outcomes = []
    for buy, leave in (
        ("Apples pears", "plums"),
        ("apples pears", "plums"),
        ("apples", "pears plums"),
    ):
        await world.flow.complete(of_prompt({"buy": buy, "leave": leave}))
        await world.cache.drain(1)
        outcomes.append(world.store.settled[-1].cache)

    assert outcomes == [CacheOutcome.MISS, CacheOutcome.SEMANTIC, CacheOutcome.MISS]


def test_what_only_the_system_message_prints_may_be_personal_too() -> None:
    asked = asked_of("Hello {{name}}", "name", "mail", system="For {{mail}}.", settings=SHARED)
    request = of_prompt({"name": "Ann", "mail": "ann@example.com"})

    assert why_not_kept(request, render_request(request, asked))


def test_a_variable_that_the_system_message_prints_may_not_differ() -> None:
    asked = asked_of("Answer: {{text}}", "text", system="You know all about {{text}}.")

    one, other = (key_of(of_prompt({"text": text}), asked) for text in ("cats", "dogs"))

    assert one.scope != other.scope


def test_a_variable_that_is_no_text_may_not_differ() -> None:
    asked = asked_of("{{#items}}{{.}}{{/items}}!", "items")

    assert key_of(of_prompt({"items": ["a"]}), asked).scope is None


def test_another_version_or_embedder_is_another_scope() -> None:
    request = of_prompt({"text": "a"})
    first, second = (asked_of("{{text}}", "text", version_id=id_) for id_ in (2, 3))

    assert key_of(request, first).scope != key_of(request, second).scope
    assert key_of(request, first).scope != key_of(request, first, "another").scope
    assert key_of(request, first).exact == key_of(request, first, "another").exact


def test_a_users_entries_are_theirs_through_every_service_and_a_service_without_users_has_its_own() -> (
    None
):
    through_another = replace(ALICE, service_id="mobile")
    service = replace(ALICE, user_id=None)
    # A user whose name is a service's is not that service.
    namesake = replace(ALICE, user_id="web")

    exact = [
        key_of(request_of(caller=caller)).exact
        for caller in (ALICE, through_another, BOB, service, namesake)
    ]

    assert exact[0] == exact[1]
    assert len(set(exact[1:])) == 4


def test_a_prompt_can_share_its_answers_within_the_tenant_and_no_further() -> None:
    shared = asked_of("{{text}}", "text", settings=CacheSettings(sharing=CacheSharing.TENANT))
    globex = replace(ALICE, tenant_id="globex")

    keys = [
        key_of(of_prompt({"text": "a"}, caller=caller), shared) for caller in (ALICE, BOB, globex)
    ]

    assert keys[0] == keys[1]
    assert keys[0].exact != keys[2].exact
    assert keys[0].scope != keys[2].scope


@pytest.mark.parametrize(
    "text",
    [
        "write to ann@example.com",
        "write to ann [at] example [dot] com",
        "call +49 170 1234567",
        "call (030) 901820-55",
        "pay DE89 3704 0044 0532 0130 00",
        "card 4111 1111 1111 1111",
        "ssn 078-05-1120",
        "from 192.168.0.17",
        "full width \uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
    ],
)
def test_what_looks_personal_is_never_shared(text: str) -> None:
    shared = asked_of("{{text}}", "text", settings=CacheSettings(sharing=CacheSharing.TENANT))
    own = asked_of("{{text}}", "text")
    request = of_prompt({"text": text})

    assert "personal" in (why_not_kept(request, render_request(request, shared)) or "")
    assert why_not_kept(request, render_request(request, own)) is None


@pytest.mark.parametrize("text", ["In 2024, 12 of 30 won.", "version 1.2.3", "a@b", "5,000,000"])
def test_what_does_not_look_personal_is_shared(text: str) -> None:
    shared = asked_of("{{text}}", "text", settings=CacheSettings(sharing=CacheSharing.TENANT))
    request = of_prompt({"text": text})

    assert why_not_kept(request, render_request(request, shared)) is None


def test_a_prompt_says_from_which_temperature_on_nothing_is_kept() -> None:
    asked = asked_of("{{text}}", "text", settings=CacheSettings(max_temperature=1))
    request = of_prompt({"text": "a"})
    warm = replace(request, parameters=replace(request.parameters, temperature=0.9))

    assert why_not_kept(warm, render_request(warm, asked)) is None
    assert why_not_kept(replace(warm, unsaved=asked), render_request(warm, asked)) is not None


def test_a_prompt_can_keep_nothing() -> None:
    asked = asked_of("{{text}}", "text", settings=CacheSettings(ttl_s=0))
    request = of_prompt({"text": "a"})

    assert "ttlSeconds" in (why_not_kept(request, render_request(request, asked)) or "")


def test_a_long_text_that_looks_like_an_address_for_ever_takes_no_time() -> None:
    shared = asked_of("{{text}}", "text", settings=CacheSettings(sharing=CacheSharing.TENANT))
    for text in ("a." * 50_000, "1 " * 50_000, "DE12 " * 20_000, "a" * 100_000 + "@"):
        request = of_prompt({"text": text})
        why_not_kept(request, render_request(request, shared))
