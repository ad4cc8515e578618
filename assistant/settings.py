"""Everything that can be set from outside, by ``ASSISTANT_*`` variables; a unit in every name."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from assistant.domain.cache import LONGEST_TTL_S
from assistant.domain.webhook_signature import signing_key

PREFIX = "ASSISTANT_"

# What `make setup` builds lives in the virtual environment: made once per installation,
# found whatever the working directory and the data folder are.
_SHARE = Path(sys.prefix) / "share" / "assistant"


_ADDRESSES = {
    "ollama_url": "http://127.0.0.1:11434",
    "openai_base_url": "https://api.openai.com/v1",
    "anthropic_base_url": "https://api.anthropic.com",
    "alert_webhook_url": "https://example.com/alerts",
}


class AuthMode(StrEnum):
    """How callers are told apart."""

    DEV = "dev"
    STRICT = "strict"


class UnknownPrice(StrEnum):
    """What becomes of a call whose price nobody knows, where there is a budget to be kept."""

    REFUSE = "refuse"
    RECORD = "record"


class SettingsError(Exception):
    """The environment cannot be used as it is; the message says which variable and why."""


class Settings(BaseSettings):
    """The service's configuration; immutable, made once in ``__main__`` and handed down."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # --- where
    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65535)
    data_dir: Path = Field(Path(".data"), description="Embedded database and other local state.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL >= 16 with pgvector. None starts the embedded server."
    )
    migration_database_url: SecretStr | None = Field(
        None, description="The same database as the owner of the tables; default: database_url."
    )
    database_pool_size: int = Field(10, ge=2, le=200, description="Connections per process.")

    # --- identity
    auth_mode: AuthMode = AuthMode.STRICT
    gateway_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Comma-separated; two live values allow rotation."
    )
    jwks_url: str | None = None
    jwt_key: SecretStr | None = Field(None, description="Static key: PEM, or an HMAC secret.")
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_tenant_claim: str = "tenant_id"
    jwt_service_claim: str = "service_id"
    jwt_scope_claim: str = "scope"

    # --- providers
    ollama_url: str = "http://127.0.0.1:11434"
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    embedding_dir: Path = Field(_SHARE / "embedding", description="model.onnx, tokenizer.json.")
    tokenizer_dir: Path | None = Field(
        None, description="Models' own vocabularies: <provider>/<model>/tokenizer.json."
    )
    provider_connect_timeout_s: float = Field(5.0, gt=0)
    provider_first_event_timeout_s: float = Field(
        120.0, gt=0, description="May include a model load."
    )
    provider_between_events_timeout_s: float = Field(30.0, gt=0)
    completion_timeout_s: float = Field(
        600.0, gt=0, le=3600, description="Default and upper bound."
    )
    provider_poll_interval_s: float = Field(
        5.0, gt=0, description="How often model lists are read: when a pulled model is noticed."
    )
    rollout_check_interval_s: float = Field(
        10.0, gt=0, description="How often new versions of prompts are compared with old ones."
    )

    provider_max_concurrency: int = Field(
        256, ge=1, description="Calls at once of one provider, where its row does not say."
    )
    ollama_max_concurrency: int | None = Field(
        None, ge=1, description="The same for Ollama: what OLLAMA_NUM_PARALLEL says there."
    )
    provider_max_waiting: int = Field(1_000, ge=0, description="Calls that may wait for a place.")
    provider_queue_timeout_s: float = Field(10.0, gt=0, description="How long a call may wait.")
    circuit_failures: int = Field(
        5, ge=1, description="So many in a row, and a model is not called for a while."
    )
    circuit_open_s: float = Field(60.0, gt=0, description="How long it is not called then.")
    unknown_price: UnknownPrice = Field(
        UnknownPrice.REFUSE, description="Under a budget, of a model that has no price."
    )

    # --- the cache
    cache_enabled: bool = Field(True, description="Off: every request asks a model.")
    cache_ttl_s: int = Field(
        300,
        ge=1,
        le=LONGEST_TTL_S,
        description="How long answers are kept, where a prompt is silent.",
    )
    cache_lookup_timeout_ms: int = Field(
        20, ge=1, le=10_000, description="For each look into the database; then the model is asked."
    )
    cache_max_entry_bytes: int = Field(
        262_144, ge=1_000, le=10_000_000, description="Longer answers are not kept."
    )
    cache_max_bytes_per_tenant: int = Field(
        1_073_741_824, ge=1_000_000, description="What is worth least makes room, within a minute."
    )
    cache_memory_bytes: int = Field(
        33_554_432, ge=0, description="Of this replica, for what was found or made lately."
    )
    cache_shadow_share: float = Field(
        0.01, ge=0, le=1, description="Semantic hits that are compared with what a model says."
    )

    # --- the edge
    max_body_bytes: int = Field(1_000_000, ge=1_000)
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated origins of pages that may use /graphql."
    )
    graphiql_dir: Path = Field(
        _SHARE / "graphiql", description="Local copies of GraphiQL's scripts."
    )
    stream_grace_s: float = Field(
        30.0, ge=0, le=3_600, description="How long a stream goes on that nobody reads."
    )
    shutdown_grace_s: float = Field(30.0, ge=0, description="How long running answers may finish.")

    # --- telling others
    alert_webhook_url: str | None = Field(
        None, description="Told when a step of a budget is reached, by POST."
    )
    alert_webhook_secret: SecretStr | None = Field(
        None, validate_default=True, description="What that is signed with: base64, whsec_ or not."
    )

    # --- operations
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    retention_months: int = Field(13, ge=1, description="How long completions and usage are kept.")
    run_jobs: bool = Field(
        True, description="Whether `serve` runs background jobs too, as `worker` always does."
    )

    @field_validator("data_dir", "embedding_dir", "graphiql_dir", "tokenizer_dir")
    @classmethod
    def _at_home(cls, folder: Path | None) -> Path | None:
        # A shell expands ~, a compose file or a service manager does not.
        return None if folder is None else folder.expanduser()

    @field_validator(*_ADDRESSES)
    @classmethod
    def _is_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"must be an address, as in {_ADDRESSES[info.field_name or '']}")
        return url

    @field_validator("alert_webhook_secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "alert_webhook_url" in info.data and (secret is None) != (
            info.data["alert_webhook_url"] is None
        ):
            raise ValueError("goes with ASSISTANT_ALERT_WEBHOOK_URL: set both, or neither")
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("gateway_secrets", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()]
            if isinstance(value, str)
            else value
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach, or be reached at, ``host``: a name or an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environment`` (default: the process's).

    Raises SettingsError with one line per problem, unknown ``ASSISTANT_*`` names included.
    """
    environment = os.environ if environment is None else environment
    given = {
        name.upper().removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
    }
    unknown = sorted(PREFIX + name.upper() for name in given if name not in Settings.model_fields)
    if unknown:
        raise SettingsError(
            f"unknown variable {', '.join(unknown)}. Known ones: "
            + ", ".join(sorted(PREFIX + name.upper() for name in Settings.model_fields))
        )
    try:
        # An empty variable means "not set", as it does in compose files and CI.
        return Settings(**{name: value for name, value in given.items() if value != ""})  # type: ignore[arg-type]
    except ValidationError as error:
        # Never the value: it may be a secret.
        problems = [
            f"{PREFIX}{'_'.join(str(part) for part in problem['loc'][:1]).upper()}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("; ".join(problems)) from None
