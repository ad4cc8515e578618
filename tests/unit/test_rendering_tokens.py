"""The estimate of tokens before a call, beside a real vocabulary's counts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import Message, MessageRole
from assistant.domain.tokens import TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST, estimate_tokens

PROSE = (
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. Plants do it in "
    "their leaves, where chlorophyll catches the light; at night they breathe as we do."
)
CODE = '''def total(rows: list[Row]) -> Decimal:
    """Sum what is not void."""
    result = Decimal(0)
    for row in rows:
        if not row.is_void:
            result += row.amount
    return result
'''
JSON = (
    '{"id": "order-4711", "lines": [{"sku": "A-100", "quantity": 3, "price": 19.99}, '
    '{"sku": "B-7", "quantity": 12, "price": 0.5}], "paid": true}'
)
GERMAN = (
    "Die Lieferung verspätet sich leider um zwei Tage, weil die Straße über den Pass wegen "
    "Schnees gesperrt ist. Wir melden uns, sobald der Wagen unterwegs ist."
)
RUSSIAN = (
    "Доставка задерживается на два дня, потому что дорога через перевал закрыта из-за снега. "
    "Мы сообщим, как только машина выедет."
)
CHINESE = "由于下雪，翻越山口的道路已经封闭，送货将推迟两天。车辆出发后我们会通知您。"  # noqa: RUF001  Chinese punctuation


@pytest.mark.parametrize(
    ("text", "counted"),
    # Counted by Mistral's Tekken (tekken_240911, 131,000 pieces).
    [(PROSE, 35), (CODE, 49), (JSON, 70), (GERMAN, 40), (RUSSIAN, 35), (CHINESE, 34)],
    ids=["prose", "code", "json", "german", "russian", "chinese"],
)
def test_the_estimate_is_within_a_quarter_of_what_a_real_vocabulary_counts(
    text: str, counted: int
) -> None:
    assert estimate_tokens(text) == pytest.approx(counted, rel=0.25)


def test_chinese_is_not_counted_like_english() -> None:
    assert estimate_tokens(CHINESE) > 2 * len(CHINESE) / 4


def test_indentation_is_cheap() -> None:
    assert estimate_tokens("x\n" + " " * 64 + "y") < 10


def test_messages_cost_their_text_and_a_frame_each() -> None:
    message = Message(MessageRole.USER, PROSE)
    assert estimate_tokens([]) == TOKENS_PER_REQUEST
    assert estimate_tokens([message, message]) == TOKENS_PER_REQUEST + 2 * (
        TOKENS_PER_MESSAGE + estimate_tokens(PROSE)
    )


@given(st.text(alphabet=st.characters()))  # lone surrogates included
def test_any_text_has_a_token_and_no_more_than_four_per_character(text: str) -> None:
    assert (1 if text else 0) <= estimate_tokens(text) <= 4 * len(text)


def test_how_long_an_estimate_takes(capsys: pytest.CaptureFixture[str]) -> None:
    text = (PROSE + CODE + RUSSIAN + CHINESE) * 100
    started = time.perf_counter()
    tokens = estimate_tokens(text)
    with capsys.disabled():
        duration_us = (time.perf_counter() - started) * 1e6
        print(f"\nestimate: {duration_us / len(text) * 100:.2f} µs per 100 characters")
    assert tokens > 10_000
