"""Makes the embedder's files from the weights of all-MiniLM-L6-v2, once, at installation.

    python -m assistant.adapters.embedding_build --weights FOLDER --out FOLDER

The graph has the inputs and the output of the model's official ONNX export, so the embedder
reads both the same way.

Sources: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (weights, config.json),
https://arxiv.org/abs/1810.04805 (BERT), https://onnx.ai/onnx/operators/ (opset 17).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from assistant.adapters.embedding_model import DIMENSIONS, MODEL_FILE, TOKENIZER_FILE, MiniLm
from assistant.errors import AssistantError

LAYERS = 6
HEADS = 12
LAYER_NORM_EPSILON = 1e-12
OPSET = 17
IR_VERSION = 8  # the one that came with opset 17: every runtime that knows the opset reads it

Weights: TypeAlias = Mapping[str, npt.NDArray[np.float32]]


class BuildError(Exception):
    """The files cannot be made from what was given; the message says why."""


def read_safetensors(path: Path) -> Weights:
    """Every float32 tensor of the file, by name.

    Raises: BuildError where the file is missing, cut short or not of this format.
    Source: https://huggingface.co/docs/safetensors#format
    """
    try:
        content = path.read_bytes()
        (header_bytes,) = struct.unpack_from("<Q", content)
        start = 8 + header_bytes
        return {
            name: np.frombuffer(
                content, "<f4", math.prod(entry["shape"]), start + entry["data_offsets"][0]
            ).reshape(entry["shape"])
            for name, entry in json.loads(content[8:start]).items()
            if entry.get("dtype") == "F32"
        }
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BuildError(f"{path} is not a whole safetensors file: {error}") from error


class _Graph:
    """Nodes and constants in the order of computation; every step returns its output's name."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._weights = weights

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])

    def dense(self, x: str, layer: str) -> str:
        """PyTorch's Linear keeps its matrix as [outputs, inputs]; MatMul wants the transpose."""
        matrix = self.constant(f"{layer}.matrix", self._weights[f"{layer}.weight"].T)
        return self.op("Add", self.op("MatMul", x, matrix), self.weight(f"{layer}.bias"))

    def layer_norm(self, x: str, layer: str, out: str | None = None) -> str:
        return self.op(
            "LayerNormalization",
            x,
            self.weight(f"{layer}.weight"),
            self.weight(f"{layer}.bias"),
            out=out,
            axis=-1,
            epsilon=LAYER_NORM_EPSILON,
        )

    def gelu(self, x: str) -> str:
        """The exact form, by the error function: the model was not trained with tanh's."""
        bent = self.op("Erf", self.op("Div", x, self.number(math.sqrt(2))))
        grown = self.op("Mul", x, self.op("Add", bent, self.number(1)))
        return self.op("Mul", grown, self.number(0.5))

    def heads(self, x: str, order: Sequence[int]) -> str:
        """[batch, pieces, 384] to four axes in ``order``; 0 batch, 1 pieces, 2 head, 3 width."""
        split = self.op("Reshape", x, self.ints(0, 0, HEADS, DIMENSIONS // HEADS))
        return self.op("Transpose", split, perm=order)

    def embeddings(self, ids: str, token_types: str) -> str:
        words = self.op("Gather", self.weight("embeddings.word_embeddings.weight"), ids)
        types = self.op(
            "Gather", self.weight("embeddings.token_type_embeddings.weight"), token_types
        )
        length = self.op("Slice", self.op("Shape", ids), self.ints(1), self.ints(2))
        positions = self.op(
            "Slice",
            self.weight("embeddings.position_embeddings.weight"),
            self.ints(0),
            length,
            self.ints(0),
        )
        summed = self.op("Add", self.op("Add", words, types), positions)
        return self.layer_norm(summed, "embeddings.LayerNorm")

    def mask_bias(self, mask: str) -> str:
        """0 where a piece counts, the lowest float where it is padding: softmax makes that 0."""
        lifted = self.op("Unsqueeze", mask, self.ints(1, 2))
        padding = self.op("Sub", self.number(1), self.op("Cast", lifted, to=int(TensorProto.FLOAT)))
        return self.op("Mul", padding, self.number(float(np.finfo(np.float32).min)))

    def layer(self, x: str, prefix: str, bias: str, out: str | None) -> str:
        attention = f"{prefix}.attention"
        query = self.heads(self.dense(x, f"{attention}.self.query"), (0, 2, 1, 3))
        key = self.heads(self.dense(x, f"{attention}.self.key"), (0, 2, 3, 1))
        value = self.heads(self.dense(x, f"{attention}.self.value"), (0, 2, 1, 3))
        scores = self.op(
            "Div", self.op("MatMul", query, key), self.number(math.sqrt(DIMENSIONS // HEADS))
        )
        shares = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        context = self.op("Transpose", self.op("MatMul", shares, value), perm=(0, 2, 1, 3))
        joined = self.op("Reshape", context, self.ints(0, 0, DIMENSIONS))
        attended = self.layer_norm(
            self.op("Add", self.dense(joined, f"{attention}.output.dense"), x),
            f"{attention}.output.LayerNorm",
        )
        widened = self.gelu(self.dense(attended, f"{prefix}.intermediate.dense"))
        return self.layer_norm(
            self.op("Add", self.dense(widened, f"{prefix}.output.dense"), attended),
            f"{prefix}.output.LayerNorm",
            out=out,
        )


def build_model(weights: Weights) -> onnx.ModelProto:
    """The encoder up to its last layer, before pooling; inputs and output named as officially.

    Raises: BuildError where a tensor of the model is not among the weights or has another shape.
    """
    graph = _Graph(weights)
    try:
        x = graph.embeddings("input_ids", "token_type_ids")
        bias = graph.mask_bias("attention_mask")
        for number in range(LAYERS):
            is_last = number == LAYERS - 1
            x = graph.layer(
                x, f"encoder.layer.{number}", bias, "last_hidden_state" if is_last else None
            )
    except KeyError as error:
        raise BuildError(f"these are not the weights of all-MiniLM-L6-v2: no {error}") from error
    pieces = ["batch_size", "sequence_length"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, pieces)
                for name in ("input_ids", "attention_mask", "token_type_ids")
            ],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, [*pieces, DIMENSIONS])],
            list(graph.constants.values()),
        ),
        producer_name="assistant",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BuildError(f"these are not the weights of all-MiniLM-L6-v2: {error}") from error
    return model


