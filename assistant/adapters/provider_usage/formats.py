"""Whose file it is, and what it says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from assistant.adapters.provider_usage import anthropic, openai
from assistant.adapters.provider_usage.contents import Pages, Table, read_contents
from assistant.domain.provider_usage import ReportedUsage
from assistant.errors import BadUserInput


class UsageFormat(StrEnum):
    """Whose form a file has; hosts that speak a vendor's protocol may write its files, too."""

    AUTO = "auto"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


def read_reported_usage(path: Path, format_: UsageFormat = UsageFormat.AUTO) -> ReportedUsage:
    """What a provider's file says.

    Raises: BadUserInput, which names the file and what is wrong with it.
    """
    try:
        contents = read_contents(path)
        found = _format_of(contents)
        if format_ not in {UsageFormat.AUTO, found}:
            raise BadUserInput(f"is of {found}, as it looks, and not of {format_}")
        if isinstance(contents, Table):
            if found is UsageFormat.OPENAI:
                return openai.read_openai_table(contents)
            return anthropic.read_anthropic_table(contents)
        if found is UsageFormat.OPENAI:
            return openai.read_openai_pages(contents)
        return anthropic.read_anthropic_pages(contents)
    except BadUserInput as error:
        raise BadUserInput(f"{path}: {error.message}") from error


def _format_of(contents: Pages | Table) -> UsageFormat:
    if isinstance(contents, Table):
        if contents.columns >= openai.USAGE_COLUMNS or contents.columns >= openai.COST_COLUMNS:
            return UsageFormat.OPENAI
        if contents.columns >= anthropic.USAGE_COLUMNS:
            return UsageFormat.ANTHROPIC
    else:
        buckets = [
            bucket
            for page in contents
            if isinstance(data := page.get("data"), list)
            for bucket in data
            if isinstance(bucket, dict)
        ]
        if any("start_time" in bucket for bucket in buckets):
            return UsageFormat.OPENAI
        if any("starting_at" in bucket for bucket in buckets):
            return UsageFormat.ANTHROPIC
        if contents and not buckets:
            is_openai = any(page.get("object") == "page" for page in contents)
            return UsageFormat.OPENAI if is_openai else UsageFormat.ANTHROPIC
    raise BadUserInput(
        "is no usage file of OpenAI or Anthropic: neither a page of their APIs nor a table of their "
        "dashboards. The columns and fields that are needed are in docs/usage.md."
    )
