"""Takes a text apart into words, numbers, signs and what must be taken literally.

Every piece is a string whose first character tells what it is: a word is folded to lower case, a
number begins with a digit or a sign, ``LITERAL`` begins what must be equal to the letter, and
``BREAKS`` are where a sentence or a part of it ends. One pass, and linear whatever the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LITERAL = '"'
BREAKS = frozenset(",.;:?!")
ENDS = frozenset(".?!")


def word_list(text: str) -> list[str]:
    """The words of a list written as running text."""
    return text.split()


def word_set(text: str) -> frozenset[str]:
    """The same words where their order says nothing."""
    return frozenset(text.split())


# Each alternative stops at the sign that would begin it anew: none is read twice.
_QUOTED = re.compile(
    r"```(?P<fence>.*?)(?:```|\Z)"
    r"|`(?P<code>[^`\n]+)`"
    r'|"(?P<straight>[^"\n]+)"'
    r"|[“”„](?P<curly>[^“”„\n]+)[“”]"
    r"|[«»](?P<angled>[^«»\n]+)[«»]"
    r"|[\u2018\u201a](?P<single>[^\u2018\u2019\u201a\n]+)[\u2018\u2019](?!\w)"
    r"|(?<![^\s(\[])'(?P<apostrophes>[^'\n]+)'(?!\w)",
    re.DOTALL,
)
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_ALIKE = {ord(one): "'" for one in "\u2018\u2019\u02bc`\u00b4"} | dict.fromkeys(
    [*range(0x2010, 0x2016), 0x2212], "-"
)
_EDGES = "()[]{}'\"“”„«»\u2018\u2019…*_~"
_STOP_OF = {"…": ".", "。": ".", "\uff1f": "?", "\uff01": "!", "،": ",", "؟": "?"}
_STOPS = ",.;:?!¿¡" + "".join(_STOP_OF)

# What no ordinary word has inside: code, paths, addresses, formulas.
_CODE = re.compile(r"[_\\/=<>{}\[\]^~|*+@#$()&:%.]")
_ARITHMETIC = re.compile(r"[\d.,+\-*/^=()<>%!x×÷√²³]+")  # noqa: RUF001
_ARITHMETIC_PART = re.compile(r"\d[\d.,]*(?<![.,])|[^\s,.]")
_MONEY = re.compile(r"(?P<sign>[$€£¥])(?P<amount>\d[\d.,]*)(?P<size>[kmb]?)")
_AMOUNT = re.compile(r"(?P<number>[+-]?\d(?:[\d.,]*\d)?)(?P<unit>[^\W\d_]{1,5}|[%°€$£¥]|°[cf])?")
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})(?::\d{2})?(am|pm)?|(\d{1,2})(am|pm)")
_CODE_WORD = re.compile(r"[^\W\d_]\w*(?:\+\+|#)|\.net")
_DOTTED_SHORT = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # e.g, U.S, a.m
_LIBRARY = re.compile(r"[a-z]{2,}\.(?:js|io|net|py)")
_HUMPED = re.compile(r"[a-z]+[A-Z]\w*[a-z]\w*")
_NAMES_WITH_HUMPS = frozenset(
    [
        "iphone",
        "iphones",
        "ipad",
        "ipads",
        "imac",
        "ios",
        "ipados",
        "macos",
        "ebay",
        "itunes",
        "icloud",
        "imessage",
        "iwatch",
    ]
)
_MONEY_NAMES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_SUFFIXES = {"%": "percent", "°": "degree", "°c": "celsius", "°f": "fahrenheit"} | _MONEY_NAMES
_BITS = re.compile(r"[KMGT]b")  # bytes are "MB", or "mb" where nobody cares
_ORDINAL_ENDINGS = frozenset(["st", "nd", "rd", "th"])
_SIZES = frozenset({"k", "m", "b", "bn", "mio", "x"})

# Acronyms that are everyday words in small letters.
_SHOUTED = {"US": "usa", "USA": "usa", "IT": "it-", "WHO": "who-"}

_PAYLOAD_LINE = 4  # words; a shorter first line is a greeting


@dataclass(frozen=True, slots=True)
class Text:
    """A text in pieces. ``named`` are the places of words that a capital marks as names."""

    pieces: list[str]
    named: frozenset[int]


def take_apart(text: str) -> Text:
    """The pieces of ``text``, whatever its Unicode form: composed and decomposed are one."""
    text = unicodedata.normalize("NFC", text).translate(_INVISIBLE).strip().lstrip("-*•·>#").strip()
    whole = _QUOTED.fullmatch(text)
    if whole is not None and " " in text and "`" not in text:
        text = (whole[whole.lastgroup or 0]).strip()
    pieces: list[str] = []
    named: list[int] = []
    is_shouted = text.isupper()
    end = 0
    for match in _QUOTED.finditer(text):
        if _read_plain(text, end, match.start(), pieces, named, is_shouted):
            return Text(pieces, frozenset(named))
        quoted = match[match.lastgroup or 0]
        pieces.append(LITERAL + " ".join(quoted.split()))
        end = match.end()
    _read_plain(text, end, len(text), pieces, named, is_shouted)
    return Text(pieces, frozenset(named))


def _read_plain(
    text: str, start: int, end: int, pieces: list[str], named: list[int], is_shouted: bool
) -> bool:
    """Adds the pieces of a stretch without quotes; True where the rest of the text was taken."""
    rest = _payload_start(text, start, end, len(pieces))
    for chunk in text[start : rest if rest is not None else end].split():
        if chunk.isalpha():  # nearly all
            _add_word(chunk, pieces, named, is_shouted)
        else:
            _add_chunk(chunk, pieces, named, is_shouted)
    if rest is None:
        return False
    pieces.append(LITERAL + " ".join(text[rest:].lstrip(": \n").split()))
    return True


def _payload_start(text: str, start: int, end: int, already: int) -> int | None:
    """Where the material begins: after a colon, or on the line below the request."""
    colon, line = text.find(": ", start, end), text.find("\n", start, end)
    if colon < 0:
        colon = text.find(":\n", start, end)
    if colon > start and not (0 <= line < colon):
        words = text[start:colon].casefold().replace(",", " ").replace(".", " ").split()
        if already or not _ANNOUNCING.issuperset(words):
            return colon
    if line > 0 and len(text[start:line].split()) + already >= _PAYLOAD_LINE:
        return line
    return None


# What stands before a colon that only announces the question.
_ANNOUNCING = word_set(
    """
    a another brief curious dear hello hey hi just last maybe more my one please question quick
    short silly simple so sorry stupid thank thanks advance in thing you for the help
    bitte danke dank vielen eine frage kurze noch hallo im voraus nur mal sorry entschuldigung
    por favor gracias muchas antemano de pregunta rápida duda una otra cosa hola perdón disculpa
    """
)


def _add_word(word: str, pieces: list[str], named: list[int], is_shouted: bool) -> None:
    if not word.islower():
        if word in _SHOUTED and not is_shouted:
            pieces.append(_SHOUTED[word])
            return
        if _BITS.fullmatch(word) and pieces and pieces[-1][0].isdigit():
            pieces.append(word.casefold() + "it")
            return
        if _HUMPED.fullmatch(word) and word.casefold() not in _NAMES_WITH_HUMPS:
            pieces.append(LITERAL + word)
            return
        if pieces and pieces[-1] not in ENDS and not is_shouted:
            named.append(len(pieces))
    pieces.append(word.casefold())


def _add_chunk(chunk: str, pieces: list[str], named: list[int], is_shouted: bool) -> None:
    """Adds what stands between two spaces and is not just letters."""
    body = chunk.strip(_EDGES)
    opening = body.lstrip(_STOPS)
    if len(opening) < len(body) and opening and body[0] == "." and opening[0].isalpha():
        opening = body  # .net, .env
    body = opening.rstrip(_STOPS)
    stops = opening[len(body) :]
    inner = body.strip(_EDGES)
    if inner and _is_bracketed(chunk, inner):
        inner = chunk.rstrip(_STOPS)
    if inner:
        _add_inner(inner, pieces, named, is_shouted)
    elif not stops:
        stops = "".join(one for one in chunk if one in _STOPS)
        if not stops and chunk.translate(_ALIKE) not in ("-", "--"):
            pieces.append(LITERAL + chunk)
        elif not stops:
            pieces.append("-")
    if stops:
        if inner and stops[0] == "!" and inner[-1].isdigit() and len(chunk) < 6:
            pieces.append(LITERAL + "!")  # a factorial, perhaps
        last = stops[-1]
        pieces.append(_STOP_OF.get(last, last) if last not in "¿¡" else ",")


def _is_bracketed(chunk: str, inner: str) -> bool:
    """Whether brackets at the edges belong to what is inside: f(x), list[0], foo()."""
    return (
        (chunk[-1:] in ")]}" or chunk.rstrip(_STOPS)[-1:] in ")]}")
        and (chunk[0] not in "([{" and any(one in chunk[:-1] for one in "([{"))
    ) or (chunk[0] in "{[" and len(inner) + 2 < len(chunk))


def _add_inner(body: str, pieces: list[str], named: list[int], is_shouted: bool) -> None:
    if body.isalpha():
        _add_word(body, pieces, named, is_shouted)
        return
    plain = body.translate(_ALIKE)
    folded = plain.casefold()
    if any(one.isdigit() for one in folded) and _add_number(folded, body, pieces):
        return
    if _ARITHMETIC.fullmatch(plain):
        pieces += [_number_or_sign(part) for part in _ARITHMETIC_PART.findall(plain)]
        return
    if _CODE_WORD.fullmatch(folded) or _LIBRARY.fullmatch(folded):
        pieces.append(folded)
        return
    if _DOTTED_SHORT.fullmatch(folded):
        pieces.append(_SHOUTED.get(body.replace(".", ""), folded.replace(".", "")))
        return
    if folded in _KNOWN_WITH_SIGNS:
        pieces.append(_KNOWN_WITH_SIGNS[folded])
        return
    if _CODE.search(plain):
        pieces.append(LITERAL + body)
        return
    for part in folded.replace(",", " , ").replace(";", " , ").split():
        pieces.append(part)


_KNOWN_WITH_SIGNS = {
    "&": "and",
    "km/h": "km/h",
    "m/s": "m/s",
    "w/o": "without",
    "w/": "with",
    "and/or": "or",
    "e-mail": "email",
    "e-mails": "emails",
    "wi-fi": "wifi",
    "%": "percent",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "°c": "celsius",
    "°f": "fahrenheit",
    "°": "degree",
}


def _add_number(folded: str, body: str, pieces: list[str]) -> bool:
    """Adds a number with what sticks to it; False where it is something else with digits."""
    if clock := _CLOCK.fullmatch(folded):
        hours, minutes, half, only_hours, only_half = clock.groups()
        if half or only_half or ":" in folded:
            pieces.append(time_of_day(hours or only_hours, minutes or "00", half or only_half))
            return True
    if money := _MONEY.fullmatch(folded):
        pieces += [money["amount"].rstrip(".,"), *filter(None, [money["size"]])]
        pieces.append(_MONEY_NAMES[money["sign"]])
        return True
    if amount := _AMOUNT.fullmatch(folded):
        number, unit = amount["number"], amount["unit"]
        if unit is None:
            pieces.append(number)
        elif unit in _ORDINAL_ENDINGS or unit == "s":
            pieces.append(folded)  # 2nd, 1990s
        elif unit in _SUFFIXES:
            pieces += [number, _SUFFIXES[unit]]
        elif unit in _SIZES or len(unit) > 1:
            written = body[-len(unit) :]
            pieces += [number, unit + "it" if _BITS.fullmatch(written) else unit]
        else:
            return _as_name(folded, pieces)
        return True
    if folded[0] == "#" and folded[1:].isdigit():
        pieces.append(folded[1:])
        return True
    ends = folded.split("-")
    if len(ends) == 2 and all(end.isdigit() for end in ends):
        pieces += [ends[0], "-", ends[1]]
        return True
    if not _CODE.search(folded):
        return _as_name(folded, pieces)
    return False


def _as_name(folded: str, pieces: list[str]) -> bool:
    """A name with digits: covid-19, b12, h2o, 2024-05-17. Never a word of any language."""
    pieces.append(folded)
    return True


def _number_or_sign(part: str) -> str:
    return part if part[0].isdigit() or part == "-" else LITERAL + part


def time_of_day(hours: str, minutes: str, half: str | None) -> str:
    """ "17:00" for 5, 00, "pm"; without a half the time is taken as it is written."""
    hour = int(hours)
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    elif half is None:
        return f"{hour}:{minutes}"
    return f"{hour:02d}:{minutes}"
