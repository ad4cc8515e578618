"""What administrators may change in the catalog, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from assistant.domain.caller import Caller, Scope
from assistant.domain.model import (
    DiscoveredModel,
    Model,
    ModelCapability,
    ModelChanges,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    TaskType,
)
from assistant.domain.ports import ModelCatalog
from assistant.domain.rule import RoutingRule, RuleDraft
from assistant.errors import BadUserInput, Conflict, Forbidden, NotFound
from assistant.services.administration import Administration
from assistant.services.models import Models
from tests.unit.fakes import FakeClock, FakeProvider, model

ADMIN = frozenset({Scope.ADMIN})
ACME = Caller("acme", "root", None, ADMIN)
DEVELOPER = Caller("dev", "me", None, ADMIN, is_developer=True)
OPERATOR = Caller("platform", "ops", None, ADMIN)
OLLAMA = ProviderConfig("ollama", ProviderKind.OLLAMA)
OWN = ProviderConfig("own", ProviderKind.OPENAI, "https://llm.acme.test/v1", "ACME_API_KEY")
LLAMA = replace(model("ollama/llama3.2:3b"), is_available=False, preference=10)
DRAFT = RuleDraft("code", 10, {"promptCategory": "code"}, ("ollama/llama3.2:3b",))


@dataclass
class FakeCatalogStore:
    """A CatalogStore in memory: rows by (tenant, key); ``room`` is what is left of every limit."""

    providers: dict[tuple[str, str], ProviderConfig] = field(default_factory=dict)
    models: dict[tuple[str, str], Model] = field(default_factory=dict)
    groups: dict[tuple[str, str], ModelGroup] = field(default_factory=dict)
    rules: dict[tuple[str, UUID], RoutingRule] = field(default_factory=dict)
    is_full: bool = False

    async def load(self, tenant_id: str) -> ModelCatalog:
        def seen(rows: dict[tuple[str, Any], Any]) -> dict[Any, Any]:
            platform = {key: row for (owner, key), row in rows.items() if owner == "platform"}
            own = {key: row for (owner, key), row in rows.items() if owner == tenant_id}
            return platform | own

        rules = {rule.name: rule for rule in seen(self.rules).values()}
        return ModelCatalog(
            seen(self.providers), seen(self.models), seen(self.groups), tuple(rules.values())
        )

    async def find_rule(self, tenant_id: str, id_: UUID) -> RoutingRule | None:
        return self.rules.get((tenant_id, id_)) or self.rules.get(("platform", id_))

    async def add_rule(self, rule: RoutingRule, most: int) -> bool:
        return not self.is_full and self._put_rule(rule)

    async def update_rule(self, rule: RoutingRule) -> bool:
        return (rule.tenant_id, rule.id) in self.rules and self._put_rule(rule)

    def _put_rule(self, rule: RoutingRule) -> bool:
        for other in self.rules.values():
            same = (other.tenant_id, other.name) == (rule.tenant_id, rule.name)
            if same and other.id != rule.id:
                raise Conflict("There is a rule of that name.")
        self.rules[rule.tenant_id, rule.id] = rule
        return True

    async def delete_rule(self, tenant_id: str, id_: UUID) -> bool:
        return self.rules.pop((tenant_id, id_), None) is not None

    async def put_group(self, tenant_id: str, group: ModelGroup, most: int) -> bool:
        self.groups[tenant_id, group.name] = group
        return not self.is_full

    async def put_provider(self, provider: ProviderConfig, most: int) -> bool:
        self.providers[provider.tenant_id, provider.name] = provider
        return not self.is_full

    async def delete_provider(self, tenant_id: str, name: str) -> bool:
        return self.providers.pop((tenant_id, name), None) is not None

    async def put_model(self, tenant_id: str, model: Model, most: int) -> bool:
        self.models[tenant_id, model.id] = model
        return not self.is_full

    async def delete_model(self, tenant_id: str, provider: str, name: str) -> bool:
        return self.models.pop((tenant_id, f"{provider}/{name}"), None) is not None


@dataclass
class Setting:
    store: FakeCatalogStore
    admin: Administration
    models: Models
    clock: FakeClock


@pytest.fixture
def at() -> Setting:
    """A platform with one provider, two models and a group; the provider reports one more."""
    store = FakeCatalogStore(
        providers={("platform", "ollama"): OLLAMA},
        models={
            ("platform", LLAMA.id): LLAMA,
            ("platform", "ollama/mistral:7b"): model("ollama/mistral:7b"),
        },
        groups={("platform", "fast"): ModelGroup("fast", (LLAMA.id,))},
    )
    reported = (
        DiscoveredModel("llama3.2:3b", context_window=4096),
        DiscoveredModel("qwen:7b", frozenset({ModelCapability.CHAT}), 32768),
    )
    models = Models(store, lambda _config: FakeProvider(models=reported), 30.0)
    clock = FakeClock()
    return Setting(store, Administration(store, models, clock), models, clock)


def platform_rule(at: Setting, name: str = "shipped") -> RoutingRule:
    rule = RoutingRule(uuid4(), "platform", name, 100, {}, (LLAMA.id,), at.clock.now())
    at.store.rules["platform", rule.id] = rule
    return rule


async def refused(change: Any) -> BadUserInput:
    with pytest.raises(BadUserInput) as error:
        await change
    return error.value


# ------------------------------------------------------------------ rules


async def test_a_rule_is_the_tenants_own_and_seen_at_once(at: Setting) -> None:
    assert (await at.models.catalog("acme")).rules == ()

    rule = await at.admin.create_rule(ACME, DRAFT)

    assert (rule.tenant_id, rule.name, rule.created_at) == ("acme", "code", at.clock.now())
    assert await at.admin.list_rules("acme") == [rule]
    assert await at.admin.list_rules("globex") == []


async def test_rules_are_listed_as_they_are_tried(at: Setting) -> None:
    shipped = platform_rule(at)
    late = await at.admin.create_rule(ACME, replace(DRAFT, name="late", priority=100))
    early = await at.admin.create_rule(ACME, replace(DRAFT, name="early", priority=-1))

    assert await at.admin.list_rules("acme") == [early, late, shipped]


async def test_a_rule_may_be_named_as_the_platforms_but_not_as_another_of_ones_own(
    at: Setting,
) -> None:
    shipped = platform_rule(at)
    own = await at.admin.create_rule(ACME, replace(DRAFT, name="shipped"))

    with pytest.raises(Conflict):
        await at.admin.create_rule(ACME, replace(DRAFT, name="shipped"))

    assert await at.admin.list_rules("acme") == [own]
    assert await at.admin.list_rules("globex") == [shipped]


async def test_an_update_says_everything_anew_but_the_id_and_the_age(at: Setting) -> None:
    rule = await at.admin.create_rule(ACME, DRAFT)
    at.clock.advance(60)

    changed = await at.admin.update_rule(
        ACME, rule.id, RuleDraft("other", 5, {"hour": 3}, ("fast",), is_enabled=False)
    )

    assert changed == replace(
        rule, name="other", priority=5, conditions={"hour": 3}, models=("fast",), is_enabled=False
    )
    assert await at.admin.list_rules("acme") == [changed]


async def test_a_deleted_rule_is_gone_and_cannot_be_deleted_again(at: Setting) -> None:
    rule = await at.admin.create_rule(ACME, DRAFT)
    await at.admin.delete_rule(ACME, rule.id)

    assert await at.admin.list_rules("acme") == []
    with pytest.raises(NotFound):
        await at.admin.delete_rule(ACME, rule.id)
    with pytest.raises(NotFound):
        await at.admin.update_rule(ACME, rule.id, DRAFT)


async def test_the_rules_of_another_tenant_look_as_if_they_did_not_exist(at: Setting) -> None:
    theirs = await at.admin.create_rule(replace(ACME, tenant_id="globex"), DRAFT)

    for caller in (ACME, DEVELOPER, OPERATOR):
        with pytest.raises(NotFound):
            await at.admin.delete_rule(caller, theirs.id)
        with pytest.raises(NotFound):
            await at.admin.update_rule(caller, theirs.id, DRAFT)


async def test_the_platforms_rules_are_the_operators_to_change(at: Setting) -> None:
    shipped = platform_rule(at)
    for change in (
        at.admin.update_rule(ACME, shipped.id, DRAFT),
        at.admin.delete_rule(ACME, shipped.id),
    ):
        with pytest.raises(Forbidden, match="belongs to the platform"):
            await change

    changed = await at.admin.update_rule(DEVELOPER, shipped.id, DRAFT)
    assert (changed.tenant_id, changed.id) == ("platform", shipped.id)
    assert await at.admin.list_rules("globex") == [changed]
    await at.admin.delete_rule(OPERATOR, shipped.id)
    assert await at.admin.list_rules("globex") == []


@pytest.mark.parametrize(
    ("changes", "path", "part"),
    [
        ({"name": "No Name"}, ("name",), "small letters"),
        ({"name": "a\n"}, ("name",), "small letters"),
        ({"priority": 2**31}, ("priority",), "32 bits"),
        ({"conditions": {"colour": "red"}}, ("conditions", "colour"), "Known: promptCategory"),
        ({"conditions": []}, ("conditions",), "must be an object"),
        ({"models": ()}, ("models",), "1 to 32"),
        ({"models": ("x",) * 33}, ("models",), "1 to 32"),
        ({"models": (LLAMA.id, "nothing")}, ("models", "1"), "Groups: fast"),
        ({"models": ("ollama/nothing",)}, ("models", "0"), "Models: ollama/llama3.2:3b"),
    ],
)
async def test_a_rule_that_cannot_be_followed_is_refused(
    at: Setting, changes: dict[str, Any], path: tuple[str, ...], part: str
) -> None:
    error = await refused(at.admin.create_rule(ACME, replace(DRAFT, **changes)))
    assert error.path == path
    assert part in error.message
    assert at.store.rules == {}


@pytest.mark.parametrize("target", ["ollama/mistral:7b", "mistral:7b", "ollama/qwen:7b", "fast"])
async def test_a_rule_leads_to_ids_bare_names_reported_models_and_groups(
    at: Setting, target: str
) -> None:
    assert (await at.admin.create_rule(ACME, replace(DRAFT, models=(target,)))).models == (target,)


# ------------------------------------------------------------------ groups


async def test_a_group_is_added_and_replaced_whole(at: Setting) -> None:
    await at.admin.set_group(ACME, ModelGroup("mine", (LLAMA.id,), "fast", is_hedged=True))
    await at.admin.set_group(ACME, ModelGroup("mine", ("mistral:7b",)))

    assert (await at.models.catalog("acme")).groups["mine"] == ModelGroup("mine", ("mistral:7b",))
    assert "mine" not in (await at.models.catalog("globex")).groups


@pytest.mark.parametrize(
    ("group", "path", "part"),
    [
        (ModelGroup("Mine", (LLAMA.id,)), ("name",), "small letters"),
        (ModelGroup("mine", ("fast",)), ("models", "0"), "no model named 'fast'"),
        (ModelGroup("mine", ()), ("models",), "1 to 32"),
        (ModelGroup("mine", (LLAMA.id,), "none"), ("fallbackGroup",), "Known: b, c, fast"),
        (ModelGroup("mine", (LLAMA.id,), "mine"), ("fallbackGroup",), "mine -> mine"),
        (ModelGroup("c", (LLAMA.id,), "b"), ("fallbackGroup",), "c -> b -> c"),
    ],
)
async def test_a_group_that_cannot_be_followed_is_refused(
    at: Setting, group: ModelGroup, path: tuple[str, ...], part: str
) -> None:
    await at.admin.set_group(ACME, ModelGroup("c", (LLAMA.id,)))
    await at.admin.set_group(ACME, ModelGroup("b", (LLAMA.id,), "c"))

    error = await refused(at.admin.set_group(ACME, group))

    assert (error.path, part in error.message) == (path, True), error.message


# ------------------------------------------------------------------ providers


async def test_a_provider_is_the_tenants_own_and_hides_the_platforms(at: Setting) -> None:
    own = await at.admin.set_provider(ACME, replace(OWN, name="ollama"))

    assert own == replace(OWN, name="ollama", tenant_id="acme")
    assert (await at.models.catalog("acme")).providers == {"ollama": own}
    assert (await at.models.catalog("globex")).providers == {"ollama": OLLAMA}
    await at.admin.delete_provider(ACME, "ollama")
    assert (await at.models.catalog("acme")).providers == {"ollama": OLLAMA}


async def test_only_an_operator_deletes_the_platforms_providers(at: Setting) -> None:
    with pytest.raises(Forbidden, match="belongs to the platform"):
        await at.admin.delete_provider(ACME, "ollama")
    with pytest.raises(NotFound):
        await at.admin.delete_provider(ACME, "nobody")

    await at.admin.delete_provider(DEVELOPER, "ollama")

    assert (await at.models.catalog("acme")).providers == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:11434",
        "https://api.openai.com/v1",
        "http://[::1]:8080/v1/",
        "https://gpu/" + "x" * 2036,
    ],
)
async def test_an_address_is_http_or_https_with_a_host(at: Setting, url: str) -> None:
    assert (await at.admin.set_provider(ACME, replace(OWN, base_url=url))).base_url == url


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "Own"}, "name"),
        ({"kind": ProviderKind.BUILTIN}, "kind"),
        *(
            ({"base_url": url}, "baseUrl")
            for url in (
                None,
                "",
                "gpu:8080",
                "/v1",
                "ftp://gpu",
                "file:///etc/passwd",
                "http://",
                "http://:80",
                "http://gpu:99999",
                "http://gpu:0",
                "http://[::1",
                "http://user:pass@gpu",
                "http://user@gpu",
                "http://gpu?x=1",
                "http://gpu/?",
                "http://gpu/#top",
                "http://g pu",
                "http://169.254.169.254/latest",
                "http://[fe80::1]/v1",
                "http://gpu\n.evil",
                "http://gpü",
                "http://gpu/\x00",
                "https://gpu/" + "x" * 2037,
            )
        ),
        *(
            ({"api_key_variable": name}, "apiKeyVariable")
            for name in (
                "",
                "sk-1234567890",
                "acme_API_KEY",
                "ACME_KEY",
                "_API_KEY",
                "PATH",
                "ACME_API_KEY\n",
                "A" * 121 + "_API_KEY",
                "ASSISTANT_OPENAI_API_KEY",
                "GLOBEX_API_KEY",
                "ACME_EU_API_KEY",
            )
        ),
        ({"max_concurrency": 0}, "maxConcurrency"),
        ({"max_concurrency": 100_001}, "maxConcurrency"),
    ],
)
async def test_a_provider_that_could_not_or_must_not_be_called_is_refused(
    at: Setting, changes: dict[str, Any], path: str
) -> None:
    error = await refused(at.admin.set_provider(ACME, replace(OWN, **changes)))
    assert error.path == (path,)
    assert "pass" not in error.message.replace("password", "")
    assert list(at.store.providers) == [("platform", "ollama")]


async def test_the_operators_own_keys_go_where_the_operator_says_and_nowhere_else(
    at: Setting,
) -> None:
    config = replace(OWN, api_key_variable="ASSISTANT_OPENAI_API_KEY")

    error = await refused(at.admin.set_provider(ACME, config))
    assert "not sent to an address that a tenant chooses" in error.message
    for own in ("ACME_API_KEY", "ACME__OPENAI_API_KEY"):
        await at.admin.set_provider(ACME, replace(OWN, api_key_variable=own))
    for caller in (DEVELOPER, OPERATOR):
        written = await at.admin.set_provider(caller, config)
        assert written.api_key_variable == "ASSISTANT_OPENAI_API_KEY"


# ------------------------------------------------------------------ models


async def test_a_change_of_the_platforms_model_is_a_whole_row_of_the_tenants_own(
    at: Setting,
) -> None:
    await at.models.catalog("acme")  # the provider's copy of it can take less than our row says

    changed = await at.admin.set_model(ACME, LLAMA.id, {"input_price": Decimal("0.25")})

    assert changed == replace(LLAMA, input_price=Decimal("0.25"))
    assert at.store.models["acme", LLAMA.id] == changed
    assert at.store.models["platform", LLAMA.id] == LLAMA
    seen = (await at.models.catalog("acme")).models[LLAMA.id]
    assert (seen.input_price, seen.context_window, seen.is_available) == (
        Decimal("0.25"),
        4096,
        True,
    )


async def test_what_is_absent_stays_and_null_takes_away(at: Setting) -> None:
    said: ModelChanges = {
        "tasks": frozenset({TaskType.SUMMARIZATION}),
        "max_output_tokens": 100,
        "cached_input_price": Decimal(1),
    }
    await at.admin.set_model(ACME, LLAMA.id, said)
    await at.admin.set_model(ACME, LLAMA.id, {"is_allowed": False, "max_output_tokens": None})

    assert at.store.models["acme", LLAMA.id] == replace(
        LLAMA,
        tasks=frozenset({TaskType.SUMMARIZATION}),
        cached_input_price=Decimal(1),
        is_allowed=False,
    )


async def test_what_is_not_said_of_prices_is_unknown_elsewhere_and_nothing_at_home(
    at: Setting,
) -> None:
    await at.admin.set_provider(ACME, replace(OWN, is_local=False))
    said: ModelChanges = {
        "capabilities": frozenset({ModelCapability.CHAT}),
        "context_window": 8192,
    }

    elsewhere = await at.admin.set_model(ACME, f"{OWN.name}/new", said)
    half = await at.admin.set_model(ACME, f"{OWN.name}/new", {"input_price": Decimal(1)})
    at_home = await at.admin.set_model(ACME, "ollama/not-pulled", {})

    assert (elsewhere.input_price, elsewhere.output_price) == (None, None)
    assert (half.input_price, half.output_price, half.is_price_known) == (Decimal(1), None, False)
    assert (at_home.input_price, at_home.output_price) == (0, 0)


async def test_a_model_that_only_its_provider_tells_of_begins_as_reported_and_allowed(
    at: Setting,
) -> None:
    assert not (await at.models.catalog("acme")).models["ollama/qwen:7b"].is_allowed

    await at.admin.set_model(ACME, "ollama/qwen:7b", {"output_price": Decimal(2)})

    row = at.store.models["acme", "ollama/qwen:7b"]
    assert (row.context_window, row.output_price, row.is_allowed) == (32768, Decimal(2), True)
    refusing = await at.admin.set_model(ACME, "ollama/qwen:7b", {"is_allowed": False})
    assert not refusing.is_allowed


async def test_a_model_that_nobody_knows_needs_its_window_and_capabilities(at: Setting) -> None:
    await at.admin.set_provider(
        ACME, ProviderConfig("vllm", ProviderKind.OPENAI, "http://127.0.0.1:8000/v1")
    )
    error = await refused(at.admin.set_model(ACME, "vllm/new", {"context_window": 10}))
    assert error.path == ("capabilities",)

    written = await at.admin.set_model(
        ACME,
        "ollama/hf.co/a/b:Q4",
        {"context_window": 10, "capabilities": frozenset({ModelCapability.CHAT})},
    )

    assert (written.provider, written.name, written.is_allowed) == ("ollama", "hf.co/a/b:Q4", True)


async def test_a_model_can_be_allowed_before_it_is_pulled_by_the_name_that_one_pulls_it_by(
    at: Setting,
) -> None:
    written = await at.admin.set_model(ACME, "ollama/qwen3", {"is_allowed": True})

    assert (written.id, written.is_allowed) == ("ollama/qwen3:latest", True)
    again = await at.admin.set_model(ACME, "ollama/qwen3:latest", {"context_window": 4_096})
    assert (again.id, again.context_window) == (written.id, 4_096)


@pytest.mark.parametrize(
    ("id_", "changes", "path"),
    [
        ("nobody/llama", {}, "id"),
        ("llama3.2:3b", {}, "id"),
        ("", {}, "id"),
        ("ollama/" + "x" * 257, {}, "id"),
        ("ollama/", {}, "id"),
        ("ollama/a\x00", {}, "id"),
        (LLAMA.id, {"capabilities": frozenset()}, "capabilities"),
        (LLAMA.id, {"tasks": frozenset()}, "tasks"),
        (LLAMA.id, {"context_window": 0}, "contextWindow"),
        (LLAMA.id, {"context_window": 10_000_001}, "contextWindow"),
        (LLAMA.id, {"max_output_tokens": 0}, "maxOutputTokens"),
        (LLAMA.id, {"input_price": Decimal(-1)}, "inputPricePer1MTokens"),
        (LLAMA.id, {"input_price": Decimal("1000000.1")}, "inputPricePer1MTokens"),
        (LLAMA.id, {"output_price": Decimal("0.0000000001")}, "outputPricePer1MTokens"),
        (LLAMA.id, {"output_price": Decimal("999999." + "0" * 40 + "1")}, "outputPricePer1MTokens"),
        (LLAMA.id, {"cached_input_price": Decimal("1e-999999")}, "cachedInputPricePer1MTokens"),
        (LLAMA.id, {"cached_input_price": Decimal("1e999999")}, "cachedInputPricePer1MTokens"),
    ],
)
async def test_a_model_that_could_not_be_called_or_charged_is_refused(
    at: Setting, id_: str, changes: dict[str, Any], path: str
) -> None:
    usable = {"capabilities": frozenset({ModelCapability.CHAT}), "context_window": 10} | changes
    error = await refused(at.admin.set_model(ACME, id_, usable))  # type: ignore[arg-type]
    assert error.path == (path,)
    assert "acme" not in {tenant for tenant, _ in at.store.models}


@pytest.mark.parametrize("price", ["0", "0.000000001", "1000000", "1.50", "1E+2"])
async def test_a_price_is_exact_to_nine_decimals(at: Setting, price: str) -> None:
    written = await at.admin.set_model(ACME, LLAMA.id, {"input_price": Decimal(price)})
    assert written.input_price == Decimal(price)


@pytest.mark.parametrize(
    ("change", "most"),
    [
        (lambda admin: admin.create_rule(ACME, DRAFT), "200 rules"),
        (lambda admin: admin.set_group(ACME, ModelGroup("g", (LLAMA.id,))), "200 model groups"),
        (lambda admin: admin.set_provider(ACME, OWN), "200 providers"),
        (lambda admin: admin.set_model(ACME, LLAMA.id, {}), "1,000 models"),
    ],
)
async def test_a_tenant_has_so_many_rows_of_a_kind_and_no_more(
    at: Setting, change: Callable[[Administration], Any], most: str
) -> None:
    at.store.is_full = True
    assert most in (await refused(change(at.admin))).message
