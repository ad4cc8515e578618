"""Embeds texts off the event loop, many callers to one run of the model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from assistant.adapters.embedding_model import (
    DIMENSIONS,
    TOKENIZER_FILE,
    MiniLm,
    WordPieces,
    model_path,
)
from assistant.domain.ports import Vector
from assistant.errors import ProviderUnavailable

RUN_PIECES = 256  # padding included; more would make texts wait longer and run no faster
_WINDOW = 256  # how many waiting texts are looked at to fill a run

_CLOSED = "the embedder is shutting down"


@dataclass(slots=True)
class _Waiting:
    """A text that somebody waits for. ``pieces`` are filled in by the worker, once."""

    text: str
    vector: asyncio.Future[Vector]
    pieces: Sequence[int] = ()


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 on this machine's processor, as an Embedder.

    One worker thread runs the model. Texts that arrive meanwhile wait; the next run takes the
    oldest and those of the nearest length, so that little of it is padding.

    The files are loaded on first use. While they are missing or damaged every call says so,
    and the first call after they were mended works; files replaced later are not reloaded.
    """

    def __init__(self, folder: Path, *, threads: int = 1, run_pieces: int = RUN_PIECES) -> None:
        """``threads`` is how many cores one run may use; one leaves the event loop its own.

        ``run_pieces`` bounds a run, rows times the longest of them, and so how long a text
        waits for the run before its own.
        """
        self._folder = folder
        self._threads = threads
        self._run_pieces = run_pieces
        self._worker = ThreadPoolExecutor(1, "embedder")
        self._model: MiniLm | None = None
        self._word_pieces: WordPieces | None = None
        self._failure: tuple[object, str] | None = None  # state of the files, what was wrong
        self._waiting: list[_Waiting] = []
        self._draining: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def id(self) -> str:
        return "all-MiniLM-L6-v2/fp32"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One L2-normalised vector per text, in order; texts are cut at 256 word pieces.

        A text's vector is the same, but for float noise, whoever shares its run.
        Raises: ProviderUnavailable where the model's files are missing or damaged, saying
        how to get them.
        """
        if self._is_closed:
            raise ProviderUnavailable(_CLOSED)
        loop = asyncio.get_running_loop()
        asked = [_Waiting(text, loop.create_future()) for text in texts]
        self._waiting += asked
        if self._waiting and (self._draining is None or self._draining.done()):
            self._draining = asyncio.create_task(self._drain())
        # Cancelling the caller cancels its futures and nobody else's; the worker drops them.
        return await asyncio.gather(*(one.vector for one in asked))

    async def check(self) -> str | None:
        """None when texts can be embedded, else what is wrong and what to do. Loads the model."""
        if self._is_closed:
            return _CLOSED
        if self._model is None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._worker, self._require_model)
            except ProviderUnavailable as error:
                return error.message
        return None

    def word_pieces(self, text: str) -> int:
        """How many pieces the whole text has, [CLS] and [SEP] included; not cut at 256.

        Takes about 0.3 us per character on the calling thread.
        Raises: ProviderUnavailable where tokenizer.json is missing or damaged.
        """
        return len(self._require_word_pieces().split(text))

    def covers(self, text: str) -> bool:
        """Whether a vector would reflect the whole text: nothing cut off, every piece known.

        Two texts that differ only in what is not covered have the same vector. At most 5 ms.
        Raises: ProviderUnavailable where tokenizer.json is missing or damaged.
        """
        return self._require_word_pieces().covers(text)

    async def close(self) -> None:
        """Let the running call end, refuse whoever waits behind it, stop the worker."""
        self._is_closed = True
        if self._draining is not None:
            await asyncio.wait([self._draining])
        for one in self._waiting:
            _fail(one, _CLOSED)
        self._worker.shutdown(wait=False)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and not self._is_closed:
            window = self._waiting[:_WINDOW]
            try:
                for one, vector in await loop.run_in_executor(self._worker, self._run, window):
                    if not one.vector.done():
                        one.vector.set_result(vector)
            except ProviderUnavailable as error:
                for one in window:
                    _fail(one, error.message)
            except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
                for one in window:
                    _fail(one, f"the embedding model failed: {type(error).__name__}", error)
            self._waiting = [one for one in self._waiting if not one.vector.done()]

    def _run(self, window: Sequence[_Waiting]) -> list[tuple[_Waiting, Vector]]:
        model = self._require_model()
        for one in window:
            one.pieces = one.pieces or model.word_pieces.split_head(one.text)
        chosen = fill_run([len(one.pieces) for one in window], self._run_pieces)
        batch = [window[index] for index in chosen]
        vectors = model.vectors([one.pieces for one in batch])
        return list(zip(batch, vectors.tolist(), strict=True))

    def _require_model(self) -> MiniLm:
        if self._model is None:
            files = [_state(model_path(self._folder)), _state(self._folder / TOKENIZER_FILE)]
            if self._failure is not None and self._failure[0] == files:
                raise ProviderUnavailable(self._failure[1])
            try:
                self._model = MiniLm(self._folder, self._threads)
            except ProviderUnavailable as error:
                # Reading 90 MB again for every request would not make the files better.
                self._failure = (files, error.message)
                raise
        return self._model

    def _require_word_pieces(self) -> WordPieces:
        """Not the whole model: counting works, and at once, while the graph is missing."""
        if self._word_pieces is None:
            self._word_pieces = WordPieces(self._folder)
        return self._word_pieces


def fill_run(lengths: Sequence[int], run_pieces: int) -> list[int]:
    """Which texts run next, as indices into ``lengths``: how many pieces each has, oldest first.

    The oldest always, so that nobody starves; then the nearest to it in length while rows
    times the longest row stay within ``run_pieces``.
    """
    longest = 0
    chosen: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda other: abs(lengths[other] - lengths[0])):
        longest = max(longest, lengths[index])
        if chosen and longest * (len(chosen) + 1) > run_pieces:
            break
        chosen.append(index)
    return chosen


def _fail(one: _Waiting, message: str, cause: Exception | None = None) -> None:
    if not one.vector.done():
        # One per caller: an error that several tasks raise would collect all their tracebacks.
        error = ProviderUnavailable(message)
        error.__cause__ = cause
        one.vector.set_exception(error)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
