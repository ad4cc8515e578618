"""The shipped prompts on what is always there: the builtin model, and the embedder of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.providers.builtin import EMBEDDING_MODEL, ExtractiveProvider
from assistant.domain.completion import TextDelta
from assistant.domain.ports import TimeLimits
from assistant.domain.prompt_test import Assertion, JudgedBy, SimilarTo
from assistant.services.prompt_assertions import check_answer
from assistant.services.prompt_file_partials import version_of
from assistant.services.rendering import render_prompt
from tests.providers.embedding_files import installed_embedding
from tests.providers.test_builtin import call
from tests.unit.prompt_library import ANSWERS, OF_THE_BUILTIN, PROMPTS, completion_of


@pytest.fixture
async def provider() -> AsyncIterator[ExtractiveProvider]:
    embedder = MiniLmEmbedder(installed_embedding())
    yield ExtractiveProvider(embedder)
    await embedder.close()


async def similarity(provider: ExtractiveProvider, one: str, other: str) -> float:
    embedded = await provider.embed(EMBEDDING_MODEL, [one, other], TimeLimits())
    return sum(left * right for left, right in zip(*embedded.vectors, strict=True))


async def holds(provider: ExtractiveProvider, assertion: Assertion, text: str) -> bool:
    assert not isinstance(assertion, JudgedBy)
    if isinstance(assertion, SimilarTo):
        return await similarity(provider, assertion.text, text) >= assertion.threshold
    return check_answer(assertion, completion_of(text)).passed


@pytest.mark.parametrize("name", sorted(OF_THE_BUILTIN))
async def test_the_builtin_model_passes_the_tests_of_the_prompts_that_it_serves(
    provider: ExtractiveProvider, name: str
) -> None:
    document = PROMPTS[name]
    for test in document.tests:
        prompt = render_prompt(version_of(document.prompt.version, ()), test.variables)
        events = provider.generate(call(prompt.task, prompt.variables))
        text = "".join([event.text async for event in events if isinstance(event, TextDelta)])
        failed = [one for one in test.assertions if not await holds(provider, one, text)]
        assert failed == [], f"{test.name}: {text}"


async def test_a_good_answer_means_what_its_test_compares_it_with_and_a_bad_one_does_not(
    provider: ExtractiveProvider,
) -> None:
    for answered in ANSWERS:
        for assertion in answered.test.assertions:
            if isinstance(assertion, SimilarTo):
                assert await holds(provider, assertion, answered.good), answered.test.name
                assert not await holds(provider, assertion, answered.bad), answered.test.name
