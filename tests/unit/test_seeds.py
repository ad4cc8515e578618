"""The shipped catalog, and what is said of a file that is wrong."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from assistant.domain.model import ModelCapability, ProviderKind
from assistant.services.seeds import SEEDS, SeedError, read_seeds


def test_every_file_of_a_prompt_is_seeded_under_its_own_name() -> None:
    files = {path.stem for path in (SEEDS / "prompts").glob("*.yaml")}
    assert {document.prompt.name for document in read_seeds().prompts} == files


def test_the_shipped_models_have_the_windows_of_their_cards() -> None:
    assert {model.id: model.context_window for model in read_seeds().models} == {
        "ollama/llama3.2:3b": 131_072,
        "ollama/mistral:7b": 32_768,
        "ollama/gemma:7b": 8_192,
        "openai/gpt-4o-mini": 128_000,
        "openai/gpt-3.5-turbo": 16_385,
        "openai/text-embedding-3-small": 8_191,
        "anthropic/claude-haiku-4-5": 200_000,
        "builtin/extractive": 262_144,
        "builtin/all-minilm-l6-v2": 256,
    }


def test_the_shipped_prices_are_those_of_the_vendors_and_nothing_at_home() -> None:
    seeds = read_seeds()
    local = {provider.name for provider in seeds.providers if provider.is_local}
    prices = {
        model.id: (model.input_price, model.output_price, model.cached_input_price)
        for model in seeds.models
        if model.provider not in local
    }
    assert prices == {
        "openai/gpt-4o-mini": (Decimal("0.15"), Decimal("0.60"), Decimal("0.075")),
        "openai/gpt-3.5-turbo": (Decimal("0.50"), Decimal("1.50"), None),
        "openai/text-embedding-3-small": (Decimal("0.02"), Decimal(0), None),
        "anthropic/claude-haiku-4-5": (Decimal(1), Decimal(5), Decimal("0.10")),
    }
    free = [model for model in seeds.models if model.provider in local]
    assert {model.input_price + model.output_price for model in free} == {0}


def test_the_shipped_models_are_preferred_local_first_then_the_cheapest_then_the_builtin() -> None:
    chat = [model for model in read_seeds().models if ModelCapability.CHAT in model.capabilities]
    assert [model.id for model in sorted(chat, key=lambda model: model.preference)] == [
        "ollama/llama3.2:3b",
        "ollama/mistral:7b",
        "ollama/gemma:7b",
        "openai/gpt-4o-mini",
        "openai/gpt-3.5-turbo",
        "anthropic/claude-haiku-4-5",
        "builtin/extractive",
    ]


def test_the_keys_of_paid_providers_are_named_and_never_written_down() -> None:
    assert {
        provider.name: (provider.kind, provider.base_url, provider.api_key_variable)
        for provider in read_seeds().providers
        if not provider.is_local
    } == {
        "openai": (ProviderKind.OPENAI, None, "ASSISTANT_OPENAI_API_KEY"),
        "anthropic": (ProviderKind.ANTHROPIC, None, "ASSISTANT_ANTHROPIC_API_KEY"),
    }


def test_quality_falls_back_to_fast_and_every_member_is_a_model() -> None:
    seeds = read_seeds()
    groups = {group.name: group for group in seeds.groups}
    assert {name: group.fallback_group for name, group in groups.items()} == {
        "fast": None,
        "quality": "fast",
    }
    models = {model.id for model in seeds.models}
    assert all(set(group.models) <= models for group in seeds.groups)


def test_the_shipped_rules_send_code_to_mistral_and_accuracy_to_the_quality_group() -> None:
    seeds = read_seeds()
    assert {rule.name: (rule.priority, rule.conditions, rule.models) for rule in seeds.rules} == {
        "code-to-mistral": (100, {"promptCategory": "code"}, ("ollama/mistral:7b",)),
        "accuracy-to-quality": (200, {"requiresAccuracy": True}, ("quality",)),
    }
    known = {*(model.id for model in seeds.models), *(group.name for group in seeds.groups)}
    assert {target for rule in seeds.rules for target in rule.models} <= known


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
        (
            "models.yaml",
            "{providers: [], models: [], groups: [], "
            "rules: [{name: r, priority: 1, models: [m], conditions: {colour: red}}]}",
            "rules.r: There is no condition 'colour'",
        ),
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


def test_a_seeded_prompt_comes_with_its_tests_after_what_it_includes(tmp_path: Path) -> None:
    shutil.copytree(SEEDS, tmp_path / "seeds")
    folder = tmp_path / "seeds" / "prompts"
    (folder / "a.yaml").write_text(
        "{name: a, category: c, template: '{{> b}}', tests: [{name: t, assertions: [{contains: x}]}]}"
    )
    (folder / "b.yaml").write_text("{name: b, category: c, template: B}")

    seeds = read_seeds(tmp_path / "seeds")

    names = [document.prompt.name for document in seeds.prompts]
    assert names.index("b") < names.index("a")
    (included,) = seeds.partials["a"]
    assert (included.used_as, included.template) == ("b", "B")
    assert [test.name for test in seeds.prompts[names.index("a")].tests] == ["t"]


def test_seeded_prompts_that_include_each_other_are_refused(tmp_path: Path) -> None:
    shutil.copytree(SEEDS, tmp_path / "seeds")
    for name, other in (("a", "b"), ("b", "a")):
        text = f"{{name: {name}, category: c, template: '{{{{> {other}}}}}'}}"
        (tmp_path / "seeds" / "prompts" / f"{name}.yaml").write_text(text)

    with pytest.raises(SeedError, match="a -> b -> a"):
        read_seeds(tmp_path / "seeds")
