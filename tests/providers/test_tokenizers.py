"""Vocabularies: those that come with the service, and models' own files."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from assistant.adapters.tokenizers import TokenizerLibrary, Vocabulary
from assistant.domain.model import ModelKey
from assistant.domain.tokens import estimate_tokens
from tests.quality.tokens.families import FAMILIES, Family, load_reported
from tests.quality.tokens.prompts import load_prompts

LIBRARY = TokenizerLibrary()
PAGE = "\n\n".join(
    message.content for prompt in load_prompts("all").measured for message in prompt.messages
)


def key(model: str, provider: str = "ollama") -> ModelKey:
    return ModelKey("platform", provider, model)


def name_of(model: str, library: TokenizerLibrary = LIBRARY) -> str | None:
    found = library.find(key(model))
    return None if found is None else found.name


# ------------------------------------------------------------------ bundled


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_bundled_vocabulary_counts_what_the_models_own_program_counts(family: Family) -> None:
    """``counts.json`` has what those programs count; see tests/quality/tokens/references.py."""
    vocabulary = LIBRARY.find(key(family.model))
    assert vocabulary is not None
    prompts, reported = load_prompts("all").measured, load_reported(family, "all").measured

    different = 0
    for prompt, tokens in zip(prompts[:150], reported, strict=False):
        counted = sum(vocabulary.count(message.content) for message in prompt.messages)
        # Gemma's program has tokens of its own for a few HTML tags: one text in four hundred.
        assert counted + family.framing_of(prompt) == pytest.approx(tokens, rel=0.03)
        different += counted + family.framing_of(prompt) != tokens
    assert different <= 3


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o1", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo-2024-04-09", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-oss:20b", "gpt-oss"),
        ("llama3.2:3b", "llama3"),
        ("llama3", "llama3"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3"),
        ("hf.co/bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M", "llama3"),
        ("llama2:7b", "llama2"),
        ("mistral", "mistral_v2"),
        ("mistral:7b-instruct", "mistral_v2"),
        ("mistralai/Mistral-7B-Instruct-v0.2", "mistral_v1"),
        ("mixtral:8x7b", "mistral_v1"),
        ("mistral-nemo:12b", "mistral_v3"),
        ("qwen2.5-coder:7b", "qwen3"),
        ("qwen3:8b", "qwen3"),
        ("gemma3:4b", "gemma3"),
        ("gemma2:9b", "gemma2"),
        ("phi4:14b", "phi4"),
        ("deepseek-r1:671b", "deepseek_v3"),
        # Families whose members differ, and those whose vocabulary is not published.
        ("deepseek-r1:8b", None),
        ("qwen3.5:9b", None),
        ("phi4-mini", None),
        ("mistral-large-latest", None),
        ("mistral-small:22b", None),
        ("llama4:scout", None),
        ("claude-sonnet-5", None),
        ("o3something", None),
        ("gemini-3-pro", None),
        ("extractive", None),
        ("", None),
    ],
)
def test_a_models_name_says_its_vocabulary_where_that_is_certain(
    model: str, vocabulary: str | None
) -> None:
    assert name_of(model) == vocabulary


@pytest.mark.parametrize("model", ["gpt-4o", "llama3.2", "mistral:7b", "gemma3"])
@pytest.mark.parametrize("text", ["<|endoftext|>", "<|eot_id|>", "</s>", "[INST]", "<end_of_turn>"])
def test_what_looks_like_a_special_token_is_plain_text(model: str, text: str) -> None:
    found = LIBRARY.find(key(model))
    assert found is not None
    assert found.count(text) > 1


TEXTS = st.text(st.characters(exclude_categories=()), max_size=500)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "llama3.2", "mistral:7b", "qwen3", "gemma3"])
@given(text=TEXTS)
def test_no_text_raises(model: str, text: str) -> None:
    found = LIBRARY.find(key(model))
    assert found is not None
    assert (1 if text else 0) <= found.count(text) <= 4 * len(text) + 1


# ------------------------------------------------------------------ long texts


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "llama3.2", "mistral:7b", "qwen3", "gemma3"])
def test_a_long_text_is_counted_in_pieces_as_if_it_were_in_one(model: str) -> None:
    found = LIBRARY.find(key(model))
    assert isinstance(found, Vocabulary)
    text = PAGE[:100_000]

    assert found.count(text) == pytest.approx(found._count(text), abs=3)


@pytest.mark.parametrize("text", ["A" * 50_000, " " * 50_000, "\n" * 50_000, "漢字" * 25_000])
def test_a_text_without_a_place_to_cut_is_cut_all_the_same(text: str) -> None:
    found = LIBRARY.references[1]
    assert isinstance(found, Vocabulary)
    assert found.count(text) == pytest.approx(found._count(text), rel=0.01)


def test_other_threads_run_while_a_long_text_is_counted() -> None:
    found = LIBRARY.find(key("gemma3"))
    assert found is not None
    counted: list[int] = []
    counting = threading.Thread(target=lambda: counted.append(found.count(PAGE[:400_000])))
    turns = 0
    counting.start()
    while counting.is_alive():
        time.sleep(0)
        turns += 1
    counting.join()
    assert counted
    assert turns > 10


def test_a_library_that_panics_costs_exactness_only() -> None:
    class Panic(BaseException):
        """What a Rust library's panic is in Python."""

    def count(text: str) -> int:
        if text == "\n":
            return 1
        raise Panic

    assert Vocabulary("broken", count, is_quick=True).count("some text") == estimate_tokens(
        "some text"
    )


