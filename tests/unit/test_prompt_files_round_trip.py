"""What is written reads back as what it was, whatever somebody has put into a prompt."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptDraft, PromptVariable, VariableType, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    Contains,
    JsonPath,
    JudgedBy,
    Matches,
    MaxLatency,
    MaxTokens,
    NotContains,
    PromptTestDraft,
    SatisfiesSchema,
    SimilarTo,
)
from assistant.domain.values import JsonValue
from assistant.services.prompt_documents import is_same_document
from assistant.services.prompt_files import read_prompt, write_prompt
from assistant.services.prompt_yaml import plain, read_yaml, write_yaml

# What YAML makes something of, and all that prompts may hold: no NUL, no lone surrogates.
TRICKY = st.sampled_from(
    [*" \t\n\r:#-{}[]'\"|>&*!%@`,?~\\\x85\u2028\ufeff\x7f\x1f.0123456789eEnoyx_+"]
)
CHARACTERS = TRICKY | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(CHARACTERS, max_size=30)
LINES = st.lists(TEXT | st.sampled_from(["", " ", "\t", "  x", "x  ", "x\r", "- x"])).map("\n".join)
ASKED = st.text(CHARACTERS, min_size=1, max_size=30)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9, allow_nan=False)
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | NUMBERS | LINES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
ASSERTIONS = (
    st.builds(Contains, ASKED)
    | st.builds(NotContains, ASKED)
    | st.builds(Matches, ASKED)
    | st.builds(JsonPath, ASKED)
    | st.builds(JsonPath, ASKED, JSON, st.just(True))
    | st.builds(SatisfiesSchema, OBJECTS)
    | st.builds(MaxTokens, st.integers(1, 2**31 - 1))
    | st.builds(MaxLatency, st.integers(1, 2**31 - 1))
    | st.builds(SimilarTo, ASKED, st.floats(-1, 1))
    | st.builds(JudgedBy, ASKED, st.none() | ASKED)
)
DOCUMENTS = st.builds(
    PromptDocument,
    st.builds(
        PromptDraft,
        name=TEXT,
        category=TEXT,
        description=st.none() | LINES,
        tags=st.lists(TEXT, max_size=3).map(tuple),
        publish_requires_tests=st.booleans(),
        cache=st.builds(
            CacheSettings,
            ttl_s=st.none() | st.integers(0, 10**6),
            min_similarity=st.floats(0.8, 1),
            max_temperature=st.floats(0, 2),
            sharing=st.sampled_from(CacheSharing),
            is_semantic=st.booleans(),
            variables=st.lists(TEXT, max_size=3).map(tuple),
        ),
        version=st.builds(
            VersionDraft,
            template=LINES,
            system_template=st.none() | LINES,
            variables=st.lists(
                st.builds(
                    PromptVariable,
                    name=TEXT,
                    description=st.none() | LINES,
                    is_required=st.booleans(),
                    default_value=st.none() | LINES,
                    type=st.sampled_from(VariableType),
                ),
                max_size=2,
            ).map(tuple),
            task=st.sampled_from(TaskType),
            model=st.none() | TEXT,
            parameters=st.builds(
                GenerationParameters,
                temperature=st.none() | st.floats(0, 2),
                top_p=st.none() | st.floats(0, 1),
                max_tokens=st.none() | st.integers(1, 10**6),
                stop=st.none() | st.lists(TEXT, max_size=3).map(tuple),
                seed=st.none() | st.integers(),
                timeout_ms=st.none() | st.integers(1),
            ),
            response_schema=st.none() | OBJECTS,
            on_interruption=st.sampled_from(InterruptionPolicy),
        ),
    ),
    st.lists(
        st.builds(PromptTestDraft, TEXT, OBJECTS, st.lists(ASSERTIONS, max_size=3).map(tuple)),
        max_size=2,
    ).map(tuple),
)


@given(DOCUMENTS)
def test_every_prompt_reads_back_as_what_was_written(document: PromptDocument) -> None:
    written = write_prompt(document)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompt.yaml"
        file.write_text(written, encoding="utf-8", newline="\n")
        found = read_prompt(file)

    assert found == document
    assert is_same_document(found, document)
    assert write_prompt(found) == written


@given(OBJECTS)
def test_readers_of_older_yaml_see_the_same(content: dict[str, JsonValue]) -> None:
    written = write_yaml(content)

    assert plain(read_yaml(written)) == plain(content)
    assert plain(yaml.safe_load(written)) == plain(content)
