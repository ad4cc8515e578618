"""What rendering a prompt costs: texts of 4 kB, in microseconds of one core.

``python -m tests.bench.rendering``; the best of five rounds. "Read" is the first time of a
version: its templates and what they include are parsed. "Text" fills in the values alone;
"prompt" is all that a completion waits for, from the caller's variables to the messages: names,
types and characters of the values, both templates, and the estimate of tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from assistant.domain.completion import GenerationParameters
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    PromptPartial,
    PromptVariable,
    PromptVersion,
    PromptVersionStatus,
)
from assistant.domain.values import JsonObject
from assistant.services.mustache import Template
from assistant.services.rendering import render_prompt

ROUNDS = 5
CALLS = 1_000
CHARACTERS = 4_096
PROSE = "Answer briefly, in the language of the question, and add nothing that is not asked for. "


@dataclass(frozen=True, slots=True)
class Case:
    """A template that becomes a text of about 4 kB, and the values that it becomes it with."""

    kind: str
    template: str
    values: JsonObject
    partials: tuple[PromptPartial, ...] = ()

    def version(self) -> PromptVersion:
        return PromptVersion(
            id=UUID(int=1),
            prompt_id=UUID(int=2),
            version=1,
            status=PromptVersionStatus.PUBLISHED,
            template=self.template,
            system_template=PROSE,
            variables=tuple(map(PromptVariable, self.values)),
            task=TaskType.GENERAL,
            model=None,
            parameters=GenerationParameters(),
            response_schema=None,
            change_note=None,
            created_by=None,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            published_at=None,
            partials=self.partials,
        )


def cases() -> list[Case]:
    names = [f"variable_{number}" for number in range(10)]
    values = dict.fromkeys(names, "forty characters of what a caller wrote ")
    tags = [f"- {{{{{name}}}}}\n" for name in names]
    long = CHARACTERS - sum(map(len, values.values())) - 3 * len(tags)
    plain = filled(tags, long)
    items = [
        {"title": f"Title {number}", "text": PROSE, "tags": ["a", "b", "c"], "note": None}
        for number in range(30)
    ]
    listed = (
        "{{#items}}\n# {{title}}\n{{text}}\n{{#tags}}\n- {{.}}\n{{/tags}}\n"
        "{{#note}}Note: {{note}}{{/note}}{{^note}}No note.{{/note}}\n{{/items}}\n"
    )
    texts = [filled(tags[number : number + 2], long // 5) for number in range(0, 10, 2)]
    partials = tuple(
        PromptPartial(f"part-{number}", f"part-{number}", 1, text)
        for number, text in enumerate(texts)
    )
    including = "".join(f"{{{{> {partial.used_as}}}}}\n" for partial in partials)
    return [
        Case("10 variables", plain, values),
        Case("a list of 30", listed, {"items": items}),
        Case("5 included texts", including, values, partials),
    ]


def filled(tags: list[str], characters: int) -> str:
    """``tags`` with prose between them, ``characters`` of it."""
    prose = (PROSE * (characters // len(PROSE) + 1))[:characters]
    step = characters // len(tags)
    return "".join(
        prose[number * step : (number + 1) * step] + tag for number, tag in enumerate(tags)
    )


def cost_us(call: Callable[[], object], calls: int = CALLS) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append(time.perf_counter() - started)
    return 1e6 * min(rounds) / calls


def main() -> None:
    print(f"{'':18}{'characters':>12}{'read':>10}{'text':>10}{'prompt':>10}")
    for case in cases():
        version = case.version()
        template = Template.parse(case.template, partials=case.partials)
        read = cost_us(lambda c=case: Template.parse(c.template, partials=c.partials), CALLS // 10)
        text = cost_us(lambda c=case, t=template: t.render(c.values))
        prompt = cost_us(lambda c=case, v=version: render_prompt(v, c.values))
        length = len(render_prompt(version, case.values).messages[-1].content)
        print(f"{case.kind:18}{length:12,}{read:7.0f} us{text:7.0f} us{prompt:7.0f} us")


if __name__ == "__main__":
    main()
