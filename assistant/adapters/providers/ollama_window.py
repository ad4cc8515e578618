"""How much context to ask Ollama for, and what to say when a prompt does not fit.

Source: ``truncate`` and ``num_ctx`` in https://github.com/ollama/ollama/blob/main/docs/api.md and
https://github.com/ollama/ollama/blob/main/docs/context-length.mdx
"""

from __future__ import annotations

from assistant.adapters.providers.ollama_refusal import Refusal
from assistant.domain.ports import ProviderCall
from assistant.errors import ContextLengthExceeded

# The window that a server gives a model unasked, below 24 GiB of video memory; older ones 2048.
_DEFAULT_WINDOW = 4096
_OLD_DEFAULT_WINDOW = 2048
# Kept free in the window for an answer whose length nobody has bounded.
_ANSWER_TOKENS = 1024
# A prompt that was cut is called so only where the estimate is this much above the count.
_SURELY_MORE = 1.25


def num_ctx_for(call: ProviderCall, prompt_tokens: int) -> int | None:
    """The window to ask for; None where the default is enough.

    Another window makes the server load the model again, so they come in powers of two.
    """
    needed = prompt_tokens + (call.parameters.max_tokens or _ANSWER_TOKENS)
    if needed <= _DEFAULT_WINDOW:
        return None
    return min(_power_of_two(needed), call.context_window)


def wider_num_ctx(call: ProviderCall, num_ctx: int | None, refusal: Refusal) -> int | None:
    """A window in which the refused prompt fits; None where the model has none."""
    window = refusal.window or num_ctx or _DEFAULT_WINDOW
    if refusal.prompt_tokens is None:
        wider = _power_of_two(window + 1)
    elif refusal.prompt_tokens >= call.context_window:
        return None
    else:
        answer_tokens = call.parameters.max_tokens or _ANSWER_TOKENS
        wider = _power_of_two(refusal.prompt_tokens + answer_tokens)
    wider = min(wider, call.context_window)
    return wider if wider > window else None


def _power_of_two(at_least: int) -> int:
    return 1 << (at_least - 1).bit_length()


def overflow_error(
    refusal: Refusal, call: ProviderCall, num_ctx: int | None
) -> ContextLengthExceeded:
    """The error for a prompt that the server has refused as too long."""
    window = refusal.window or num_ctx or call.context_window
    if refusal.prompt_tokens is None:
        length = f"it is estimated at {call.estimated_tokens:,} tokens"
    else:
        length = f"it has {refusal.prompt_tokens:,} tokens"
    return ContextLengthExceeded(
        f"The prompt does not fit {call.model}: {length}, and the context window holds "
        f"{window:,}. Shorten it, or use a model with a larger window."
    )


def check_prompt_was_read(
    call: ProviderCall, num_ctx: int | None, prompt_tokens: int | None
) -> None:
    """Raises ContextLengthExceeded where a server that ignores ``truncate`` has cut the prompt.

    Servers before 0.12.6 cut it to exactly the window. A count below the estimate alone proves
    nothing: estimates are rough, and some servers leave cached tokens out of the count.
    """
    if prompt_tokens is None:
        return
    if num_ctx is not None:
        is_cut = prompt_tokens >= num_ctx
    else:
        is_cut = (
            prompt_tokens in (_OLD_DEFAULT_WINDOW, _DEFAULT_WINDOW)
            and call.estimated_tokens > _SURELY_MORE * prompt_tokens
        )
    if is_cut:
        raise ContextLengthExceeded(
            f"Ollama read only {prompt_tokens:,} tokens of the prompt, which is estimated at "
            f"{call.estimated_tokens:,}: the rest did not fit the context window of {call.model}. "
            "Shorten it, or update Ollama."
        )
