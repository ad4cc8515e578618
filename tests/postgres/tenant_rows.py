"""One row of every table, for tests of who sees and writes what."""

from __future__ import annotations

from uuid import uuid4

CATALOG = (
    "llm_models",
    "model_groups",
    "model_price_changes",
    "model_routing_rules",
    "prompt_releases",
    "prompt_rollouts",
    "prompt_test_cases",
    "prompt_versions",
    "prompts",
    "providers",
)
PRIVATE = (
    "api_keys",
    "budget_alerts",
    "budget_overrides",
    "budget_windows",
    "budgets",
    "cache_entries",
    "cache_entry_uses",
    "cache_flights",
    "circuits",
    "completions",
    "idempotency_keys",
    "prompt_test_runs",
    "prompt_version_hours",
    "rate_buckets",
    "rate_limits",
    "reservations",
    "seeds",
    "stream_events",
    "streams",
    "tenant_settings",
    "token_calibrations",
    "usage_hours",
    "usage_logs",
    "usage_service_hours",
    "usage_user_days",
)

# One row per table for the tenant in :tenant, written as somebody who is above row security.
ROWS = {
    "providers": "INSERT INTO providers (tenant_id, name, kind) VALUES (:tenant, 'p', 'OLLAMA')",
    # Before the model, which would write one itself.
    "model_price_changes": "INSERT INTO model_price_changes VALUES (:tenant, 'p', 'm', now())",
    "llm_models": (
        "INSERT INTO llm_models (tenant_id, provider, name, capabilities, context_window) "
        "VALUES (:tenant, 'p', 'm', '{CHAT}', 1)"
    ),
    "model_groups": "INSERT INTO model_groups VALUES (:tenant, 'g', '{p/m}')",
    "model_routing_rules": (
        "INSERT INTO model_routing_rules VALUES (:tenant, :id, 'r', 1, '{}', '{p/m}', true, now())"
    ),
    "prompts": (
        "INSERT INTO prompts (tenant_id, id, name, category, created_at, updated_at) "
        "VALUES (:tenant, :id, 'hello', 'c', now(), now())"
    ),
    "prompt_versions": (
        "INSERT INTO prompt_versions (tenant_id, id, prompt_id, version, status, template, "
        "variables, task, parameters, created_at) "
        "VALUES (:tenant, :id, :id, 1, 'DRAFT', 't', '[]', 'GENERAL', '{}', now())"
    ),
    "prompt_rollouts": (
        "INSERT INTO prompt_rollouts VALUES "
        "(:tenant, :id, array_fill(1, '{100}'), 0.05, 0.5, 100, now(), '{}')"
    ),
    "prompt_releases": (
        "INSERT INTO prompt_releases VALUES (:tenant, :id, :id, now(), 'PUBLISHED', '{\"1\": 100}')"
    ),
    "prompt_test_cases": (
        "INSERT INTO prompt_test_cases VALUES (:tenant, :id, :id, 'n', '{}', '[]', now())"
    ),
    "prompt_test_runs": (
        "INSERT INTO prompt_test_runs VALUES "
        "(:tenant, :id, :id, :id, NULL, 'RUNNING', 1, '[]', now())"
    ),
    "prompt_version_hours": (
        "INSERT INTO prompt_version_hours VALUES (:tenant, :id, now(), 0, 1, 1, 0, 1, 0, 0, 1)"
    ),
    "seeds": "INSERT INTO seeds VALUES (:tenant, 'provider', 'p', sha256('x'))",
    "token_calibrations": (
        "INSERT INTO token_calibrations VALUES (:tenant, 'p', 'm', 'b', 1, '{1}', now())"
    ),
    "cache_entries": (
        "INSERT INTO cache_entries (tenant_id, id, created_at, key, min_similarity, answer, model, "
        "tokens, cost, size_bytes, fresh_until, expires_at) "
        "VALUES (:tenant, :id, now(), sha256('x'), 0.95, '{}', 'p/m', 1, 0, 1, now(), now())"
    ),
    "cache_entry_uses": "INSERT INTO cache_entry_uses VALUES (:tenant, :id, 1, now())",
    "cache_flights": "INSERT INTO cache_flights VALUES (:tenant, sha256('x'), :id, now())",
    "circuits": "INSERT INTO circuits VALUES (:tenant, 'p', 'm', now())",
    "api_keys": (
        "INSERT INTO api_keys (tenant_id, id, name, prefix, secret_hash, scopes, created_at) "
        "VALUES (:tenant, :id, 'n', 'p', sha256(:tenant::bytea), '{}', now())"
    ),
    "completions": (
        "INSERT INTO completions (tenant_id, id, created_at, status, model, text, prompt_tokens, "
        "completion_tokens, cached_tokens, is_estimated, cost, cache, decision, latency_ms) "
        "VALUES (:tenant, :id, now(), 'RUNNING', '', '', 0, 0, 0, false, 0, 'MISS', '{}', 0)"
    ),
    "usage_logs": (
        "INSERT INTO usage_logs (tenant_id, id, created_at, status, model, provider, "
        "prompt_tokens, completion_tokens, cached_tokens, is_estimated, cost, saved_cost, cache, "
        "latency_ms) "
        "VALUES (:tenant, :id, now(), 'FAILED', '', '', 0, 0, 0, false, 0, 0, 'MISS', 0)"
    ),
    # A row of usage, as above, adds to others of these.
    "usage_hours": (
        "INSERT INTO usage_hours VALUES "
        "(:tenant, 'u', now(), 'f', 'm', 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)"
    ),
    "usage_service_hours": (
        "INSERT INTO usage_service_hours VALUES "
        "(:tenant, 's', now(), 'f', 'm', 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)"
    ),
    "usage_user_days": "INSERT INTO usage_user_days VALUES (:tenant, 'u', now(), 0, 1, 1, 1, 1)",
    "tenant_settings": "INSERT INTO tenant_settings VALUES (:tenant, 'Europe/Berlin')",
    "budgets": (
        "INSERT INTO budgets VALUES (:tenant, :id, 'USER', 'u', 'DAY', 1, '{0.8}', now(), now())"
    ),
    "budget_overrides": (
        "INSERT INTO budget_overrides VALUES (:tenant, :id, :id, now(), 1, 'r', 'u', now())"
    ),
    "budget_windows": (
        "INSERT INTO budget_windows VALUES (:tenant, :id, 'u', now(), now() + interval '1 day')"
    ),
    "budget_alerts": (
        "INSERT INTO budget_alerts VALUES "
        "(:tenant, :id, 'u', now(), 0.8, 'USER', 'DAY', now(), 1, 1, now())"
    ),
    "rate_limits": (
        "INSERT INTO rate_limits VALUES (:tenant, :id, 'USER', 'u', 'REQUESTS', 1, 1, now(), now())"
    ),
    "rate_buckets": "INSERT INTO rate_buckets VALUES (:tenant, :id, 'u', 0, now())",
    "reservations": (
        "INSERT INTO reservations VALUES "
        "(:tenant, :id, now(), :id, 'u', 's', 1, 1, 1, '{}', '{}', '{}', '{}', '{}', '{}')"
    ),
    "streams": "INSERT INTO streams VALUES (:tenant, :id, 'u', 's', :id)",
    "stream_events": "INSERT INTO stream_events VALUES (:tenant, :id, 0, 1, '[\"t\"]')",
    "idempotency_keys": (
        "INSERT INTO idempotency_keys VALUES (:tenant, 'user:u', 'k', sha256('x'), :id, now())"
    ),
}


def insertion(table: str, tenant: str) -> str:
    """The statement that writes one row for a tenant."""
    return ROWS[table].replace(":tenant", f"'{tenant}'").replace(":id", f"'{uuid4()}'")
