"""Words with a hyphen: which are the same as one word or as two, and which are their own."""

from __future__ import annotations

from assistant.services.wording.language import Language

_ONE_WORD = {"e-mail": "email", "e-mails": "emails", "wi-fi": "wifi"}


def compound(word: str, language: Language, *, is_name: bool) -> tuple[str, ...]:
    """ "log-in" is "log", "in"; a "man-eating" shark is no man eating shark."""
    if word in _ONE_WORD:
        return (_ONE_WORD[word],)
    parts = tuple(part for part in word.split("-") if part)
    if language.joins_hyphens:
        return ("".join(parts),)
    if len(parts) < 2 or is_name or language.split_compounds is None:
        return parts
    return parts if _is_split(word, parts, language) else (word,)


def _is_split(word: str, parts: tuple[str, ...], language: Language) -> bool:
    split = language.split_compounds or frozenset()
    return (
        word in split
        or parts[0] + "-" in split
        or "-" + parts[-1] in split
        or all(part in language.numbers or part in language.ordinals for part in parts)
    )
