"""Models as OpenAI's clients list them.

Source: https://platform.openai.com/docs/api-reference/models
"""

from __future__ import annotations

from collections.abc import Mapping

from assistant.api.openai.errors import MODEL_NOT_FOUND, Failure
from assistant.domain.model import Model
from assistant.domain.ports import ModelCatalog


def models_answer(catalog: ModelCatalog) -> Mapping[str, object]:
    """Every model that callers may use and that its provider has now."""
    usable = (catalog.models[id_] for id_ in sorted(catalog.models))
    return {"object": "list", "data": [_entry(model) for model in usable if _is_usable(model)]}


def model_answer(catalog: ModelCatalog, id_: str) -> Mapping[str, object] | Failure:
    """The one of that id."""
    model = catalog.models.get(id_)
    if model is None or not _is_usable(model):
        return model_not_found(f"There is no model '{id_[:80]}' that you could use here now.")
    return _entry(model)


def model_not_found(message: str) -> Failure:
    """There is none of that name, or not for this caller."""
    return Failure(404, "invalid_request_error", MODEL_NOT_FOUND, message, "model", False)


def _is_usable(model: Model) -> bool:
    return model.is_allowed and model.is_available


def _entry(model: Model) -> Mapping[str, object]:
    # Nobody knows when it was made; clients want a number.
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider}
