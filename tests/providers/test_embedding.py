"""The embedder, with the real model that `make setup` builds."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from assistant.adapters.embedding import MiniLmEmbedder, fill_run
from assistant.adapters.embedding_model import (
    CARD_SIMILARITIES,
    CARD_TEXTS,
    MAX_PIECES,
    MODEL_FILE,
    READ_CHARACTERS,
    TOKENIZER_FILE,
    WordPieces,
)
from assistant.domain.ports import Embedder, Vector
from assistant.errors import ProviderUnavailable
from tests.providers.embedding_files import installed_embedding

LONG_TEXT = "The committee met on Tuesday and agreed on nothing at all. " * 40


@pytest.fixture(scope="session")
def installed() -> Path:
    return installed_embedding()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # pytest keeps three sessions' folders, and these are large


@pytest.fixture
async def embedder(installed: Path) -> AsyncIterator[MiniLmEmbedder]:
    embedder = MiniLmEmbedder(installed)
    yield embedder
    await embedder.close()


@pytest.fixture
async def embedder_of() -> AsyncIterator[Callable[[Path], MiniLmEmbedder]]:
    made: list[MiniLmEmbedder] = []

    def make(folder: Path) -> MiniLmEmbedder:
        made.append(MiniLmEmbedder(folder))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def similarity(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other))


async def assert_embeds(embedder: MiniLmEmbedder) -> None:
    first, second, third = await embedder.embed(CARD_TEXTS)
    measured = (similarity(first, second), similarity(first, third), similarity(second, third))
    assert measured == pytest.approx(CARD_SIMILARITIES, abs=0.0005)


# ---------------------------------------------------------------------- vectors


async def test_the_model_cards_sentences_have_the_similarities_it_states(
    embedder: MiniLmEmbedder,
) -> None:
    await assert_embeds(embedder)


async def test_every_vector_has_384_numbers_and_length_one(embedder: MiniLmEmbedder) -> None:
    port: Embedder = embedder
    vectors = await port.embed(["one", "", LONG_TEXT])

    assert [len(vector) for vector in vectors] == [port.dimensions] * 3 == [384] * 3
    assert [similarity(vector, vector) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-5)
    assert all(type(number) is float for number in vectors[0])


async def test_no_texts_give_no_vectors(embedder: MiniLmEmbedder) -> None:
    assert list(await embedder.embed([])) == []


async def test_a_vector_does_not_depend_on_who_shares_its_run(installed: Path) -> None:
    texts = [CARD_TEXTS[0], "Yes.", LONG_TEXT, "Why is the sky blue at noon and red at dusk?"]
    together = MiniLmEmbedder(installed, run_pieces=len(texts) * MAX_PIECES)
    alone = [(await together.embed([text]))[0] for text in texts]
    shared = await together.embed(texts)
    await together.close()

    for one, other in zip(alone, shared, strict=True):
        assert similarity(one, other) > 0.99999


async def test_a_lone_surrogate_spoils_nothing(embedder: MiniLmEmbedder) -> None:
    vectors = await embedder.embed(["half a pair: \ud83d", CARD_TEXTS[0]])

    assert similarity(vectors[1], (await embedder.embed([CARD_TEXTS[0]]))[0]) > 0.99999


# --------------------------------------------------------------- what is covered


async def test_word_pieces_counts_the_whole_text_and_its_two_marks(
    embedder: MiniLmEmbedder,
) -> None:
    assert embedder.word_pieces("") == 2
    assert embedder.word_pieces("hello " * 254) == MAX_PIECES
    assert embedder.word_pieces("hello " * 1000) == 1002


async def test_what_comes_after_256_pieces_changes_nothing_and_is_not_covered(
    embedder: MiniLmEmbedder,
) -> None:
    beginning = "hello " * 254
    paris, rome = beginning + "Is Paris large?", beginning + "May I eat raw beans?"
    vectors = await embedder.embed([paris, rome, beginning])

    assert similarity(vectors[0], vectors[1]) > 0.99999
    assert similarity(vectors[0], vectors[2]) > 0.99999
    assert embedder.covers(beginning)
    assert not embedder.covers(paris)
    assert not embedder.covers(" " * READ_CHARACTERS + "x")


async def test_texts_that_differ_in_unknown_pieces_are_not_covered(
    embedder: MiniLmEmbedder,
) -> None:
    one, other = (f"What does {unknown} mean?" for unknown in ("\U0001fae0", "\U0001f6d8"))
    vectors = await embedder.embed([one, other])

    assert similarity(vectors[0], vectors[1]) > 0.99999
    assert not embedder.covers(one)
    assert not embedder.covers("decode " + "QUJD" * 40)
    assert embedder.covers("What does it mean?")


@pytest.mark.parametrize("text", ["", "Yes.", LONG_TEXT, "ÜBER straße 東京 [SEP] x" * 90])
def test_a_text_is_cut_as_the_tokenizers_own_truncation_would(installed: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(installed / TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)

    assert WordPieces(installed).split_head(text) == tokenizer.encode(text).ids


# --------------------------------------------------------------- many at a time


async def test_fifty_callers_at_once_each_get_their_own_vectors_in_order(
    embedder: MiniLmEmbedder,
) -> None:
    calls = [
        [f"question {caller} {'and so on ' * ((caller * 7 + part * 3) % 11)}" for part in range(2)]
        for caller in range(50)
    ]
    answers = await asyncio.gather(*(embedder.embed(texts) for texts in calls))

    for caller in range(0, 50, 7):
        for text, vector in zip(calls[caller], answers[caller], strict=True):
            assert similarity(vector, (await embedder.embed([text]))[0]) > 0.99999


async def test_the_event_loop_keeps_turning_while_a_run_lasts(installed: Path) -> None:
    embedder = MiniLmEmbedder(installed, run_pieces=8 * MAX_PIECES)
    assert await embedder.check() is None
    longest_gap_s = 0.0

    async def tick() -> None:
        nonlocal longest_gap_s
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            longest_gap_s = max(longest_gap_s, time.perf_counter() - before)

    ticker = asyncio.create_task(tick())
    started = time.perf_counter()
    await embedder.embed([LONG_TEXT] * 8)
    elapsed_s = time.perf_counter() - started
    await asyncio.sleep(0.02)  # one more turn, in which a gap that ends here is noted
    ticker.cancel()
    await embedder.close()

    # One run of about 0.5 s. On the loop it would be one gap of that length.
    assert longest_gap_s < elapsed_s / 2


async def test_a_caller_who_gives_up_takes_nothing_from_those_in_the_same_run(
    installed: Path,
) -> None:
    embedder = MiniLmEmbedder(installed, run_pieces=4 * MAX_PIECES)
    assert await embedder.check() is None
    leaving = asyncio.create_task(embedder.embed([LONG_TEXT, LONG_TEXT]))
    staying = asyncio.create_task(embedder.embed([LONG_TEXT]))
    for _ in range(3):  # both ask, then their run begins; it lasts about 0.2 s
        await asyncio.sleep(0)
    leaving.cancel()

    [vector] = await staying
    assert similarity(vector, vector) == pytest.approx(1, abs=1e-5)
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await assert_embeds(embedder)
    await embedder.close()


def test_a_run_takes_the_oldest_and_the_nearest_to_it_in_length() -> None:
    lengths = [20, 250, 19, 8, 24, 21, 100]

    assert fill_run(lengths, 80) == [0, 2, 5]
    assert fill_run(lengths, 96) == [0, 2, 5, 4]
    assert fill_run([256, 3], 100) == [0]
    assert fill_run([256, 3], 512) == [0, 1]


# ------------------------------------------------------- files that are not there


def copy_of(installed: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / MODEL_FILE).symlink_to(installed / MODEL_FILE)
    shutil.copyfile(installed / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    return folder


async def assert_refuses(embedder: MiniLmEmbedder, *mentions: str) -> None:
    with pytest.raises(ProviderUnavailable) as refusal:
        await embedder.embed(["anything"])
    assert await embedder.check() == refusal.value.message
    for mention in (*mentions, "make setup", "ASSISTANT_EMBEDDING_DIR"):
        assert mention in refusal.value.message


async def test_a_missing_folder_is_told_and_works_once_it_appears(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    folder = tmp_path / "embedding"
    embedder = embedder_of(folder)
    await assert_refuses(embedder, TOKENIZER_FILE)
    for ask in (embedder.word_pieces, embedder.covers):
        with pytest.raises(ProviderUnavailable, match="make setup"):
            ask("anything")

    copy_of(installed, folder)
    await assert_embeds(embedder)
    assert await embedder.check() is None
    assert embedder.word_pieces("hello") == 3


async def test_everyone_who_waits_learns_that_the_model_is_missing(
    tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    embedder = embedder_of(tmp_path)
    answers = await asyncio.gather(
        *(embedder.embed(["one", "two"]) for _ in range(20)), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [ProviderUnavailable] * 20


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
async def test_a_truncated_model_is_told_and_works_once_it_is_mended(
    installed: Path,
    tmp_path: Path,
    embedder_of: Callable[[Path], MiniLmEmbedder],
    kept: float,
) -> None:
    folder = copy_of(installed, tmp_path)
    whole = (installed / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).unlink()
    (folder / MODEL_FILE).write_bytes(whole[: int(len(whole) * kept)])
    embedder = embedder_of(folder)
    await assert_refuses(embedder, MODEL_FILE, "damaged")

    (folder / MODEL_FILE).write_bytes(whole)
    await assert_embeds(embedder)


@pytest.mark.parametrize(
    "content",
    ["", "{", '{"version": "1.0"}', "\0" * 100],
    ids=["empty", "cut", "not a tokenizer", "zeros"],
)
async def test_a_damaged_tokenizer_is_told_and_works_once_it_is_mended(
    installed: Path,
    tmp_path: Path,
    embedder_of: Callable[[Path], MiniLmEmbedder],
    content: str,
) -> None:
    folder = copy_of(installed, tmp_path)
    (folder / TOKENIZER_FILE).write_text(content)
    embedder = embedder_of(folder)
    await assert_refuses(embedder, TOKENIZER_FILE, "damaged")

    shutil.copyfile(installed / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    await assert_embeds(embedder)


async def test_a_graph_that_is_no_encoder_is_refused(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    folder = copy_of(installed, tmp_path)
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in "xy"
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "copy", [x], [y]
    )
    opset = onnx.helper.make_opsetid("", 17)
    (folder / MODEL_FILE).unlink()
    onnx.save(
        onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset]), folder / MODEL_FILE
    )

    await assert_refuses(embedder_of(folder), MODEL_FILE, "inputs and outputs")


async def test_another_models_weights_are_refused(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    folder = copy_of(installed, tmp_path)
    model = onnx.load(installed / MODEL_FILE)
    for tensor in model.graph.initializer:
        if tensor.name == "encoder.layer.5.output.dense.bias":
            tensor.raw_data = bytes(len(tensor.raw_data))
    (folder / MODEL_FILE).unlink()
    onnx.save(model, folder / MODEL_FILE)

    await assert_refuses(embedder_of(folder), "not all-MiniLM-L6-v2", "0.6660")


async def test_another_models_tokenizer_is_refused(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    folder = copy_of(installed, tmp_path)
    tokenizer = (installed / TOKENIZER_FILE).read_text()
    cased = tokenizer.replace('"lowercase":true', '"lowercase":false').replace(
        '"lowercase": true', '"lowercase": false'
    )
    assert cased != tokenizer
    (folder / TOKENIZER_FILE).write_text(cased)

    await assert_refuses(embedder_of(folder), "not all-MiniLM-L6-v2")


# ------------------------------------------------------------------ other layouts


async def test_the_official_repositorys_layout_works(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / MODEL_FILE).symlink_to(installed / MODEL_FILE)
    (tmp_path / TOKENIZER_FILE).symlink_to(installed / TOKENIZER_FILE)

    await assert_embeds(embedder_of(tmp_path))


async def test_an_export_with_a_pooled_output_and_no_token_types_works(
    installed: Path, tmp_path: Path, embedder_of: Callable[[Path], MiniLmEmbedder]
) -> None:
    folder = copy_of(installed, tmp_path)
    graph = (model := onnx.load(installed / MODEL_FILE)).graph
    # What newer exporters write: `sentence_embedding` [batch, 384] beside `token_embeddings`.
    for node in graph.node:
        node.output[:] = [
            "token_embeddings" if n == "last_hidden_state" else n for n in node.output
        ]
        node.input[:] = ["no_types" if n == "token_type_ids" else n for n in node.input]
    graph.node.insert(0, onnx.helper.make_node("Sub", ["input_ids", "input_ids"], ["no_types"]))
    graph.node.append(
        onnx.helper.make_node(
            "ReduceMean", ["token_embeddings"], ["sentence_embedding"], axes=[1], keepdims=0
        )
    )
    inputs = [node for node in graph.input if node.name != "token_type_ids"]
    del graph.input[:]
    graph.input.extend(inputs)
    graph.output[0].name = "token_embeddings"
    graph.output.insert(
        0,
        onnx.helper.make_tensor_value_info(
            "sentence_embedding", onnx.TensorProto.FLOAT, ["batch_size", 384]
        ),
    )
    onnx.checker.check_model(model)
    (folder / MODEL_FILE).unlink()
    onnx.save(model, folder / MODEL_FILE)

    await assert_embeds(embedder_of(folder))


# ----------------------------------------------------------------------- the end


async def test_closing_lets_the_run_end_and_refuses_those_behind_it(installed: Path) -> None:
    embedder = MiniLmEmbedder(installed)
    assert await embedder.check() is None
    running = asyncio.create_task(embedder.embed([LONG_TEXT]))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(embedder.embed([LONG_TEXT]))
    await asyncio.sleep(0)
    await embedder.close()
    await embedder.close()

    assert len(await running) == 1
    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await waiting
    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await embedder.embed(["late"])
    assert await embedder.check() is not None
