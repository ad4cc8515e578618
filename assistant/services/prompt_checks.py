"""What may be written into the prompt catalog, and what is said of anything else.

Checks raise BadUserInput, with the path of what is wrong inside the input, and look for
everything that is wrong before they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial

from assistant.domain.cache import CacheSettings
from assistant.domain.ports import ModelCatalog
from assistant.domain.prompt import PromptPartial, VersionDraft
from assistant.domain.rollout import POINTS, RolloutGuard
from assistant.domain.values import check_json, check_text
from assistant.errors import BadUserInput
from assistant.services.catalog_checks import check_name, check_target
from assistant.services.prompt_variables import check_variable_name
from assistant.services.rendering import check_templates
from assistant.services.response_schema import ResponseSchema

MAX_TAGS = 20
MAX_VARIABLES = 100
MAX_SHARES = 10
MAX_SAMPLES = 1_000_000
MAX_COST_MARGIN = 1_000

_COMMENTS = re.compile(r"\{\{![^}]*\}\}")
_MAX_LABEL = 64
_MAX_PROSE = 2_000


def check_prompt_name(name: str) -> None:
    """Let through what requests can name a prompt by: ``[a-z0-9-]{1,64}``."""
    check_name(name, "a prompt")


def check_description(description: str | None) -> None:
    _check_prose(description, "description")


def check_category(category: str) -> None:
    _check_label(category, ("category",))


def check_tags(tags: Sequence[str]) -> None:
    if len(tags) > MAX_TAGS:
        raise BadUserInput(f"A prompt has at most {MAX_TAGS} tags.", path=("tags",))
    check_all(*(partial(_check_tag, tags, index) for index in range(len(tags))))


def check_cache(settings: CacheSettings) -> None:
    """Let through how answers can be kept. Variables need not be those of any version."""
    try:
        check_all(
            settings.check,
            *(
                partial(_check_cache_variable, settings.variables, index)
                for index in range(min(len(settings.variables), MAX_VARIABLES))
            ),
        )
    except BadUserInput as problem:
        raise problem.within("cache") from None


def check_reason(reason: str | None, field: str = "reason") -> None:
    """Let a reason pass that can be kept; ``field`` is where it was given."""
    _check_prose(reason, field)


def check_version(
    draft: VersionDraft, partials: tuple[PromptPartial, ...], catalog: ModelCatalog
) -> None:
    """Let a wording pass that can be rendered, routed and checked."""
    check_all(
        lambda: _check_says_something(draft),
        lambda: _check_variables(draft),
        lambda: check_templates(draft.template, draft.system_template, draft.variables, partials),
        draft.parameters.check,
        lambda: _check_schema(draft),
        lambda: _check_model(draft, catalog),
        lambda: _check_prose(draft.change_note, "changeNote"),
    )


def check_all(*checks: Callable[[], None]) -> None:
    """Run every check; raise BadUserInput with everything that they found wrong."""
    problems: list[BadUserInput] = []
    for check in checks:
        try:
            check()
        except BadUserInput as problem:
            problems.append(problem)
    if problems:
        raise BadUserInput.joined(problems)


def check_shares(shares: Sequence[tuple[int, int]], published: int, known: Collection[int]) -> None:
    """Let a split of all callers between versions pass, the published one among them."""
    if not 1 <= len(shares) <= MAX_SHARES:
        raise BadUserInput(f"Give 1 to {MAX_SHARES} shares.", path=("shares",))
    check_all(
        *(partial(_check_share, shares, index, known) for index in range(len(shares))),
        lambda: _check_whole(shares, published),
    )


def check_guard(guard: RolloutGuard) -> None:
    """Let margins pass that could ever be reached."""
    check_all(
        lambda: _check_margin(guard.error_rate_margin, 1, "errorRateMargin"),
        lambda: _check_margin(guard.cost_margin, MAX_COST_MARGIN, "costMargin"),
        lambda: _check_samples(guard.min_samples),
    )


def _check_tag(tags: Sequence[str], index: int) -> None:
    path = ("tags", str(index))
    _check_label(tags[index], path)
    if tags[index] in tags[:index]:
        raise BadUserInput(f"The tag {tags[index]} is given twice.", path=path)


def _check_cache_variable(variables: Sequence[str], index: int) -> None:
    path = ("variables", str(index))
    check_variable_name(variables[index], path)
    if variables[index] in variables[:index]:
        raise BadUserInput(f"The variable {variables[index]} is given twice.", path=path)


def _check_share(shares: Sequence[tuple[int, int]], index: int, known: Collection[int]) -> None:
    path = ("shares", str(index))
    number, weight = shares[index]
    if number not in known:
        raise BadUserInput(
            f"There is no version {number}. `versions` of the prompt lists them.",
            path=(*path, "version"),
        )
    if any(number == earlier for earlier, _ in shares[:index]):
        raise BadUserInput(
            f"Version {number} has two shares. Give it one, their sum.", path=(*path, "version")
        )
    if not 1 <= weight <= POINTS:
        raise BadUserInput("A weight is 1 to 100 percent.", path=(*path, "weight"))


def _check_whole(shares: Sequence[tuple[int, int]], published: int) -> None:
    total = sum(weight for _, weight in shares)
    if total != POINTS:
        raise BadUserInput(
            f"The weights add up to {total}; they must add up to 100.", path=("shares",)
        )
    if all(number != published for number, _ in shares):
        raise BadUserInput(
            f"Version {published} is published and must be among the shares: the others are "
            "compared with it. To be done with it, publish another one.",
            path=("shares",),
        )


def _check_samples(samples: int) -> None:
    if not 1 <= samples <= MAX_SAMPLES:
        raise BadUserInput(
            f"minSamples must be 1 to {MAX_SAMPLES:,}.", path=("guard", "minSamples")
        )


def _check_margin(margin: float | None, most: int, name: str) -> None:
    # NaN compares false with everything, so "not inside" refuses it too.
    if margin is not None and not 0 <= margin <= most:
        raise BadUserInput(
            f"{name} must be 0 to {most:,}, as in 0.05 for five percent; null does not watch it.",
            path=("guard", name),
        )


def _check_says_something(draft: VersionDraft) -> None:
    if not _COMMENTS.sub("", draft.template).strip():
        raise BadUserInput(
            "template must not be empty: it is the message that a model answers.",
            path=("template",),
        )


def _check_variables(draft: VersionDraft) -> None:
    if len(draft.variables) > MAX_VARIABLES:
        raise BadUserInput(
            f"A prompt takes at most {MAX_VARIABLES} variables.", path=("variables",)
        )
    # Their names and defaults are looked at with the templates.
    check_all(
        *(
            partial(check_text, variable.description, ("variables", str(index), "description"))
            for index, variable in enumerate(draft.variables)
            if variable.description is not None
        )
    )


def _check_schema(draft: VersionDraft) -> None:
    if draft.response_schema is not None:
        check_json(draft.response_schema, ("responseSchema",))
        ResponseSchema.parse(draft.response_schema)


def _check_model(draft: VersionDraft, catalog: ModelCatalog) -> None:
    if draft.model is not None:
        check_target(draft.model, catalog, ("model",))


def _check_prose(text: str | None, name: str) -> None:
    if text is None:
        return
    if len(text) > _MAX_PROSE:
        raise BadUserInput(f"{name} has at most {_MAX_PROSE:,} characters.", path=(name,))
    check_text(text, (name,))


def _check_label(label: str, path: tuple[str, ...]) -> None:
    if not 1 <= len(label) <= _MAX_LABEL or label != label.strip():
        raise BadUserInput(
            f"{path[0]} must be 1 to {_MAX_LABEL} characters without spaces around them.", path=path
        )
    check_text(label, path)
