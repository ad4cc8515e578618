"""Vocabularies: those that come with splintr, by a model's name, and tokenizer.json files.

splintr carries the vocabularies of the usual families and counts a page in 30 microseconds,
offline; its regular expressions are interpreted here (``jit(False)``), which is as quick and
makes no machine code. What it says is checked against the vocabularies' own programs by
``python -m tests.quality.tokens.references``. See docs/decisions/0012-token-counting.md.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import tokenizers
from splintr import Tokenizer as Splintr

from assistant.domain.model import ModelKey
from assistant.domain.ports import Tokenizer
from assistant.domain.tokens import TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST, estimate_tokens

log = structlog.get_logger(__name__)

# Name of a vocabulary, and the models that have it. Only what is certain: a family whose members
# differ (mistral-small, mistral-large, codestral, deepseek-r1's distillates) is left to be learnt.
# Names are Ollama's, Hugging Face's or the vendor's own, in lower case, without what is before
# the last slash.
_FAMILIES = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("o200k_base", r"gpt-(4o|4\.1|4\.5|5)|chatgpt-4o|o[134](-|$)"),
        ("gpt-oss", r"gpt-oss"),
        ("cl100k_base", r"gpt-(3\.5|35|4)|text-embedding-(ada-002|3-)"),
        ("llama3", r"(meta-)?llama-?3"),
        ("llama2", r"(meta-)?llama-?2|vicuna|tinyllama"),
        ("codellama", r"code-?llama"),
        ("mistral_v2", r"mistral(:latest|:7b|:instruct|$)|mistral-7b-(instruct-)?v0\.3|mixtral[:-]8x22b"),
        ("mistral_v1", r"mistral-7b-(instruct-)?v0\.[12]|mixtral[:-]8x7b|open-mi[sx]tral-(8x)?7b"),
        ("mistral_v3", r"(open-)?mistral-nemo|ministral|mistral-small(3|-3|:24b|-24b)|devstral|magistral|pixtral"),
        ("qwen3", r"qwen-?(2(\.5)?|3)(?![.\d])|qwq"),
        ("gemma2", r"gemma-?2|gemma(:|$)"),
        ("gemma3", r"gemma-?3|embeddinggemma"),
        ("gemma4", r"gemma-?4"),
        ("deepseek_v3", r"deepseek-(v3|chat$|reasoner$|r1:671b)"),
        ("phi4", r"phi-?4(?!-?mini|-?multimodal)"),
        ("glm4", r"glm-?4\.[5-9]"),
        ("olmo2", r"olmo-?2"),
        ("kimi_k2", r"kimi-k2"),
    )
)  # fmt: skip

# (per message, per request). OpenAI publishes its own: three tokens and the role, and three that
# open the answer. Others are like ChatML and Llama 3's template, and are learnt anyway.
# Source: https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
_FRAMING = {"o200k_base": (4.0, 3.0), "cl100k_base": (4.0, 3.0)}
_USUAL_FRAMING = (float(TOKENS_PER_MESSAGE), float(TOKENS_PER_REQUEST))

# The libraries let no other thread run while they count, so long texts are counted in pieces.
_PIECE = 10_000
_SEAM = re.compile(r"(?<=[^\W\d_])(?=\n[^\W\d_])")  # every vocabulary splits here anyway
_SPACE = re.compile(r"(?<=\w)(?= \w)")  # most do

# The first text takes 50 ms, because it makes the tables that the next ones are matched by.
_WARM_UP = (
    "I'll see 1,024 of HER e-mails (don't!) at 9:30.\n\n\t{'key': [true, None]}\r\n  # über Größe "
    "ёлка 你好 こんにちは 한국어 مرحبا नमस्ते ไทย 🎉"
)

_LARGEST_FILE_BYTES = 100_000_000


class Vocabulary:
    """The Tokenizer port, over what a library counts."""

    def __init__(self, name: str, count: Callable[[str], int], *, is_quick: bool) -> None:
        self._name = name
        self._count = count
        self._is_quick = is_quick
        self._framing = _FRAMING.get(name, _USUAL_FRAMING)
        # Some vocabularies begin every text with a token for the space that is not there.
        self._tokens_per_seam = count("\n") - 1

    @property
    def name(self) -> str:
        return self._name

    @property
    def tokens_per_message(self) -> float:
        return self._framing[0]

    @property
    def tokens_per_request(self) -> float:
        return self._framing[1]

    @property
    def is_quick(self) -> bool:
        return self._is_quick

    def count(self, text: str) -> int:
        """The tokens of any text at all; what looks like a special token in it is plain text."""
        if len(text) <= _PIECE:
            return self._count_piece(text)
        tokens = begin = 0
        while begin < len(text):
            end = _end_of_piece(text, begin)
            tokens += self._count_piece(text[begin:end]) - (self._tokens_per_seam if begin else 0)
            begin = end
            time.sleep(0)  # whoever waits to run may
        return tokens

    def _count_piece(self, text: str) -> int:
        try:
            return self._count(text)
        except UnicodeEncodeError:  # half a surrogate pair
            return self._count(text.encode(errors="replace").decode())
        except BaseException as error:
            # A panic in Rust is no Exception, and a count is not worth a request.
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            log.warning("tokenizer_failed", vocabulary=self._name, error=type(error).__name__)
            return estimate_tokens(text)


class TokenizerLibrary:
    """The Tokenizers port. ``folder`` has files as in ``<provider>/<model>/tokenizer.json``."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._bundled: dict[str, Vocabulary] = {}
        self._files: dict[Path, Vocabulary | None] = {}

    @property
    def references(self) -> tuple[Tokenizer, Tokenizer]:
        """An older and a newer one, quick, to judge by where a model's own is not known.

        They are read when the first such model is met: 0.2 s, and 75 MB.
        """
        return self._get_bundled("cl100k_base"), self._get_bundled("o200k_base")

    def find(self, key: ModelKey) -> Tokenizer | None:
        """The model's own. May read a file: call it off the event loop, and keep what it says."""
        for path in self._paths(key):
            if (vocabulary := self._find_file(path)) is not None:
                return vocabulary
        short = key.model.lower().rpartition("/")[2]
        for name, pattern in _FAMILIES:
            if pattern.match(short):
                return self._get_bundled(name)
        _ = self.references  # read here, in a thread, and not when they are first counted with
        return None

    def _paths(self, key: ModelKey) -> list[Path]:
        if self._folder is None:
            return []
        model = _file_name(key.model)
        return [
            self._folder / _file_name(key.provider) / model / "tokenizer.json",
            self._folder / model / "tokenizer.json",
        ]

    def _find_file(self, path: Path) -> Vocabulary | None:
        with self._lock:
            if path in self._files:
                return self._files[path]
            if not path.is_file():
                return None  # not remembered: there is no end of names, and a file may yet come
            self._files[path] = found = _read(path)
            return found

    def _get_bundled(self, name: str) -> Vocabulary:
        with self._lock:
            if name not in self._bundled:
                self._bundled[name] = _bundled(name)
            return self._bundled[name]


