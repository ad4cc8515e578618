"""What a Mustache template says, as the reader finds it and the renderer follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Value:
    """``{{a.b.c}}`` has ``first`` a and ``rest`` b, c; ``{{.}}`` has "" and nothing."""

    first: str
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """``body`` once for each item of what the name leads to, or once where that is nothing."""

    first: str
    rest: tuple[str, ...]
    is_inverted: bool
    body: Body


Node: TypeAlias = str | Value | Section
Body: TypeAlias = tuple[Node, ...]


@dataclass(slots=True)
class Names:
    """What a template and all that it includes call for; ``outside`` says where first.

    ``outside`` are names used outside every section, ``inside`` those used in one. ``printed``
    are the names outside that are printed as they are. ``item`` is where ``{{.}}`` is used first
    outside every section, None where it is not.
    """

    outside: dict[str, str] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    printed: set[str] = field(default_factory=set)
    item: str | None = None
