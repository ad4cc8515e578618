"""What is asked of a model that turns texts into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assistant.domain.caller import Caller
from assistant.domain.values import check_text
from assistant.errors import BadUserInput

DEFAULT_MODEL: Final = "builtin/all-minilm-l6-v2"
MAX_TEXTS = 1_024
MAX_TEXT_CHARACTERS = 100_000
MAX_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """Which texts to embed, by which model: its id, or its name without a provider."""

    caller: Caller
    texts: tuple[str, ...]
    model: str = DEFAULT_MODEL

    def check(self) -> None:
        """Raises BadUserInput for what is wrong with the request on its own."""
        if not 1 <= len(self.texts) <= MAX_TEXTS:
            raise BadUserInput(f"texts takes 1 to {MAX_TEXTS:,} texts.", path=("texts",))
        for index, text in enumerate(self.texts):
            path = ("texts", str(index))
            if not text.strip():
                raise BadUserInput(f"{'.'.join(path)} is empty; leave it out.", path=path)
            if len(text) > MAX_TEXT_CHARACTERS:
                raise BadUserInput(
                    f"{'.'.join(path)} has {len(text):,} characters; at most "
                    f"{MAX_TEXT_CHARACTERS:,} are allowed.",
                    path=path,
                )
            check_text(text, path)
        if sum(map(len, self.texts)) > MAX_CHARACTERS:
            raise BadUserInput(
                f"texts have more than {MAX_CHARACTERS:,} characters in all. "
                "Send them in several requests.",
                path=("texts",),
            )
        if not 1 <= len(self.model) <= 256:
            raise BadUserInput("model must have 1 to 256 characters.", path=("model",))
        check_text(self.model, ("model",))
