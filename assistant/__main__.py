"""The command line: ``assistant serve | worker | jobs | migrate | seed | print-schema | keys | prompts | usage
| budgets | limits``."""

from __future__ import annotations

import asyncio
import errno
import gc
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import structlog
import typer

from assistant.adapters.clock import SystemClock
from assistant.adapters.logging import configure_logging
from assistant.adapters.postgres.api_keys import PostgresApiKeys
from assistant.adapters.postgres.migrate import expected_revision
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.adapters.server import DrainingServer, bind
from assistant.api.schema import create_schema
from assistant.app import StartupError, check_startable, create_app, database
from assistant.budgets_command import budgets, limits
from assistant.command_line import Commands, run, settings_or_end
from assistant.jobs_command import jobs
from assistant.prompts_command import prompts
from assistant.services.api_keys import ApiKeys
from assistant.services.seeds import read_seeds
from assistant.settings import Settings
from assistant.usage_command import usage

log = structlog.get_logger(__name__)

_LISTEN_ADVICE = {
    errno.EADDRINUSE: "Stop the program that holds it, or set ASSISTANT_PORT.",
    errno.EACCES: "Set ASSISTANT_PORT to a port above 1023.",
}

cli = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A federated GraphQL subgraph through which a company uses language models.",
)
keys = typer.Typer(no_args_is_help=True, help="API keys: shown once, stored as a hash.")
cli.add_typer(keys, name="keys")
cli.add_typer(prompts, name="prompts")
cli.add_typer(jobs, name="jobs")
cli.add_typer(usage, name="usage")
cli.add_typer(budgets, name="budgets")
cli.add_typer(limits, name="limits")


def main() -> None:
    """Entry point of the ``assistant`` command."""
    cli()


@cli.command()
def serve() -> None:
    """Serve the subgraph; with no database given, on an embedded one."""
    settings = settings_or_end()
    configure_logging(settings)
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    check_startable(settings)
    try:
        sock = bind(settings.host, settings.port)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            f"{_LISTEN_ADVICE.get(error.errno or 0, 'Set ASSISTANT_HOST to an address of this machine.')}"
        ) from error
    app = create_app(settings)
    # Outside the server: what cannot start says so in one line, what was started is stopped.
    async with app.router.lifespan_context(app):
        server = DrainingServer(
            app,
            drain=app.state.drain,
            grace_s=settings.shutdown_grace_s,
            max_message_bytes=settings.max_body_bytes,
        )
        _settle_garbage_collector()
        log.info("ready", url=f"http://{settings.host}:{settings.port}/graphql")
        await server.serve(sockets=[sock])


def _settle_garbage_collector() -> None:
    """Leave what lives as long as the process out of every collection, and collect less often.

    Source: measured, docs/benchmarks.md.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


@cli.command()
def worker() -> None:
    """Run background jobs, and serve nobody: for installations where `serve` does not run them."""
    settings = settings_or_end().model_copy(update={"run_jobs": True})
    configure_logging(settings)

    async def work() -> None:
        app = create_app(settings, announces=False)
        async with app.router.lifespan_context(app):
            log.info("worker_ready", jobs=[job.name for job in app.state.services.jobs.all])
            await asyncio.Event().wait()  # until a signal cancels it

    run(work())


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema; safe from several replicas at once."""

    async def work() -> None:
        async with database(settings_or_end()):
            typer.echo(f"The database is at revision {expected_revision()}.")

    run(work())


@cli.command()
def seed() -> None:
    """Load the shipped prompts, models and groups; never overwrites what an admin changed."""

    async def work() -> None:
        async with database(settings_or_end()) as db:
            counts = await PostgresSeeds(db).apply(read_seeds(), SystemClock().now())
            typer.echo(
                f"added {counts.added}, updated {counts.updated}, unchanged {counts.unchanged}, "
                f"kept because changed here {counts.kept}"
            )

    run(work())


@cli.command("print-schema")
def print_schema() -> None:
    """Print the subgraph's SDL."""
    typer.echo(create_schema().as_str(), nl=False)


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

    async def work() -> None:
        async with database(settings_or_end()) as db:
            expires_in_s = None
            if expires_in_days is not None:
                expires_in_s = timedelta(days=expires_in_days).total_seconds()
            key, secret = await ApiKeys(PostgresApiKeys(db), SystemClock()).create(
                tenant_id=tenant,
                name=name,
                user_id=user,
                service_id=service,
                scopes=scopes,
                expires_in_s=expires_in_s,
            )
            typer.echo(secret)
            typer.echo(f"id {key.id}; keep the key now, it is not shown again", err=True)

    run(work())


@keys.command("list")
def list_keys(tenant: Annotated[str, typer.Option(help="Whose keys.")]) -> None:
    """List a tenant's keys, without their secrets."""

    async def work() -> None:
        async with database(settings_or_end()) as db:
            for key in await ApiKeys(PostgresApiKeys(db), SystemClock()).list(tenant):
                state = "revoked" if key.revoked_at else f"expires {key.expires_at or 'never'}"
                scopes = " ".join(sorted(key.caller.scopes))
                typer.echo(f"{key.id}  {key.prefix}…  {key.name}  [{scopes}]  {state}")

    run(work())


@keys.command("revoke")
def revoke_key(
    tenant: Annotated[str, typer.Option(help="Whose key.")],
    id: Annotated[UUID, typer.Argument(help="As `keys list` shows it.")],  # noqa: A002
) -> None:
    """Make a key useless, for good."""

    async def work() -> None:
        async with database(settings_or_end()) as db:
            await ApiKeys(PostgresApiKeys(db), SystemClock()).revoke(tenant, id)
            typer.echo(f"revoked {id}")

    run(work())


if __name__ == "__main__":
    main()
