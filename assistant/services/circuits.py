"""Circuit breakers: a model that keeps failing is left alone until one call shows that it works.

Each replica counts failures by itself (pybreaker); what it finds out is every replica's within a
second, and of all calls of all replicas one at a time tries whether the model works again.
What counts as a failure: ``domain/failure.py``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType

import structlog
from pybreaker import STATE_CLOSED, CircuitBreaker

from assistant.domain.failure import Evidence, handling_of
from assistant.domain.model import CircuitState, ModelKey, ProviderConfig
from assistant.domain.ports import CircuitNotice, CircuitStore, Clock
from assistant.errors import CircuitOpen, StorageUnavailable
from assistant.services.bounded_cache import BoundedCache

log = structlog.get_logger(__name__)

# How soon to ask again where another call was quicker to try.
_LOST_PROBE_PAUSE_S = 0.5


@dataclass(slots=True)
class _Circuit:
    """A circuit as this replica knows it; times are of the monotonic clock.

    ``told_last`` tells the store what was found out last; what comes next waits for it.
    """

    breaker: CircuitBreaker
    open_until: float = 0.0
    probe_until: float = 0.0
    told_last: asyncio.Task[None] | None = None


class _Failed(Exception):
    """What pybreaker is told of a failure: nothing but that it was one."""


def _fail() -> None:
    raise _Failed


def _succeed() -> None:
    return None


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """``failures`` in a row open a circuit for ``open_s``; who tries again has ``probe_s`` for it."""

    failures: int = 5
    open_s: float = 60.0
    probe_s: float = 150.0


class Circuits:
    """Which models are held back."""

    def __init__(
        self, store: CircuitStore, clock: Clock, settings: CircuitSettings | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings or CircuitSettings()
        self._circuits: BoundedCache[ModelKey, _Circuit] = BoundedCache(10_000)
        self._open: set[ModelKey] = set()
        self._writes: set[asyncio.Task[None]] = set()

    def state(self, key: ModelKey) -> CircuitState:
        """HALF_OPEN from when a call may try again until one has succeeded or failed."""
        if key not in self._open:
            return CircuitState.CLOSED
        now = self._clock.monotonic()
        return CircuitState.HALF_OPEN if self._circuit(key).open_until <= now else CircuitState.OPEN

    def worst(self, provider: ProviderConfig) -> CircuitState:
        """The state of the provider's model that fares worst."""
        states = {
            self.state(key)
            for key in self._open
            if (key.tenant_id, key.provider) == (provider.tenant_id, provider.name)
        }
        for state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
            if state in states:
                return state
        return CircuitState.CLOSED

    def failures_in_a_row(self, key: ModelKey) -> int:
        """How many of the model's last calls, made here, have failed one after the other."""
        return self._circuit(key).breaker.fail_counter

    @property
    def not_closed(self) -> frozenset[ModelKey]:
        """The models that are held back now."""
        return frozenset(self._open)

    def check(self, key: ModelKey) -> None:
        """Let a call of a model pass that is not held back. Raises CircuitOpen."""
        if key in self._open:
            circuit = self._circuit(key)
            if max(circuit.open_until, circuit.probe_until) > self._clock.monotonic():
                raise self._refusal(key, circuit)

    def guard(self, key: ModelKey) -> AbstractAsyncContextManager[None]:
        """Watch one call of the model: how the block ends is what the circuit learns.

        Raises: CircuitOpen where the model is held back, or another call tries it already.
        """
        return _Guard(self, key)

    async def begin(self, key: ModelKey) -> bool:
        """A call begins; whether it is the one that tries again. Raises CircuitOpen."""
        if key not in self._open:
            return False
        self.check(key)
        return await self._take_probe(key, self._circuit(key))

    def end(self, key: ModelKey, error: BaseException | None, *, is_probe: bool) -> None:
        """A call has ended, in ``error`` or well."""
        circuit = self._circuit(key)
        evidence = Evidence.WORKS if error is None else handling_of(error).evidence
        if is_probe:
            self._end_probe(key, circuit, evidence)
        elif error is None or evidence is Evidence.FAILS:
            # A call that was refused does not make up for one that failed.
            self._count(key, circuit, evidence)

    def learn(self, notice: CircuitNotice) -> None:
        """Take over what another replica has found out, or this one itself a moment ago."""
        circuit, now = self._circuit(notice.key), self._clock.monotonic()
        if notice.open_for_s is None:
            self._close_here(notice.key, circuit)
            return
        circuit.open_until = now + notice.open_for_s
        circuit.probe_until = now + (notice.probe_for_s or 0.0)
        self._open_here(notice.key, circuit)

    async def learn_all(self) -> None:
        """Take over every circuit as it is now. Raises StorageUnavailable."""
        notices = await self._store.list_circuits()
        for key in self._open - {notice.key for notice in notices}:
            self._close_here(key, self._circuit(key))
        for notice in notices:
            self.learn(notice)

    async def drain(self) -> None:
        """Return when everybody has been told what was found out so far."""
        while self._writes:
            await asyncio.wait(self._writes)

    # ------------------------------------------------------------------ transitions

    def _circuit(self, key: ModelKey) -> _Circuit:
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = _Circuit(
                CircuitBreaker(
                    fail_max=self._settings.failures,
                    reset_timeout=self._settings.open_s,
                    throw_new_error_on_trip=False,
                )
            )
            self._circuits.put(key, circuit)
        return circuit

    def _count(self, key: ModelKey, circuit: _Circuit, evidence: Evidence) -> None:
        """A call that began while the circuit was closed has ended."""
        breaker = circuit.breaker
        if breaker.current_state != STATE_CLOSED:
            return  # it has opened meanwhile: what began before says nothing new
        if evidence is Evidence.WORKS:
            if breaker.fail_counter:
                breaker.call(_succeed)
            return
        with suppress(_Failed):
            breaker.call(_fail)
        if breaker.current_state != STATE_CLOSED:
            self._hold_back(key, circuit)

    def _hold_back(self, key: ModelKey, circuit: _Circuit) -> None:
        open_s = self._settings.open_s
        circuit.open_until, circuit.probe_until = self._clock.monotonic() + open_s, 0.0
        self._open_here(key, circuit)
        self._tell(circuit, lambda: self._store.open(key, open_s))

    async def _take_probe(self, key: ModelKey, circuit: _Circuit) -> bool:
        """Whether this call is the one that tries again; no where all may. Raises CircuitOpen."""
        # Before anything is awaited, so that this replica asks for one call only.
        circuit.probe_until = self._clock.monotonic() + self._settings.probe_s
        try:
            if circuit.told_last is not None:
                await asyncio.wait([circuit.told_last])
            obstacle = await self._store.take_probe(key, self._settings.probe_s)
        except StorageUnavailable as error:
            # Each replica tries by itself then, one call at a time.
            log.warning("circuit_not_shared", reason=error.message)
            obstacle = None
        except BaseException:
            circuit.probe_until = 0.0
            raise
        if obstacle is not None:
            self.learn(obstacle)
            if obstacle.open_for_s is None:
                return False
            # Clocks differ a little, and who was quicker may have found out nothing.
            pause_until = self._clock.monotonic() + _LOST_PROBE_PAUSE_S
            circuit.open_until = max(circuit.open_until, pause_until)
            raise self._refusal(key, circuit)
        return True

    def _end_probe(self, key: ModelKey, circuit: _Circuit, evidence: Evidence) -> None:
        circuit.probe_until = 0.0
        if evidence is Evidence.WORKS:
            self._close_here(key, circuit)
            self._tell(circuit, lambda: self._store.close(key))
        elif evidence is Evidence.FAILS:
            self._hold_back(key, circuit)
        else:
            self._tell(circuit, lambda: self._store.release_probe(key))

    def _open_here(self, key: ModelKey, circuit: _Circuit) -> None:
        if key not in self._open:
            self._open.add(key)
            log.warning("circuit_opened", provider=key.provider, model=key.model)
        if circuit.breaker.current_state == STATE_CLOSED:
            circuit.breaker.open()

    def _close_here(self, key: ModelKey, circuit: _Circuit) -> None:
        if key in self._open:
            self._open.discard(key)
            log.info("circuit_closed", provider=key.provider, model=key.model)
        circuit.open_until = circuit.probe_until = 0.0
        circuit.breaker.close()

    def _refusal(self, key: ModelKey, circuit: _Circuit) -> CircuitOpen:
        wait_s = circuit.open_until - self._clock.monotonic()
        if wait_s > 0:
            until = f"it is not called for {math.ceil(wait_s)} s more"
        else:
            # The lease says when it is over at the latest, which is no time to wait for.
            wait_s, until = _LOST_PROBE_PAUSE_S, "one call is finding out whether it works again"
        return CircuitOpen(
            f"{key.provider}/{key.model} has failed {self._settings.failures} times in a row; "
            f"{until}. Name another model, or try again then.",
            retry_after_s=wait_s,
        )

    def _tell(self, circuit: _Circuit, tell: Callable[[], Awaitable[None]]) -> None:
        """Tell all replicas, behind the answer: who waits for it must not wait for that."""
        task = asyncio.create_task(_logged(circuit.told_last, tell))
        circuit.told_last = task
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)


class _Guard:
    """A block that is watched. Every call has one: as a generator it was measured to take longer."""

    __slots__ = ("_circuits", "_is_probe", "_key")

    def __init__(self, circuits: Circuits, key: ModelKey) -> None:
        self._circuits = circuits
        self._key = key

    async def __aenter__(self) -> None:
        self._is_probe = await self._circuits.begin(self._key)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._circuits.end(self._key, error, is_probe=self._is_probe)


async def _logged(before: asyncio.Task[None] | None, tell: Callable[[], Awaitable[None]]) -> None:
    try:
        if before is not None:
            await asyncio.wait([before])
        await tell()
    except StorageUnavailable as error:
        # This replica is protected all the same; the others find out by themselves.
        log.warning("circuit_not_shared", reason=error.message)
