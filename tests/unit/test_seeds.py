"""The shipped catalog, and what is said of a file that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assistant.domain.model import ModelCapability, TaskType
from assistant.services.seeds import SEEDS, SeedError, read_seeds


def test_the_shipped_prompts_are_there_each_for_its_task() -> None:
    assert {prompt.name: prompt.task for prompt in read_seeds().prompts} == {
        "answer-from-context": TaskType.QUESTION_ANSWERING,
        "classify-sentiment": TaskType.CLASSIFICATION,
        "extract-keywords": TaskType.KEYWORD_EXTRACTION,
        "generate-title": TaskType.TITLE_GENERATION,
        "summarize-text": TaskType.SUMMARIZATION,
    }


def test_the_shipped_models_have_the_windows_of_their_cards_and_cost_nothing() -> None:
    models = read_seeds().models
    assert {model.id: model.context_window for model in models} == {
        "ollama/llama3.2:3b": 131_072,
        "ollama/mistral:7b": 32_768,
        "ollama/gemma:7b": 8_192,
        "builtin/extractive": 262_144,
    }
    assert all(ModelCapability.CHAT in model.capabilities for model in models)
    assert {model.input_price + model.output_price for model in models} == {0}


def test_quality_falls_back_to_fast_and_every_member_is_a_model() -> None:
    seeds = read_seeds()
    groups = {group.name: group for group in seeds.groups}
    assert {name: group.fallback_group for name, group in groups.items()} == {
        "fast": None,
        "quality": "fast",
    }
    models = {model.id for model in seeds.models}
    assert all(set(group.models) <= models for group in seeds.groups)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("prompts/mine.yaml", "name: [mine\ntask: x", "cannot be read"),
        ("prompts/mine.yaml", "name: mine\ncategory: c\ndescription: d", "template"),
        (
            "prompts/mine.yaml",
            "{name: mine, category: c, description: d, template: 'Hi {{you}}'}",
            "you",
        ),
        ("prompts/mine.yaml", "{name: mine, color: red}", "color"),
        ("models.yaml", "providers: []", "models"),
        ("models.yaml", "{models: [{provider: x}], providers: [], groups: []}", "models.0.name"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong_in_one_line(
    tmp_path: Path, file: str, text: str, says: str
) -> None:
    shutil.copytree(SEEDS, tmp_path / "seeds")
    (tmp_path / "seeds" / file).write_text(text)

    with pytest.raises(SeedError) as refused:
        read_seeds(tmp_path / "seeds")

    assert file.rpartition("/")[2] in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
