"""Splits a text into its sentences, verbatim up to white space.

The rules, in the order in which they apply:

1. A blank line ends a sentence; so does a line break, except inside hard-wrapped text: a line of
   40 characters or more without an end mark goes on in the next one, and so does any line whose
   successor begins with a small letter.
2. The markers of list items and headings ("- ", "3. ", "(a) ", "## ") are not part of a sentence.
3. An end mark (. ! ? … and their like in other scripts), with the quotes and brackets that close
   behind it, ends a sentence before white space, unless a small letter follows. A paragraph
   without any capital may go on in small letters. Chinese and Japanese marks need no white space.
4. A full stop does not end a sentence after a form of address ("Dr.") or "e.g."; nor before a
   digit after "No.", "Fig." and the like; nor after an initial or an abbreviation that may well
   end one ("J.", "U.S.", "Inc."), unless one of the words that often begin sentences follows.
5. What is longer than 1,000 characters is cut at the last semicolon, colon, comma or space.

Every step is linear in the text, and no single call into the regular expression engine sees more
than one paragraph's next end mark, so that other threads get their turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from assistant.adapters.extractive.words import word_set

MAX_SENTENCE_CHARS = 1_000
MAX_SENTENCES = 40_000

_WRAPPED_LINE_CHARS = 40
_MARKERS = re.compile(r"(?:(?:[-*+•‣▪–—>]|#{1,6}|\(?\d{1,3}[.)]|\(?[a-z]{1,3}\)) ){1,4}(?=\S)")
_END = re.compile(r"(?:[.!?…؟۔।]++|([。！？｡]++))[\"'”’»)\]」』）]*+")
_OPENING = "\"'“‘„«([「『（¿¡*_"
_CUTS = ("; ", ": ", ", ", "、", "，", " ")

# Followed by a name or an example: never the end of a sentence.
_NEVER_LAST = word_set(
    """
    dr mr mrs ms mx prof rev hon st capt col gen lt sgt gov sen rep pres mt fr e.g i.e eg ie cf
    viz vs approx ca resp incl excl
    """
)
# Words of their own, unless a number follows.
_BEFORE_NUMBER = word_set(
    """
    no nos fig figs vol pp p sec art par ch ed eq ref tel ext jan feb mar apr jun jul aug sep sept
    oct nov dec
    """
)
_MAYBE_LAST = word_set(
    """
    etc inc ltd co corp llc plc gmbh al jr sr ph.d esq bros dept est ave blvd rd min max
    """
)
_DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
_FREQUENT_STARTERS = word_set(
    """
    the a an this that these those it he she they we you i in on at for from to with by of when
    while if but and or so as after before there here its his her their our my your no not all
    some most many each both however therefore what why how who please since because although
    """
)

_POINTING_BACK = word_set(
    """
    it they he she this that these those such its his her their both other others however but and
    so then thus therefore moreover also
    """
)
_MAX_HEADING_WORDS = 4


def split_sentences(text: str) -> list[str]:
    """The sentences in order; white space inside them is single spaces.

    Sentences without a letter or digit are left out as long as there is one with. Empty only
    if the text is nothing but white space. Of more than 40,000 every second, third ... is kept:
    no page of prose that fits a request has as many.
    """
    sentences = [
        part
        for paragraph in _paragraphs(text)
        for sentence in _split_paragraph(paragraph)
        for part in _cut(sentence)
    ]
    worded = [sentence for sentence in sentences if any(map(str.isalnum, sentence))] or sentences
    return worded[:: max(1, -(-len(worded) // MAX_SENTENCES))]


def first_line(text: str) -> str:
    """The first line with something in it, without markers, in single spaces."""
    lines = text.lstrip()[: 2 * MAX_SENTENCE_CHARS].splitlines()
    line = " ".join(lines[0].split()) if lines else ""
    markers = _MARKERS.match(line)
    return line[markers.end() :] if markers else line


def is_complete(sentence: str) -> bool:
    """Whether it ends as a sentence does, with an end mark and whatever closes behind it."""
    return sentence.rstrip("\"'”’»)]」』）")[-1:] in tuple(".!?…؟۔।。！？｡")


def points_back(sentence: str, within_words: int = 1) -> bool:
    """Whether one of its first words, "It" or "However", needs the sentence before."""
    words = sentence.split(None, within_words)[:within_words]
    return any(word.strip("\"“‘'(,").lower() in _POINTING_BACK for word in words)


def running_text(sentences: list[str], at_least: int) -> list[str]:
    """The sentences without headings and other scraps, if ``at_least`` that many remain."""
    running = [
        sentence
        for sentence in sentences
        if is_complete(sentence) or len(sentence.split()) > _MAX_HEADING_WORDS
    ]
    return running if len(running) >= at_least else sentences


def _paragraphs(text: str) -> Iterator[str]:
    """Runs of lines that belong together, markers removed, in single spaces."""
    lines: list[str] = []
    for raw in text.splitlines():
        line = " ".join(raw.split())
        markers = _MARKERS.match(line)
        if lines and (markers or not line or not _goes_on(lines[-1], line)):
            yield " ".join(lines)
            lines = []
        if line:
            lines.append(line[markers.end() :] if markers else line)
    if lines:
        yield " ".join(lines)


def _goes_on(line: str, following: str) -> bool:
    return following[0].islower() or (len(line) >= _WRAPPED_LINE_CHARS and not is_complete(line))


def _split_paragraph(paragraph: str) -> Iterator[str]:
    has_case = paragraph != paragraph.lower()
    begin = 0
    for mark in _END.finditer(paragraph):
        end = mark.end()
        if end >= len(paragraph):
            break
        if mark[1] is None:
            if paragraph[end] != " ":
                continue
            follows = paragraph[end + 1 : end + 24].lstrip(_OPENING)
            if has_case and follows[:1].islower():
                continue
            if mark[0] == "." and _is_abbreviation(paragraph, begin, mark.start(), follows):
                continue
        if end > begin:
            yield paragraph[begin:end]
        begin = end + (paragraph[end] == " ")
    if begin < len(paragraph):
        yield paragraph[begin:]


def _is_abbreviation(paragraph: str, begin: int, stop: int, follows: str) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it."""
    words = paragraph[max(begin, stop - 12) : stop].rsplit(" ", 1)
    word = words[-1].lstrip(_OPENING)
    folded = word.lower()
    if folded in _NEVER_LAST:
        return True
    if folded in _BEFORE_NUMBER:
        return follows[:1].isdigit()
    if folded in _MAYBE_LAST or _DOTTED.fullmatch(word):
        return follows.split(" ", 1)[0].rstrip(",").lower() not in _FREQUENT_STARTERS
    return False


def _cut(sentence: str) -> Iterator[str]:
    """Pieces of at most MAX_SENTENCE_CHARS, cut where it hurts least."""
    begin = 0
    while len(sentence) - begin > MAX_SENTENCE_CHARS:
        limit = begin + MAX_SENTENCE_CHARS
        for cut in _CUTS:
            found = sentence.rfind(cut, begin + MAX_SENTENCE_CHARS // 2, limit)
            if found >= 0:
                limit = found + len(cut.rstrip() or cut)
                break
        yield sentence[begin:limit].rstrip()
        begin = limit
        while sentence[begin : begin + 1] == " ":
            begin += 1
    if begin < len(sentence):
        yield sentence[begin:]
