"""The download of a model to an Ollama, and how far it is.

Source: ``PullHandler`` of https://github.com/ollama/ollama/blob/main/server/routes.go and
https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator

from assistant.adapters.providers.ollama_refusal import Refusal, read_refusal
from assistant.adapters.providers.ollama_server import OllamaServer, parse_answer
from assistant.domain.model import PullProgress, full_name
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject, JsonValue, carriable
from assistant.errors import AssistantError, InvalidResponse, NotFound, ProviderUnavailable

# A download takes what it takes, and while it runs a line comes every 60 ms. Nothing comes while
# files are checked ("verifying sha256 digest"): ten minutes are enough for 300 GB at 500 MB/s.
_LIMITS = TimeLimits(first_event_s=120.0, between_events_s=600.0, total_s=math.inf)
# A line of 150 bytes every 60 ms is 216 MB a day.
_MAX_BYTES = 1_000_000_000
# Between two lines of progress that are passed on.
_INTERVAL_S = 0.1
_NO_SUCH_MODEL = ("file does not exist", "not found")


async def pull(server: OllamaServer, model: str) -> AsyncGenerator[PullProgress, None]:
    """Fetch a model; it is there when the last event has ``is_done``, and only then.

    Progress within a layer is told ten times a second at most, every new step at once. Closing
    the iterator stops the download; the next pull goes on where it was.
    Raises: UpstreamError, NotFound where there is no such model.
    """
    name = full_name(model)
    now = asyncio.get_running_loop().time
    due_at = now()
    layers: dict[str, tuple[int, int]] = {}
    response, refusal = await server.send(
        "POST", "/api/pull", {"model": name, "stream": True}, _LIMITS
    )
    if refusal is not None:
        raise _failure(refusal, name)
    response.max_stream_bytes = _MAX_BYTES
    try:
        while lines := await response.next_lines():
            for line in filter(bytes.strip, lines):
                told = parse_answer(line)
                if told.get("error") is not None:
                    raise _failure(read_refusal(None, line), name)
                progress = _progress(told, layers)
                if progress.is_done:
                    await response.finish()
                    yield progress
                    return
                if progress.digest is None or now() >= due_at:
                    due_at = now() + _INTERVAL_S
                    yield progress
        raise ProviderUnavailable(
            f"Ollama stopped to fetch {name} without saying that it is there."
        )
    finally:
        response.close()


def _progress(told: JsonObject, layers: dict[str, tuple[int, int]]) -> PullProgress:
    """What a line tells, over all ``layers`` so far: their bytes (done, in all) by digest."""
    status, digest = told.get("status"), told.get("digest")
    if not isinstance(status, str):
        raise InvalidResponse("Ollama told the progress of a download without a status.")
    if isinstance(digest, str) and digest:
        done, in_all = layers.get(digest, (0, 0))
        layers[digest] = (_bytes(told.get("completed"), done), _bytes(told.get("total"), in_all))
    else:
        digest = None
    return PullProgress(
        status=carriable(status),
        digest=None if digest is None else carriable(digest),
        completed_bytes=sum(done for done, _ in layers.values()) if layers else None,
        total_bytes=sum(in_all for _, in_all in layers.values()) if layers else None,
        is_done=status == "success",
    )


def _bytes(value: JsonValue, known: int) -> int:
    """A number of bytes; what is ``known`` where the line does not say."""
    return value if type(value) is int and value >= 0 else known


def _failure(refusal: Refusal, name: str) -> AssistantError:
    # Told in words alone: "pull model manifest: file does not exist", under 200 or 500.
    words = refusal.text or ""
    is_told = refusal.status in (None, 500) and any(told in words for told in _NO_SUCH_MODEL)
    if is_told or refusal.is_of_missing_model:
        return NotFound(f"There is no model {name} to fetch. Check its name and tag.")
    if refusal.status is None:
        return ProviderUnavailable(f"Ollama could not fetch {name}. {refusal.quoted()}".rstrip())
    return refusal.error(name)
