"""From a prompt's version and a caller's variables to the messages that a model gets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from assistant.domain.completion import Message, MessageRole
from assistant.domain.prompt import PromptPartial, PromptVariable, PromptVersion, RenderedPrompt
from assistant.domain.tokens import estimate_tokens
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput
from assistant.services.bounded_cache import BoundedCache
from assistant.services.mustache import Template
from assistant.services.mustache_reading import (
    MAX_TAGS,
    MAX_TEMPLATE_CHARACTERS,
    read_partial_names,
)
from assistant.services.prompt_variables import Variables, clipped, find_variable_problems

MAX_PROBLEMS = 100
"""What is said at once about one version; nobody mends more before trying again."""

_TEMPLATE = ("template",)
_SYSTEM_TEMPLATE = ("systemTemplate",)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same for every rendering of ``version``."""

    version: PromptVersion
    templates: tuple[tuple[MessageRole, Template], ...]
    variables: Variables


# By the identity of the version, which costs nothing however much it includes: it stays what it
# is while its entry holds it, and callers of one version share one object (services/prompts.py).
_prepared: BoundedCache[int, _Prepared] = BoundedCache(1_000)


def render_prompt(version: PromptVersion, given: JsonObject | None) -> RenderedPrompt:
    """What a model would get for ``version`` with the caller's variables ``given``.

    The system template comes first as a SYSTEM message, left out where it renders to nothing.
    Variables are text wherever they stand: their braces are not rendered again.

    Raises: BadUserInput where the variables do not fit, or leave nothing to say.
    """
    prepared = _prepared.get(id(version)) or _prepare(version)
    values = prepared.variables.bind(given)
    rendered = ((role, template.render(values)) for role, template in prepared.templates)
    messages = tuple(Message(role, text) for role, text in rendered if text.strip())
    if not messages or messages[-1].role is not MessageRole.USER:
        raise BadUserInput(
            "With these variables the prompt is empty; give the ones it prints.",
            path=("variables",),
        )
    return RenderedPrompt(version, messages, version.task, values, estimate_tokens(messages))


def _prepare(version: PromptVersion) -> _Prepared:
    template = Template.parse(version.template, _TEMPLATE, version.partials)
    templates = [(MessageRole.USER, template)]
    if version.system_template is not None:
        system = Template.parse(version.system_template, _SYSTEM_TEMPLATE, version.partials)
        templates.insert(0, (MessageRole.SYSTEM, system))
    printed = frozenset().union(*(template.scalars for _, template in templates))
    prepared = _Prepared(version, tuple(templates), Variables.of(version.variables, printed))
    _prepared.put(id(version), prepared)
    return prepared


def partial_names(template: str, system_template: str | None) -> tuple[str, ...]:
    """The texts that the templates include, as they call them, in order of first use.

    Up to the first mistake in each: ``check_templates`` says what that is.
    """
    sources = [template] if system_template is None else [template, system_template]
    return tuple(dict.fromkeys(name for source in sources for name in read_partial_names(source)))


def included_as(used_as: str, name: str, version: PromptVersion) -> PromptPartial:
    """The prompt ``name`` in ``version``, to be included as ``used_as``: its template alone.

    What only its system template includes is left behind: nobody would ever read it, and in a
    chain of such prompts it could double with each.
    """
    wanted = set(partial_names(version.template, None))
    partials = tuple(partial for partial in version.partials if partial.used_as in wanted)
    return PromptPartial(used_as, name, version.version, version.template, partials)


def check_templates(
    template: str,
    system_template: str | None,
    variables: Sequence[PromptVariable],
    partials: Sequence[PromptPartial] = (),
) -> None:
    """Let a new version pass whose templates are well-formed and use what is declared, all of it.

    ``partials`` are the texts that they include. A name that is used in sections only may be a
    field of the section's item: it need not be declared, and counts as used where it is.

    Raises: BadUserInput with everything that is wrong; for templates with line and column.
    """
    problems = [*find_variable_problems(variables), *_oversized(partials)]
    sources = [(template, _TEMPLATE)]
    if system_template is not None:
        sources.append((system_template, _SYSTEM_TEMPLATE))
    declared = {variable.name for variable in variables}
    used: set[str] = set()
    for source, path in sources:
        try:
            read = Template.parse(source, path, partials)
        except BadUserInput as problem:
            # What an unreadable template uses is not known: then nothing is called unused.
            problems.append(problem)
            used |= declared
        else:
            problems.extend(_misused_names(read, declared, path))
            used |= read.variables.keys() | read.inner_names
    problems.extend(_unused(variables, used))
    if problems:
        raise BadUserInput.joined(problems[:MAX_PROBLEMS])


def _misused_names(
    template: Template, declared: Collection[str], path: tuple[str, ...]
) -> Iterable[BadUserInput]:
    for name, place in template.variables.items():
        if name not in declared:
            yield BadUserInput(
                f"{place}: {clipped(name)} is not declared in variables; declare it, or correct "
                "the name.",
                path=path,
            )
    if template.item is not None:
        yield BadUserInput(
            f"{template.item}: {{{{.}}}} is the current item of a section; here it is in none.",
            path=path,
        )


def _unused(variables: Sequence[PromptVariable], used: Collection[str]) -> Iterable[BadUserInput]:
    for index, variable in enumerate(variables):
        if variable.name not in used:
            yield BadUserInput(
                f"The variable {clipped(variable.name)} is declared and used in no template; "
                "use it or remove it.",
                path=("variables", str(index), "name"),
            )


def _oversized(partials: Sequence[PromptPartial]) -> Iterable[BadUserInput]:
    """Says it where the included texts are too much to keep, those included for nothing as well.

    In memory they may share what they include; stored, each holds its own.
    """
    waiting = list(partials)
    texts = characters = 0
    while waiting:
        partial = waiting.pop()
        texts += 1
        characters += len(partial.template)
        if texts > 2 * MAX_TAGS or characters > 2 * MAX_TEMPLATE_CHARACTERS:
            yield BadUserInput(
                f"The included {partial.used_as} is one of more than {2 * MAX_TAGS:,} texts, or of "
                f"more than {2 * MAX_TEMPLATE_CHARACTERS:,} characters, that are included in all; "
                "include less.",
                path=_TEMPLATE,
            )
            return
        waiting.extend(partial.partials)
