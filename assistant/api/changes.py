"""What an input changes, where absent fields stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import strawberry

from assistant.errors import BadUserInput


def changes_of(
    given: Mapping[str, tuple[str, Any]], nullable: Collection[str]
) -> Mapping[str, Any]:
    """The values that are not absent, by the name that the domain has for them.

    ``given`` has, by that name, the one that clients use, and the value. Raises BadUserInput for
    each null of a field that is not ``nullable``.
    """
    problems = [
        BadUserInput(f"{spelt} cannot be null. Leave it out to keep it as it is.", path=(spelt,))
        for name, (spelt, value) in given.items()
        if value is None and name not in nullable
    ]
    if problems:
        raise BadUserInput.joined(problems)
    return {name: value for name, (_, value) in given.items() if value is not strawberry.UNSET}
