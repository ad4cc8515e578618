"""all-MiniLM-L6-v2 in ONNX Runtime: from texts to word pieces to vectors, one call at a time.

Nothing here knows about an event loop; ``embedding`` does.

Sources: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (limits, pooling, the
similarities below), https://arxiv.org/abs/1908.10084 (mean pooling).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from assistant.errors import ProviderUnavailable

DIMENSIONS = 384
MAX_PIECES = 256  # [CLS] and [SEP] included; the model was not trained on more
READ_CHARACTERS = 16_384  # of a text; 64 for each piece that counts, English needs 4 or 5
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

CARD_TEXTS = (
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
)
CARD_SIMILARITIES = (0.6660, 0.1046, 0.1411)  # (1, 2), (1, 3), (2, 3)
CARD_TOLERANCE = 0.0005  # three decimals; int8 weights are off by up to 0.05

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}

_REMEDY = (
    "Run `make setup`, or point ASSISTANT_EMBEDDING_DIR at a folder with "
    f"{MODEL_FILE} and {TOKENIZER_FILE}."
)


def model_path(folder: Path) -> Path:
    """Where the graph is: beside the tokenizer, or in ``onnx/`` as in the official repository."""
    paths = (folder / MODEL_FILE, folder / "onnx" / MODEL_FILE)
    return next((path for path in paths if os.access(path, os.F_OK)), paths[0])


class WordPieces:
    """Cuts texts into the model's word pieces; may be used from several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Raises: ProviderUnavailable where tokenizer.json is missing or damaged."""
        path = folder / TOKENIZER_FILE
        _require_file(path)
        try:
            tokenizer = Tokenizer.from_file(str(path))
            # Shipped with padding and truncation to 128; a cut text could not be told from a
            # whole one. Nothing changes the tokenizer after this, so threads may share it.
            tokenizer.no_padding()
            tokenizer.no_truncation()
            self._unknown = tokenizer.token_to_id("[UNK]")
        # tokenizers raises plain Exception for whatever is wrong with the file.
        except Exception as error:
            raise _unusable(path, type(error).__name__) from error
        self._tokenizer = tokenizer

    def split(self, text: str) -> list[int]:
        """The ids of all pieces, [CLS] first and [SEP] last; about 0.3 us per character."""
        # A lone surrogate, which JSON can carry, is not a character that can be encoded.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        # The batch form releases the interpreter lock, the single one keeps it.
        return self._tokenizer.encode_batch_fast([clean])[0].ids

    def split_head(self, text: str) -> list[int]:
        """The ids of the first MAX_PIECES pieces, ending with [SEP]."""
        ids = self.split(text[:READ_CHARACTERS])
        return ids if len(ids) <= MAX_PIECES else [*ids[: MAX_PIECES - 1], ids[-1]]

    def covers(self, text: str) -> bool:
        """Whether the vector reflects the whole text: nothing cut off, every piece known."""
        if len(text) > READ_CHARACTERS:
            return False
        ids = self.split(text)
        return len(ids) <= MAX_PIECES and self._unknown not in ids


class MiniLm:
    """The model, loaded and proven to be what it says."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Takes about 0.2 s. ``threads`` is how many cores one call may use.

        Raises: ProviderUnavailable where a file is missing, damaged or of another model.
        """
        self.word_pieces = WordPieces(folder)
        path = model_path(folder)
        _require_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait for work by spinning would take the event loop's core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised; it need not be printed too
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        # Every error of ONNX Runtime derives from Exception and from nothing narrower.
        except Exception as error:
            raise _unusable(path, type(error).__name__) from error
        self._inputs = {node.name for node in self._session.get_inputs()}
        # Exports with a pooled output of two axes have this one beside it.
        outputs = [node.name for node in self._session.get_outputs() if len(node.shape) == 3]
        if not outputs or not self._inputs <= _INPUTS:
            raise _unusable(path, "not the inputs and outputs of a BERT encoder")
        self._output = outputs[0]
        try:
            similarities = self._card_similarities()
        except Exception as error:  # as above; a cut file can fail here first
            raise _unusable(path, type(error).__name__) from error
        if not np.allclose(similarities, CARD_SIMILARITIES, rtol=0, atol=CARD_TOLERANCE):
            raise ProviderUnavailable(
                f"{path} is not all-MiniLM-L6-v2 in float32, or {TOKENIZER_FILE} is not its "
                f"tokenizer: the model card's sentences have similarities "
                f"{', '.join(f'{value:.4f}' for value in similarities)} instead of "
                f"{', '.join(f'{value:.4f}' for value in CARD_SIMILARITIES)}. {_REMEDY}"
            )

    def vectors(self, batch: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """One L2-normalised row of 384 per list of ids; as long as the longest for each."""
        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, pieces in enumerate(batch):
            ids[row, : len(pieces)] = pieces
            mask[row, : len(pieces)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run([self._output], {name: given[name] for name in self._inputs})
        weights = mask[:, :, np.newaxis].astype(np.float32)
        # A mean's length is lost when it is normalised, so the sum will do.
        pooled: npt.NDArray[np.float32] = (hidden * weights).sum(axis=1)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled

    def _card_similarities(self) -> list[float]:
        vectors = self.vectors([self.word_pieces.split_head(text) for text in CARD_TEXTS])
        return [float(np.dot(one, other)) for one, other in combinations(vectors, 2)]


def _require_file(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise ProviderUnavailable(f"the embedding model needs {path}. {_REMEDY}")


def _unusable(path: Path, reason: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"the embedding model cannot be used: {path} is damaged or of another kind ({reason}). "
        f"Delete it. {_REMEDY}"
    )
