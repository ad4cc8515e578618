"""What a call may take at most, before it is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from assistant.domain.budget import Stake
from assistant.domain.completion import Message
from assistant.domain.model import Model
from assistant.domain.money import token_cost
from assistant.domain.tokens import TokenCount, TokenMethod, estimate_tokens
from assistant.domain.values import JsonObject

USUAL_OUTPUT_TOKENS = 4_096
"""What is held for an answer whose length the request leaves open; under a budget, its limit."""
LEAST_OUTPUT_TOKENS = 16
"""An answer whose length is left open is not begun where a budget has room for fewer."""

# Around each message, and around all of them: more than any template that is known.
_MOST_PER_MESSAGE = 16
_MOST_PER_REQUEST = 64
# What a provider says by itself where a schema is to be kept to: Anthropic's own instructions for
# tools, which it bills, have up to 530 tokens.
# Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
_MOST_FOR_SCHEMA = 1_000
# What limits of tokens are asked for where nobody says how long an answer is to be.
_EXPECTED_OUTPUT_TOKENS = 256


def most_prompt_tokens(
    messages: Sequence[Message], schema: JsonObject | None, count: TokenCount | None
) -> int:
    """More tokens than a provider will count of a prompt, whatever its vocabulary.

    ``count`` is what it was counted as; None where these are not the messages that were. A token
    stands for one byte at least, so the bytes of a text bound what no vocabulary at hand can count.
    """
    framing = _MOST_PER_REQUEST + _MOST_PER_MESSAGE * len(messages)
    described = 0
    if schema is not None:
        described = _MOST_FOR_SCHEMA + len(json.dumps(schema, ensure_ascii=False).encode())
    if count is not None and count.method is TokenMethod.EXACT:
        return count.tokens + framing + described
    # Half of a surrogate pair, which a template may have cut off, is three bytes as anything else.
    texts = sum(len(message.content.encode(errors="surrogatepass")) for message in messages)
    return texts + framing + described


def stake_of(
    model: Model,
    *,
    prompt_tokens: int,
    expected_prompt_tokens: int,
    asked_output_tokens: int | None,
    sunk_cost: Decimal = Decimal(0),
) -> Stake:
    """What an answer of ``model`` may take beside ``sunk_cost``, which is used or held already.

    Who says how long the answer is to be means it; who does not is content with what there is.
    """
    longest = max(1, model.context_window - expected_prompt_tokens)
    if model.max_output_tokens is not None:
        longest = min(longest, model.max_output_tokens)
    output = min(asked_output_tokens or USUAL_OUTPUT_TOKENS, longest)
    least = min(output, LEAST_OUTPUT_TOKENS) if asked_output_tokens is None else output
    fixed_cost: Decimal | None = None
    if model.input_price is not None and model.output_price is not None:
        # Where a provider's cache costs more than what it saves, it is used all the same.
        price = max(model.input_price, model.cached_input_price or Decimal(0))
        fixed_cost = sunk_cost + token_cost(prompt_tokens, 0, price, Decimal(0))
    return Stake(
        prompt_tokens=prompt_tokens,
        output_tokens=output,
        least_output_tokens=least,
        fixed_cost=fixed_cost,
        output_price=None if fixed_cost is None else model.output_price,
        expected_tokens=expected_prompt_tokens
        + min(asked_output_tokens or _EXPECTED_OUTPUT_TOKENS, output),
    )


def embedding_stake(model: Model, texts: Sequence[str]) -> Stake:
    """What vectors of ``texts`` may take."""
    framing = _MOST_PER_REQUEST + _MOST_PER_MESSAGE * len(texts)
    most = framing + sum(len(text.encode(errors="surrogatepass")) for text in texts)
    expected = sum(map(estimate_tokens, texts))
    # There is no answer, so nobody has to know what one costs.
    stake = stake_of(
        replace(model, output_price=Decimal(0)),
        prompt_tokens=most,
        expected_prompt_tokens=expected,
        asked_output_tokens=None,
    )
    return replace(stake, output_tokens=0, least_output_tokens=0, expected_tokens=expected)
