"""Where one model's text goes on from another's: what is said twice is left out once."""

from __future__ import annotations

# Shorter agreements happen by chance: "the", a comma, a line break.
_SHORTEST_OVERLAP = 8
# How far back a repetition is looked for; a model that begins anew is met whatever its length.
_LONGEST_OVERLAP = 2_000


class Seam:
    """Joins a continuation, piece by piece, to the text so far.

    Models that are asked to go on often repeat the last words first, or all of it. What comes in
    is held back for as long as it may be such a repetition; then it is dropped, or let through.
    Whatever the texts are, the cost of each piece is bounded by the 2,000 characters looked at.
    """

    def __init__(self, so_far: str) -> None:
        self._so_far = so_far
        self._tail = so_far[-_LONGEST_OVERLAP:]
        self._held: list[str] = []
        self._length = 0
        self._is_open = False
        self._begins_anew = True
        # Where in the tail it may be that the repetition began: not before here.
        self._start: int | None = 0

    def feed(self, text: str) -> str:
        """What is new of ``text`` and of what was held back; "" while that is not known."""
        if self._is_open:
            return text
        self._begins_anew = self._begins_anew and self._so_far.startswith(text, self._length)
        self._held.append(text)
        self._length += len(text)
        if self._begins_anew and self._length < len(self._so_far):
            return ""
        if self._may_repeat_the_end():
            return ""
        return self.flush()

    def flush(self) -> str:
        """What is new of what is still held back: the continuation has ended."""
        if self._is_open:
            return ""
        self._is_open = True
        held = "".join(self._held)
        new = held[self._repeated(held) :]
        self._so_far, self._tail, self._held = "", "", []
        return new

    def _may_repeat_the_end(self) -> bool:
        """Whether the tail has, before its end, what is held back: then more of it may come."""
        tail = self._tail
        if self._start is None or self._length >= len(tail):
            return False
        start = tail.find("".join(self._held), self._start, len(tail) - 1)
        is_long_enough = 0 <= start <= len(tail) - _SHORTEST_OVERLAP
        self._start = start if is_long_enough else None
        return is_long_enough

    def _repeated(self, held: str) -> int:
        """How many of the first characters are those that the text so far ends with."""
        if self._so_far and held.startswith(self._so_far):
            return len(self._so_far)
        longest = min(len(held), len(self._tail))
        lengths = range(longest, _SHORTEST_OVERLAP - 1, -1)
        return next((length for length in lengths if self._tail.endswith(held[:length])), 0)