# ------------------------------------------------------------------ files


def write_tokenizer(path: Path, words: int = 3) -> None:
    """A tokenizer of whole words, with all that files of real models bring along."""
    vocabulary = {"[UNK]": 0} | {f"word{index}": index + 1 for index in range(words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.add_special_tokens(["<|end|>"])
    made.enable_truncation(4)
    made.enable_padding(length=64)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(path))


def test_a_models_own_file_counts_without_padding_truncation_and_special_tokens(
    tmp_path: Path,
) -> None:
    write_tokenizer(tmp_path / "ollama/llama3.2_3b/tokenizer.json")
    found = TokenizerLibrary(tmp_path).find(key("llama3.2:3b"))

    assert found is not None
    assert found.name.startswith("file-")
    assert found.count("word0 word1 word2 word0 word1 word2") == 6
    assert found.count("word0 <|end|>") == 1 + 3
    assert found.count("") == 0


def test_a_providers_file_comes_before_that_of_all_and_that_before_the_bundled(
    tmp_path: Path,
) -> None:
    write_tokenizer(tmp_path / "ollama/llama3/tokenizer.json", words=1)
    write_tokenizer(tmp_path / "llama3/tokenizer.json", words=2)
    library = TokenizerLibrary(tmp_path)

    names = [
        library.find(key(model, provider)).name  # type: ignore[union-attr]
        for provider, model in (("ollama", "llama3"), ("vllm", "llama3"), ("vllm", "llama3.1"))
    ]
    assert len(set(names)) == 3
    assert names[2] == "llama3"


def test_the_same_content_is_the_same_vocabulary_and_other_content_another(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "one/tokenizer.json")
    write_tokenizer(tmp_path / "two/tokenizer.json")
    write_tokenizer(tmp_path / "three/tokenizer.json", words=9)
    one, two, three = (
        name_of(model, TokenizerLibrary(tmp_path)) for model in ("one", "two", "three")
    )

    assert one == two != three


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff\xfe", b'{"version": "1.0"}', b"[]"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "llama3/tokenizer.json"
    path.parent.mkdir()
    path.write_bytes(content)

    assert name_of("llama3", TokenizerLibrary(tmp_path)) == "llama3"
    assert name_of("strange", TokenizerLibrary(tmp_path)) is None


@pytest.mark.parametrize("model", ["../secret", "..", "/etc", "a/../../secret", "..\\secret", "."])
def test_a_models_name_leads_nowhere_else(tmp_path: Path, model: str) -> None:
    for place in ("secret", "etc", "tokenizers", "."):
        write_tokenizer(tmp_path / place / "tokenizer.json")
    folder = tmp_path / "tokenizers"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").unlink(missing_ok=True)

    assert name_of(model, TokenizerLibrary(folder)) is None


def test_a_folder_that_is_not_there_is_no_harm(tmp_path: Path) -> None:
    assert name_of("llama3", TokenizerLibrary(tmp_path / "nowhere")) == "llama3"