def _end_of_piece(text: str, begin: int) -> int:
    """Where to end the piece that begins at ``begin``, so that its tokens are the whole text's."""
    furthest = begin + _PIECE
    if furthest >= len(text):
        return len(text)
    for seam in (_SEAM, _SPACE):
        # Near the end: the pieces are of about one size, and the search is short.
        places = [found.start() for found in seam.finditer(text, furthest - 2_000, furthest)]
        if places:
            return places[-1]
    return furthest


def _file_name(model: str) -> str:
    """A model's name as a folder's; it leads nowhere else whatever it is made of."""
    return re.sub(r"[^\w.-]", "_", model).lstrip(".") or "_"


def _bundled(name: str) -> Vocabulary:
    loaded = Splintr.from_pretrained(name)
    is_quick = loaded.family == "BPE"  # and not SentencePiece, which has no regular expressions
    if is_quick:
        loaded = loaded.jit(False)
    loaded.encode_ordinary(_WARM_UP)
    return Vocabulary(name, lambda text: len(loaded.encode_ordinary(text)), is_quick=is_quick)


def _read(path: Path) -> Vocabulary | None:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ValueError("larger than 100 MB")
        content = path.read_bytes()
        loaded = tokenizers.Tokenizer.from_buffer(content)
        loaded.no_padding()
        loaded.no_truncation()
        loaded.encode_special_tokens = True  # counts them as the text that they are
    except Exception as error:  # noqa: BLE001 - what the library raises
        # A damaged file costs exactness, nothing else.
        log.warning("tokenizer_file_unusable", path=str(path), reason=str(error)[:200])
        return None
    return Vocabulary(
        f"file-{hashlib.sha256(content).hexdigest()[:16]}",
        lambda text: len(loaded.encode(text, add_special_tokens=False)),
        is_quick=False,
    )
