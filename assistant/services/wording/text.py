"""Takes a text apart into words, numbers, signs and what must be taken literally.

Every piece is a string whose first character tells what it is: a word is folded to lower case, a
number begins with a digit or a sign, ``LITERAL`` begins what must be equal to the letter, and
``BREAKS`` are where a sentence or a part of it ends. One pass, and linear whatever the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from assistant.services.wording.signs import (
    EDGES,
    STOPS,
    begins_code,
    bracketed,
    counting_brackets,
    is_literal,
    is_smiley,
    unpaired_marks,
)

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
_BULLETS = re.compile(r"(?:[-*•·>#]+\s+|[•·]+)+")
_STOP_OF = {"…": ".", "。": ".", "\uff1f": "?", "\uff01": "!", "،": ",", "؟": "?"}

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
_SHOUTED = {"US": "usa", "USA": "usa", "IT": "IT", "WHO": "WHO"}

# What a lone "A" behind it is the name of, and where "a" is, too.
_LETTERED = word_set(
    """
    vitamin hepatitis influenza hemophilia haemophilia protein plan type group class grade section
    part appendix figure exhibit schedule option variant team level terminal gate building block
    tier category column row cell string point blood typ gruppe klasse tipo grupo clase
    """
)
_ALWAYS_LETTERED = word_set("vitamin hepatitis influenza hemophilia haemophilia vitamina")

# Words that stay small where a title has all others begin with a capital.
_SMALL_IN_TITLES = word_set(
    "a an the of in on at to for and or by with from vs as but nor der die das und y de la el en"
)

_PAYLOAD_LINE = 4  # words; a shorter first line is a greeting


@dataclass(slots=True)
class Text:
    """A text in pieces. A word with a capital is a name that only that capital tells.

    ``named`` are the places of words that a capital marks as names, ``opening`` those of words
    that may have theirs from where they stand. ``is_shouted`` is whether there are no others.
    """

    source: str
    is_shouted: bool
    pieces: list[str] = field(default_factory=list)
    named: set[int] = field(default_factory=set)
    opening: set[int] = field(default_factory=set)
    title: bool | None = None

    def is_even(self) -> bool:
        """Whether capitals say nothing: all letters are, or all words begin with one."""
        return self.is_shouted or self.is_title()

    def is_title(self) -> bool:
        """Whether all words of weight begin with a capital; looked up once."""
        if self.title is None:
            self.title = _is_title(self.source)
        return self.title


def take_apart(text: str) -> Text:
    """The pieces of ``text``, whatever its Unicode form: composed and decomposed are one."""
    text = unicodedata.normalize("NFC", text).translate(_INVISIBLE).strip()
    if bullets := _BULLETS.match(text):
        text = text[bullets.end() :]
    whole = _QUOTED.fullmatch(text)
    if whole is not None and " " in text and "`" not in text:
        text = (whole[whole.lastgroup or 0]).strip()
    taken = Text(text, text.isupper())
    end = 0
    for match in _QUOTED.finditer(text):
        if _read_plain(text, end, match.start(), taken):
            return taken
        quoted = match[match.lastgroup or 0]
        taken.pieces.append(LITERAL + " ".join(quoted.split()))
        end = match.end()
    _read_plain(text, end, len(text), taken)
    _keep_letters(taken)
    return taken


def _keep_letters(taken: Text) -> None:
    """Puts single letters back into capitals where they are keys or commands: P and p in vim."""
    pieces = taken.pieces
    if _TOOLS_AND_KEYS.isdisjoint(pieces):
        return
    is_tool = not _TOOLS.isdisjoint(pieces)
    for at in (*taken.opening, *taken.named):
        if len(pieces[at]) == 1 and pieces[at] != "i":
            beside = (*pieces[max(at - 1, 0) : at], *pieces[at + 1 : at + 2])
            if is_tool or not _KEYS.isdisjoint(beside):
                pieces[at] = pieces[at].upper()


_TOOLS = word_set("vim vi neovim emacs sed awk grep less tmux chmod tar ls strftime printf regex")
_KEYS = word_set("press key option flag switch taste drücke tecla pulsa opción")
_TOOLS_AND_KEYS = _TOOLS | _KEYS


def _is_title(text: str) -> bool:
    """Whether All Words of Weight Begin with a Capital."""
    if not text[:1].isupper():
        return False
    words = text.split()
    return len(words) > 2 and not any(
        word[0].islower() and word not in _SMALL_IN_TITLES for word in words
    )


def _read_plain(text: str, start: int, end: int, taken: Text) -> bool:
    """Adds the pieces of a stretch without quotes; True where the rest of the text was taken."""
    pieces = taken.pieces
    rest = _payload_start(text, start, end, len(pieces))
    chunks = text[start : rest if rest is not None else end].split()
    unpaired: frozenset[int] | None = None
    for at, chunk in enumerate(chunks):
        if chunk.isalpha():  # nearly all
            _add_word(chunk, taken)
            continue
        if chunk[-1] in ",.?" and chunk[:-1].isalpha():  # most of the others
            _add_word(chunk[:-1], taken)
            pieces.append(chunk[-1])
            continue
        if chunk[0] in "*_~" or chunk.rstrip(STOPS)[-1:] in ("*", "_", "~"):
            if unpaired is None:
                unpaired = unpaired_marks(chunks)
            if at in unpaired:
                pieces.append(LITERAL + chunk.rstrip(STOPS))
                continue
        opening, closing = counting_brackets(chunks, at)
        if opening:
            pieces.append(LITERAL + opening)
        _add_chunk(chunk, taken, closing)
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


def _add_word(word: str, taken: Text) -> None:
    pieces = taken.pieces
    if len(word) == 1 and word in "Aa" and pieces and _is_letter(word, taken):
        pieces.append("A")
        return
    if not word.islower():
        if word in _SHOUTED and not taken.is_shouted:
            pieces.append(_SHOUTED[word])
            return
        if _BITS.fullmatch(word) and pieces and pieces[-1][0].isdigit():
            pieces.append(word.casefold() + "it")
            return
        if _HUMPED.fullmatch(word) and word.casefold() not in _NAMES_WITH_HUMPS:
            pieces.append(LITERAL + word)
            return
        if not pieces or pieces[-1] in ENDS:
            taken.opening.add(len(pieces))
        elif not taken.is_shouted:
            taken.named.add(len(pieces))
            if word == "Will" and not taken.is_title():
                pieces.append(word)
                return
    pieces.append(word.casefold())


def _is_letter(word: str, taken: Text) -> bool:
    """Whether it is the letter, and not the article: "vitamin A"."""
    before = taken.pieces[-1]
    if before in _ALWAYS_LETTERED:
        return True
    if word == "a" or taken.is_shouted:
        return False
    return before in _LETTERED or (
        before[0].isalpha() and len(taken.pieces) - 1 not in taken.named and not taken.is_title()
    )


def _add_chunk(chunk: str, taken: Text, closing: str) -> None:
    """Adds what stands between two spaces and is not just letters; ``closing`` goes behind it."""
    pieces = taken.pieces
    if is_smiley(chunk):
        pieces.append(LITERAL + chunk)
        return
    body = chunk.strip(EDGES)
    opening = body.lstrip(STOPS)
    if len(opening) < len(body) and opening:
        if begins_code(body):
            opening = body
        elif body[0] == "." and opening[0].isdigit() and len(body) - len(opening) == 1:
            opening = "0" + body
    body = opening.rstrip(STOPS)
    stops = opening[len(body) :]
    inner = body.strip(EDGES)
    if inner and bracketed(chunk, inner):
        inner = chunk.rstrip(STOPS)
    if inner:
        _add_inner(inner, taken)
    elif not stops:
        stops = "".join(one for one in chunk if one in STOPS)
        if not stops and chunk.translate(_ALIKE) not in ("-", "--"):
            pieces.append(LITERAL + chunk)
        elif not stops:
            pieces.append("-")
    if closing and inner:
        pieces.append(LITERAL + closing)
    if stops:
        if inner and stops[0] == "!" and (
            (inner[-1].isdigit() and len(chunk) < 6)
            or (len(inner) == 1 and inner.islower())
            or inner[-1] == ")"
        ):  # fmt: skip
            pieces.append(LITERAL + "!")  # a factorial, perhaps
        last = stops[-1]
        pieces.append(_STOP_OF.get(last, last) if last not in "¿¡" else ",")


def _add_inner(body: str, taken: Text) -> None:
    pieces = taken.pieces
    if body.isalpha():
        _add_word(body, taken)
        return
    plain = body.translate(_ALIKE)
    if is_literal(plain):
        pieces.append(LITERAL + plain)
        return
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
    if "-" in plain and body[0].isupper() and pieces and not taken.is_shouted:
        taken.named.add(len(pieces))
    for part in folded.replace(",", " , ").replace(";", " , ").split():
        pieces.append(part)


_KNOWN_WITH_SIGNS = {
    "&": "and",
    "km/h": "km/h",
    "m/s": "m/s",
    "w/o": "without",
    "w/": "with",
    "and/or": "or",
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
