"""Numbers, dates and times of day in one form each, however they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.services.wording.language import Language
from assistant.services.wording.text import time_of_day

_ENGLISH_GROUPS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_COMMA_DECIMAL = re.compile(r"[+-]?\d+,\d+")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DAY = re.compile(r"(0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|\.|º)?")
_YEAR = re.compile(r"\d{4}")
_PER = frozenset({"per", "a", "each", "every"})


def digits(number: str, language: Language) -> str:
    """``number`` without separators of thousands and with a decimal point. "3.10" stays "3.10"."""
    if language.decimal_comma:
        if _COMMA_GROUPS.fullmatch(number):
            return number.replace(".", "").replace(",", ".")
        if _COMMA_DECIMAL.fullmatch(number):
            return number.replace(",", ".")
    elif _ENGLISH_GROUPS.fullmatch(number):
        return number.replace(",", "")
    return number


def read_numbers(words: Sequence[str], language: Language) -> list[str]:
    """``words`` with numbers in digits, times of day as "17:00" and dates as day, month, year."""
    counted: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word[0].isdigit() and word in language.ordinals:
            word = language.ordinals[word]
        elif word in language.numbers or word[0].isdigit():
            number, end = _number(words, at, language)
            # Alone, "one" may be a person; what it is shows later.
            counted.append(word if word == "one" and end == at + 1 else number)
            at = end
            continue
        if word in language.ordinals and not (
            word == "second" and counted and (counted[-1] in _PER or counted[-1][0].isdigit())
        ):
            word = language.ordinals[word]
        counted.append(word)
        at += 1
    counted = _clocked(counted) if "am" in counted or "pm" in counted else counted
    has_date = not language.months.keys().isdisjoint(counted) or any(
        len(word) == 10 and _ISO_DATE.fullmatch(word) for word in counted
    )
    return _dated(counted, language) if has_date else counted


def _number(words: Sequence[str], at: int, language: Language) -> tuple[str, int]:
    """The number that begins at ``at``, said in digits, in words or in both, and its end."""
    first = words[at]
    if first[0].isdigit():
        number = digits(first, language)
        size = language.numbers.get(words[at + 1], 0) if at + 1 < len(words) else 0
        if size >= 1000 and number.isdigit():
            return str(int(number[:15]) * size), at + 2
        return number, at + 1
    total, part, last = 0, language.numbers[first], language.numbers[first]
    at += 1
    while at < len(words):
        word = words[at]
        if word in ("and", "y", "und") and at + 1 < len(words):
            following = language.numbers.get(words[at + 1], 0)
            if not (
                last >= 100 > following > 0 or (word == "y" and 10 > following > 0 == last % 10)
            ):
                break
            at += 1
            word = words[at]
        value = language.numbers.get(word)
        if value is None:
            break
        if value >= 1000 and 0 < part < 1000:
            total, part = total + part * value, 0
        elif value == 100 and 0 < part < 100:
            part *= 100
        elif 0 < value < 100 and (last >= 100 or (last >= 20 and value < 10)) and value < last:
            part += value
        else:
            break
        last = value
        at += 1
    return str(total + part), at


def _clocked(words: Sequence[str]) -> list[str]:
    said: list[str] = []
    for word in words:
        if word in ("am", "pm") and said and said[-1].isdigit() and int(said[-1][:3]) <= 12:
            said[-1] = time_of_day(said[-1], "00", word)
        elif word in ("am", "pm") and said and re.fullmatch(r"\d{1,2}[:.]\d{2}", said[-1]):
            hours, minutes = re.split("[:.]", said[-1])
            said[-1] = time_of_day(hours, minutes, word)
        else:
            said.append(word)
    return said


def _dated(words: list[str], language: Language) -> list[str]:
    """Dates as day, month, year: "march 5th , 2024" and "5 march 2024" are one."""
    months = language.months
    said: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        iso = _ISO_DATE.fullmatch(word) if word[0].isdigit() else None
        if iso is not None and 1 <= int(iso[2]) <= 12:
            named = [name for name, month in months.items() if name == month]
            said += [
                iso[3].lstrip("0"),
                named[int(iso[2]) - 1] if len(named) == 12 else iso[2],
                iso[1],
            ]
            at += 1
            continue
        if word not in months:
            said.append(word)
            at += 1
            continue
        at += 1
        if said and said[-1] in ("of", "de") and len(said) > 1 and _DAY.fullmatch(said[-2]):
            said.pop()
        if said and (day := _DAY.fullmatch(said[-1])):
            said[-1] = day[1].lstrip("0")
        elif at < len(words) and (day := _DAY.fullmatch(words[at])):
            said.append(day[1].lstrip("0"))
            at += 1
        said.append(months[word])
        if (
            at + 1 < len(words)
            and words[at] in (",", "de", "of")
            and _YEAR.fullmatch(words[at + 1])
        ):
            at += 1
    return said
