"""What the database said last, for the time that it says nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from assistant.errors import StorageUnavailable
from assistant.services.bounded_cache import BoundedCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known(Generic[V]):
    value: V
    is_fresh: bool
    is_reported: bool = False


class LastKnown(Generic[K, V]):
    """Values kept in memory, read anew once they have changed.

    While a changed one cannot be read, for want of a database, the one before serves, and the log
    says so once for each. ``what`` names the values there, as in "prompt".
    """

    def __init__(self, what: str, size: int) -> None:
        self._what = what
        self._known: BoundedCache[K, _Known[V]] = BoundedCache(size)
        self._changes = 0

    def forget(self, which: Callable[[K], bool]) -> None:
        """Read those whose key satisfies ``which`` anew from now on."""
        self._changes += 1
        for key, known in self._known.items():
            if which(key):
                known.is_fresh = False

    async def get(self, key: K, read: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value, by ``read`` where it has changed or is not known; None where there is none.

        Raises: StorageUnavailable where it cannot be read and was never known.
        """
        known = self._known.get(key)
        if known is not None and known.is_fresh:
            return known.value
        changes = self._changes
        try:
            value = await read()
        except StorageUnavailable as error:
            return self._last(key, error)
        known = self._known.get(key)
        if changes == self._changes:
            self._keep(key, value, is_fresh=True)
        elif known is None or not known.is_fresh:
            # What changed while it was being read may not be in it: the next caller reads again.
            self._keep(key, value, is_fresh=False)
        return value

    def is_fresh(self, key: K) -> bool:
        """Whether what is known of ``key`` is known to be so still."""
        known = self._known.get(key)
        return known is not None and known.is_fresh

    def _keep(self, key: K, value: V | None, *, is_fresh: bool) -> None:
        if value is None:
            self._known.drop(key)
        else:
            self._known.put(key, _Known(value, is_fresh))

    def _last(self, key: K, error: StorageUnavailable) -> V:
        """What was known last; read by somebody else meanwhile, perhaps."""
        known = self._known.get(key)
        if known is None:
            raise error
        if not known.is_fresh and not known.is_reported:
            known.is_reported = True
            log.warning("last_known_serves", what=self._what, key=str(key), reason=error.message)
        return known.value
