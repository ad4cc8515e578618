"""What this replica has found or made lately, so that the same is found again at once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from assistant.domain.cache import CacheEntry, CacheKey
from assistant.domain.ports import Clock, ModelCatalog

# What an entry takes beside its texts, roughly; an answer that was parsed takes several times the
# room of its text.
_OVERHEAD_BYTES = 2_500
_BYTES_PER_CHARACTER = 2
_BYTES_PER_PARSED_CHARACTER = 10


@dataclass(slots=True)
class Remembered:
    """An entry, and the catalog for which its model is known to be the right one to ask."""

    entry: CacheEntry
    catalog: ModelCatalog | None
    size_bytes: int


class CacheMemory:
    """At most ``max_bytes`` of entries; those used longest ago make room."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._entries: OrderedDict[bytes, Remembered] = OrderedDict()
        self.forgotten = 0
        """Grows whenever something is forgotten: what was read before that may be out of date."""

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: CacheKey) -> Remembered | None:
        """The entry of the very same request that has not expired."""
        found = self._entries.get(key.exact)
        # The tenant is in the digest; that it is compared as well costs nothing.
        if found is None or found.entry.key.tenant_id != key.tenant_id:
            return None
        if found.entry.expires_at <= self._clock.now():
            self._drop(key.exact)
            return None
        self._entries.move_to_end(key.exact)
        return found

    def put(self, entry: CacheEntry, catalog: ModelCatalog | None) -> None:
        """Remember ``entry``, in place of an older one of its key."""
        exact = entry.key.exact
        self._drop(exact)
        answer = entry.answer
        texts = len(answer.text) + len(answer.reasoning) + len(entry.key.wording or "")
        size_bytes = _OVERHEAD_BYTES + _BYTES_PER_CHARACTER * texts
        if answer.json is not None:
            size_bytes += _BYTES_PER_PARSED_CHARACTER * len(answer.text)
        if size_bytes > self._max_bytes:
            return
        # Nobody looks here by meaning, and nobody asks again from here.
        lean = replace(entry, vector=None, request=None)
        self._entries[exact] = Remembered(lean, catalog, size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def forget(self, tenant_id: str | None = None, exact: bytes | None = None) -> None:
        """Forget one entry, all of a tenant's, or everything."""
        self.forgotten += 1
        if tenant_id is None:
            self._entries.clear()
            self._size_bytes = 0
        elif exact is not None:
            self._drop(exact)
        else:
            theirs = [k for k, r in self._entries.items() if r.entry.key.tenant_id == tenant_id]
            for key in theirs:
                self._drop(key)

    def _drop(self, exact: bytes) -> None:
        dropped = self._entries.pop(exact, None)
        if dropped is not None:
            self._size_bytes -= dropped.size_bytes
