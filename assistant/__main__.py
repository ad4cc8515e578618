"""The command line: ``assistant serve | migrate | seed | print-schema | keys ...``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer

from assistant.errors import AssistantError
from assistant.settings import Settings, SettingsError, load_settings

T = TypeVar("T")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A federated GraphQL subgraph through which a company uses language models.",
)
keys = typer.Typer(no_args_is_help=True, help="API keys: shown once, stored as a hash.")
cli.add_typer(keys, name="keys")


def main() -> None:
    """Entry point of the ``assistant`` command."""
    cli()


def _fail(message: str) -> NoReturn:
    """End with one line that says what to do."""
    typer.echo(f"assistant: {message}", err=True)
    raise typer.Exit(1)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end; expected failures become one line."""
    from assistant.app import StartupError

    try:
        return asyncio.run(work)
    except (StartupError, AssistantError) as error:
        _fail(str(error))


@cli.command()
def serve() -> None:
    """Serve the subgraph; with no database given, on an embedded one."""
    from assistant.app import StartupError, check_startable, create_app
    from assistant.adapters.logging import configure_logging
    from assistant.adapters.server import DrainingServer, bind

    settings = _settings()
    configure_logging(settings)
    try:
        check_startable(settings)
        sock = bind(settings.host, settings.port)
    except StartupError as error:
        _fail(str(error))
    except OSError as error:
        _fail(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Stop the program that holds it, or set ASSISTANT_PORT."
        )
    app = create_app(settings)
    server = DrainingServer(
        app,
        running=lambda: app.state.ledger.running if hasattr(app.state, "ledger") else 0,
        grace_s=settings.shutdown_grace_s,
        max_message_bytes=settings.max_body_bytes,
    )
    server.run(sockets=[sock])
    if not server.started:
        sys.exit(1)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema; safe from several replicas at once."""
    from assistant.app import database

    async def work() -> None:
        async with database(_settings()) as db:
            typer.echo(f"database is at revision {await db.current_revision()}")

    _run(work())


@cli.command()
def seed() -> None:
    """Load the shipped prompts, models and groups; never overwrites what an admin changed."""
    from assistant.app import apply_seeds, database

    async def work() -> None:
        async with database(_settings()) as db:
            typer.echo(str(await apply_seeds(db)))

    _run(work())


@cli.command("print-schema")
def print_schema() -> None:
    """Print the subgraph's SDL."""
    from assistant.api.federation import print_sdl
    from assistant.api.schema import create_schema

    typer.echo(print_sdl(create_schema()), nl=False)


@keys.command("create")
def create_key(
    tenant: Annotated[str, typer.Option(help="The tenant that it acts for.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    user: Annotated[str | None, typer.Option(help="The user that it acts as.")] = None,
    service: Annotated[str | None, typer.Option(help="The service that it acts as.")] = None,
    scopes: Annotated[
        str, typer.Option(help="Separated by spaces or commas.")
    ] = "assistant:complete",
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Default: never.")] = None,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    from assistant.app import api_keys, database

    async def work() -> None:
        async with database(_settings()) as db:
            expires_in_s = None
            if expires_in_days is not None:
                expires_in_s = timedelta(days=expires_in_days).total_seconds()
            key, secret = await api_keys(db).create(
                tenant_id=tenant,
                name=name,
                user_id=user,
                service_id=service,
                scopes=scopes,
                expires_in_s=expires_in_s,
            )
            typer.echo(secret)
            typer.echo(f"id {key.id}; keep the key now, it is not shown again", err=True)

    _run(work())


@keys.command("list")
def list_keys(tenant: Annotated[str, typer.Option(help="Whose keys.")]) -> None:
    """List a tenant's keys, without their secrets."""
    from assistant.app import api_keys, database

    async def work() -> None:
        async with database(_settings()) as db:
            for key in await api_keys(db).list(tenant):
                state = "revoked" if key.revoked_at else f"expires {key.expires_at or 'never'}"
                scopes = " ".join(sorted(key.caller.scopes))
                typer.echo(f"{key.id}  {key.prefix}…  {key.name}  [{scopes}]  {state}")

    _run(work())


@keys.command("revoke")
def revoke_key(
    tenant: Annotated[str, typer.Option(help="Whose key.")],
    id: Annotated[UUID, typer.Argument(help="As `keys list` shows it.")],  # noqa: A002
) -> None:
    """Make a key useless, for good."""
    from assistant.app import api_keys, database

    async def work() -> None:
        async with database(_settings()) as db:
            await api_keys(db).revoke(tenant, id)
            typer.echo(f"revoked {id}")

    _run(work())


if __name__ == "__main__":
    main()
