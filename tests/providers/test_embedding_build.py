"""Making the embedder's files from weights, which these tests take from the installed model."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from assistant.adapters.embedding_build import BuildError, Weights, build
from assistant.adapters.embedding_model import MODEL_FILE, TOKENIZER_FILE, MiniLm
from tests.providers.embedding_files import installed_embedding

WEIGHTS_FILE = "model.safetensors"


@pytest.fixture(scope="module")
def weights() -> Weights:
    """The tensors under their published names; the graph keeps matrices transposed."""
    constants = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(installed_embedding() / MODEL_FILE).graph.initializer
        if "." in tensor.name and not tensor.name.startswith("number_")
    }
    return {
        name.replace(".matrix", ".weight"): value.T if name.endswith(".matrix") else value
        for name, value in constants.items()
    }


@pytest.fixture
def source(weights: Weights, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "source"
    folder.mkdir()
    write_safetensors(folder / WEIGHTS_FILE, weights)
    shutil.copyfile(installed_embedding() / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    yield folder
    shutil.rmtree(tmp_path)  # pytest keeps three sessions' folders, and these are large


def write_safetensors(path: Path, weights: Weights) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blobs = [np.ascontiguousarray(value, "<f4").tobytes() for value in weights.values()]
    end = 0
    for (name, value), blob in zip(weights.items(), blobs, strict=True):
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [end, end := end + len(blob)],
        }
    text = json.dumps(header).encode()
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *blobs]))


def test_a_build_gives_the_installed_model_with_the_official_exports_interface(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "share" / "embedding"
    build(source, out)

    assert sorted(path.name for path in out.iterdir()) == [MODEL_FILE, TOKENIZER_FILE]
    assert [path.name for path in out.parent.iterdir()] == ["embedding"]
    ids = [101, 7592, 102]
    assert np.array_equal(
        MiniLm(out, 1).vectors([ids]), MiniLm(installed_embedding(), 1).vectors([ids])
    )

    # https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/tree/main/onnx
    session = onnxruntime.InferenceSession(out / MODEL_FILE, providers=["CPUExecutionProvider"])
    assert {node.name: node.type for node in session.get_inputs()} == {
        "input_ids": "tensor(int64)",
        "attention_mask": "tensor(int64)",
        "token_type_ids": "tensor(int64)",
    }
    [output] = session.get_outputs()
    assert (output.name, output.type, output.shape) == (
        "last_hidden_state",
        "tensor(float)",
        ["batch_size", "sequence_length", 384],
    )


def test_only_standard_operators_of_opset_17_are_used() -> None:
    model = onnx.load(installed_embedding() / MODEL_FILE)

    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}


def truncate(source: Path, _: Weights) -> None:
    path = source / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_the_header(source: Path, _: Weights) -> None:
    path = source / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:500])


def empty(source: Path, _: Weights) -> None:
    (source / WEIGHTS_FILE).write_bytes(b"")


def remove_weights(source: Path, _: Weights) -> None:
    (source / WEIGHTS_FILE).unlink()


def remove_tokenizer(source: Path, _: Weights) -> None:
    (source / TOKENIZER_FILE).unlink()


def damage_tokenizer(source: Path, _: Weights) -> None:
    (source / TOKENIZER_FILE).write_text("{")


def drop_a_layer(source: Path, weights: Weights) -> None:
    kept = {name: value for name, value in weights.items() if ".layer.5." not in name}
    write_safetensors(source / WEIGHTS_FILE, kept)


def narrow_a_bias(source: Path, weights: Weights) -> None:
    name = "encoder.layer.0.output.dense.bias"
    write_safetensors(source / WEIGHTS_FILE, {**weights, name: weights[name][:100]})


def swap_two_layers(source: Path, weights: Weights) -> None:
    swap = {".layer.1.": ".layer.2.", ".layer.2.": ".layer.1."}
    swapped = {
        next((name.replace(one, to) for one, to in swap.items() if one in name), name): value
        for name, value in weights.items()
    }
    write_safetensors(source / WEIGHTS_FILE, swapped)


SPOILED: dict[Callable[[Path, Weights], None], str] = {
    truncate: "not a whole safetensors file",
    cut_in_the_header: "not a whole safetensors file",
    empty: "not a whole safetensors file",
    remove_weights: "cannot read .*safetensors",
    remove_tokenizer: "cannot read .*tokenizer.json",
    damage_tokenizer: "tokenizer.json is damaged",
    drop_a_layer: "no 'encoder.layer.5",
    narrow_a_bias: "not the weights of all-MiniLM-L6-v2",
    swap_two_layers: "instead of 0.6660, 0.1046, 0.1411",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_unusable_weights_are_told_and_leave_an_earlier_build_alone(
    source: Path,
    weights: Weights,
    tmp_path: Path,
    spoil: Callable[[Path, Weights], None],
) -> None:
    spoil(source, weights)
    out = tmp_path / "share" / "embedding"
    out.mkdir(parents=True)
    (out / MODEL_FILE).write_text("an earlier build")

    with pytest.raises(BuildError, match=SPOILED[spoil]):
        build(source, out)

    assert (out / MODEL_FILE).read_text() == "an earlier build"
    assert list(out.parent.rglob("*")) == [out, out / MODEL_FILE]


def command(source: Path, out: Path) -> list[str]:
    module = "assistant.adapters.embedding_build"
    return [sys.executable, "-m", module, "--weights", str(source), "--out", str(out)]


def test_the_command_says_what_is_wrong_and_fails(source: Path, tmp_path: Path) -> None:
    (source / WEIGHTS_FILE).write_bytes(b"")
    ended = subprocess.run(
        command(source, tmp_path / "out"), capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("embedding model not built: ")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_no_model(
    source: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    share = tmp_path / "share"
    running = subprocess.Popen(
        command(source, share / "embedding"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(share.glob(".embedding-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(stop)

    assert running.wait(timeout=60) != 0
    assert not (share / "embedding").exists()
    if stop == signal.SIGTERM:
        assert list(share.iterdir()) == []
