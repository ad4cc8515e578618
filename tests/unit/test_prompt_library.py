"""The shipped prompts: what they promise each reader, and that their tests tell answers apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assistant.domain.completion import InterruptionPolicy, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptVariable, RenderedPrompt, VariableType
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import JudgedBy, PromptTestDraft, SimilarTo
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import SchemaViolated
from assistant.services.prompt_assertions import check_answer
from assistant.services.prompt_file_partials import version_of
from assistant.services.prompt_lint import lint
from assistant.services.rendering import render_prompt
from assistant.services.response_schema import ResponseSchema
from tests.unit.prompt_library import (
    ANSWERS,
    FILES,
    IDS,
    OF_THE_BUILTIN,
    PROMPTS,
    Answered,
    completion_of,
)

LIBRARY = Path(__file__).parents[2] / "docs/prompt-library.md"
CATEGORIES = {"analysis", "code", "data", "evaluation", "operations", "retrieval", "writing"}

TYPED = {name: prompt for name, prompt in PROMPTS.items() if name not in OF_THE_BUILTIN}
STRUCTURED = {
    name: ResponseSchema.parse(document.prompt.version.response_schema)
    for name, document in PROMPTS.items()
    if document.prompt.version.response_schema is not None
}

every_prompt = pytest.mark.parametrize("document", PROMPTS.values(), ids=PROMPTS.keys())
every_typed_prompt = pytest.mark.parametrize("document", TYPED.values(), ids=TYPED.keys())
every_schema = pytest.mark.parametrize("schema", STRUCTURED.values(), ids=STRUCTURED.keys())
every_test = pytest.mark.parametrize("answered", ANSWERS, ids=IDS)


def rendered(document: PromptDocument, test: PromptTestDraft) -> RenderedPrompt:
    return render_prompt(version_of(document.prompt.version, ()), test.variables)


def messages(document: PromptDocument, test: PromptTestDraft) -> tuple[str, str]:
    """What the system says and what the user says."""
    system, user = rendered(document, test).messages
    assert (system.role, user.role) == (MessageRole.SYSTEM, MessageRole.USER)
    return system.content, user.content


# ------------------------------------------------------------------------- what is there


def test_the_library_has_these_prompts_each_for_its_task() -> None:
    assert {name: document.prompt.version.task for name, document in PROMPTS.items()} == {
        "answer-from-context": TaskType.QUESTION_ANSWERING,
        "classify-sentiment": TaskType.CLASSIFICATION,
        "code-review": TaskType.CODE_REVIEW,
        "document-summarize": TaskType.SUMMARIZATION,
        "enrich-metadata": TaskType.EXTRACTION,
        "error-diagnosis": TaskType.ERROR_DIAGNOSIS,
        "expand-queries": TaskType.REWRITING,
        "extract-entities": TaskType.EXTRACTION,
        "extract-keywords": TaskType.KEYWORD_EXTRACTION,
        "field-validation": TaskType.DATA_INTERPRETATION,
        "generate-title": TaskType.TITLE_GENERATION,
        "judge": TaskType.REASONING,
        "natural-language-query": TaskType.CODE_GENERATION,
        "object-type-suggestion": TaskType.DATA_INTERPRETATION,
        "rag-answer": TaskType.QUESTION_ANSWERING,
        "recovery-plan": TaskType.WORKFLOW_GENERATION,
        "relationship-validation": TaskType.REASONING,
        "rerank": TaskType.REASONING,
        "rewrite-tone": TaskType.REWRITING,
        "summarize-text": TaskType.SUMMARIZATION,
        "translate": TaskType.REWRITING,
    }


def test_the_linter_finds_nothing_to_say() -> None:
    assert lint(FILES) == []


@every_prompt
def test_a_prompt_says_what_it_is_for_and_how_it_is_to_be_answered(
    document: PromptDocument,
) -> None:
    prompt, version = document.prompt, document.prompt.version
    assert prompt.description is not None and prompt.description.endswith(".")
    assert prompt.category in CATEGORIES
    assert 2 <= len(prompt.tags) <= 4
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", tag) for tag in prompt.tags)
    assert version.system_template is not None
    assert version.model is None  # routing chooses
    assert version.parameters.temperature is not None
    assert version.parameters.max_tokens is not None
    assert all(one.description for one in version.variables)


@every_typed_prompt
def test_a_variable_has_a_type_and_a_required_one_no_default(document: PromptDocument) -> None:
    for variable in document.prompt.version.variables:
        assert variable.type is not VariableType.ANY
        assert not (variable.is_required and variable.default_value is not None)


# ------------------------------------------------------------------------- what is sent


@every_typed_prompt
def test_the_system_says_the_same_whatever_the_variables(document: PromptDocument) -> None:
    assert len({messages(document, test)[0] for test in document.tests}) == 1


@every_test
def test_everything_that_a_caller_gives_is_in_what_the_user_says(answered: Answered) -> None:
    _, said = messages(PROMPTS[answered.prompt], answered.test)
    for leaf in leaves(answered.test.variables):
        in_json = json.dumps(leaf, ensure_ascii=False)
        assert str(leaf) in said or in_json.strip('"') in said


@every_typed_prompt
def test_data_stands_between_tags_that_the_system_calls_data_and_before_the_task(
    document: PromptDocument,
) -> None:
    system, said = messages(document, document.tests[0])
    tags = re.findall(r"^</([a-z]+)>$", said, re.MULTILINE)
    assert tags
    assert not said.rstrip().endswith(f"</{tags[-1]}>")
    for tag in {"document", "passages", "text", "query", "code", "error", "value"} & {*tags}:
        assert f"between the first <{tag}> and the last </{tag}>" in system


def leaves(value: JsonValue) -> Iterator[str | int | float]:
    match value:
        case bool() | None:
            return
        case str() | int() | float():
            if value:  # an empty text is everywhere, and 0 stands for "none"
                yield value
        case _:
            for item in value.values() if isinstance(value, Mapping) else value:
                yield from leaves(item)


# ------------------------------------------------------------------ what is to come back


@every_prompt
def test_who_asks_for_json_has_a_schema_and_starts_over_when_interrupted(
    document: PromptDocument,
) -> None:
    version = document.prompt.version
    asks = "Answer with one JSON object and nothing else" in (version.system_template or "")
    assert asks == (version.response_schema is not None)
    assert asks == version.template.endswith("Answer with the JSON object alone.")
    assert asks == (version.on_interruption is InterruptionPolicy.RESTART)


@every_schema
def test_a_schema_says_only_what_every_wire_format_takes(schema: ResponseSchema) -> None:
    assert schema.document["type"] == "object"
    for part in subschemas(schema.document):
        assert part.keys() <= {
            *("type", "properties", "required", "additionalProperties", "items", "enum"),
            *("anyOf", "description"),
        }
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == [*part["properties"]]  # in the order they are written in
        if part.get("type") == "array":
            assert "items" in part


def subschemas(schema: JsonObject) -> Iterator[dict[str, Any]]:
    yield dict(schema)
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for part in [*below, *([schema["items"]] if "items" in schema else [])]:
        yield from subschemas(part)


@pytest.mark.parametrize("name", STRUCTURED)
def test_every_field_and_every_value_of_an_enum_is_named_to_models_that_see_no_schema(
    name: str,
) -> None:
    system = PROMPTS[name].prompt.version.system_template or ""
    for part in subschemas(STRUCTURED[name].document):
        for word in (*part.get("properties", ()), *part.get("enum", ())):
            assert re.search(rf"\b{word}\b", system), word


@every_test
def test_a_good_answer_satisfies_the_schema(answered: Answered) -> None:
    schema = STRUCTURED.get(answered.prompt)
    if schema is not None:
        schema.check(answered.good)


@pytest.mark.parametrize("name", STRUCTURED)
def test_an_answer_with_a_field_missing_or_too_many_or_of_another_kind_does_not(name: str) -> None:
    good: dict[str, JsonValue] = json.loads(next(a.good for a in ANSWERS if a.prompt == name))
    for field, value in good.items():
        others = {other: good[other] for other in good if other != field}
        wrong = {"text": value} if isinstance(value, list) else [value]
        for answer in (others, others | {field: wrong}, good | {"remark": "I hope this helps!"}):
            with pytest.raises(SchemaViolated):
                STRUCTURED[name].check(json.dumps(answer))
    with pytest.raises(SchemaViolated):
        STRUCTURED[name].check(f"Here is the JSON:\n{json.dumps(good)}")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("code-review", {"findings": [{"line": 3, "problem": "x"}], "summary": "Fine."}),
        ("field-validation", {"valid": False, "reason": "The end is before the start."}),
        ("judge", {"reason": "All demands are met.", "passes": "yes"}),
        ("rag-answer", {"status": "answered", "answer": "28 days [2].", "citations": ["2"]}),
        ("rerank", {"ranking": [{"number": 2, "grade": 0.9}]}),
        ("rerank", {"ranking": [2, 1, 3]}),
        ("extract-entities", {"entities": {"PERSON": ["Ana Ruiz"]}}),
        ("expand-queries", {"variants": [{"query": "paid time off"}]}),
    ],
)
def test_an_answer_of_another_form_does_not_satisfy_the_schema(
    name: str, answer: dict[str, JsonValue]
) -> None:
    with pytest.raises(SchemaViolated):
        STRUCTURED[name].check(json.dumps(answer))


# ------------------------------------------------------------------------- what is tested


@every_prompt
def test_a_prompt_has_tests_that_ask_different_things(document: PromptDocument) -> None:
    assert len(document.tests) >= 2
    asked = {json.dumps(test.variables, sort_keys=True) for test in document.tests}
    assert len(asked) == len(document.tests)


@every_test
def test_a_good_answer_passes_its_test_and_a_bad_one_fails(answered: Answered) -> None:
    plain = [one for one in answered.test.assertions if not isinstance(one, JudgedBy | SimilarTo)]
    good, bad = (
        [check_answer(one, completion_of(text)) for one in plain]
        for text in (answered.good, answered.bad)
    )
    assert [result.detail for result in good if not result.passed] == []
    assert any(not result.passed for result in bad)


# --------------------------------------------------------------------------- what is told


def shown(variable: PromptVariable) -> str:
    """A variable as the table of the library has it."""
    kind = "" if variable.type is VariableType.ANY else f" {variable.type}"
    if variable.is_required:
        return f"`{variable.name}`{kind}"
    default = variable.default_value
    if default is None:
        return f"`{variable.name}`{kind}?"
    return f"`{variable.name}`{kind} = {default if len(default) <= 60 else '…'}"


def row(document: PromptDocument) -> str:
    version = document.prompt.version
    schema = version.response_schema
    fields = ", ".join(f"`{name}`" for name in schema["properties"]) if schema else "text"
    variables = "; ".join(map(shown, version.variables))
    return f"| `{document.prompt.name}` | {document.prompt.description} | {variables} | {fields} |"


def table() -> str:
    """The table of the library, as the files have it."""
    parts = []
    for category in sorted(CATEGORIES):
        rows = [row(one) for one in PROMPTS.values() if one.prompt.category == category]
        head = f"### {category.capitalize()}\n\n| prompt | what for | variables | answer |"
        parts.append("\n".join([head, "| --- | --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def test_the_page_of_the_library_says_what_the_files_say() -> None:
    told = LIBRARY.read_text().partition("<!-- table -->\n\n")[2].partition("\n\n<!-- end")[0]
    assert told == table()
