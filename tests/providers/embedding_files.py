"""The embedding model that `make setup` built."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.adapters.embedding_model import MODEL_FILE
from assistant.settings import load_settings


def installed_embedding() -> Path:
    """The folder with the model; without it the test fails, and says what to do."""
    folder = load_settings().embedding_dir
    if not (folder / MODEL_FILE).is_file():
        pytest.fail(f"no {folder / MODEL_FILE}: run `make setup` first", pytrace=False)
    return folder