def build(weights_dir: Path, out_dir: Path) -> None:
    """Put model.onnx and tokenizer.json into ``out_dir``, whole and proven, or nothing at all.

    Reads model.safetensors and tokenizer.json of ``weights_dir``. The model appears last, so
    its presence says that the folder is complete.

    Raises: BuildError where the input is unusable, or the result misses the model card's numbers.
    """
    weights = read_safetensors(weights_dir / "model.safetensors")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that moving it there is a rename and never a copy.
    with tempfile.TemporaryDirectory(prefix=".embedding-", dir=out_dir.parent) as scratch:
        draft = Path(scratch)
        onnx.save(build_model(weights), draft / MODEL_FILE)
        try:
            shutil.copyfile(weights_dir / TOKENIZER_FILE, draft / TOKENIZER_FILE)
            MiniLm(draft, threads=1)
        except OSError as error:
            raise BuildError(f"cannot read {error.filename}: {error.strerror}") from error
        except AssistantError as error:
            raise BuildError(error.message) from error
        out_dir.mkdir(exist_ok=True)
        for name in (TOKENIZER_FILE, MODEL_FILE):
            with (draft / name).open("rb") as written:
                os.fsync(written.fileno())
            (draft / name).replace(out_dir / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    # Make passes on what stopped it; leaving by an exception removes the scratch folder.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        build(arguments.weights, arguments.out)
    except BuildError as error:
        sys.exit(f"embedding model not built: {error}")


if __name__ == "__main__":
    main()
