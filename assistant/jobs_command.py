"""``assistant jobs list | run``: background jobs, and one of them now."""

from __future__ import annotations

from typing import Annotated

import typer

from assistant.command_line import fail, run, running_services, settings_or_end
from assistant.services.jobs import JobFailed

jobs = typer.Typer(no_args_is_help=True, help="Background jobs: which there are; run one now.")


@jobs.command("list")
def list_jobs() -> None:
    """List the jobs: name, when it is due (cron, UTC), what it does."""

    async def work() -> None:
        async with running_services(settings_or_end()) as services:
            every = services.jobs.all
        name_width, cron_width = (
            max(len(text) for text in texts)
            for texts in ([job.name for job in every], [job.cron for job in every])
        )
        for job in every:
            typer.echo(f"{job.name:{name_width}}  {job.cron:{cron_width}}  {job.description}")

    run(work())


@jobs.command("run")
def run_job(name: Annotated[str, typer.Argument(help="As `jobs list` shows it.")]) -> None:
    """Run a job here and now, whether or not it is due or runs elsewhere; say what it did."""

    async def work() -> None:
        async with running_services(settings_or_end()) as services:
            typer.echo(await services.jobs.run(name))

    try:
        run(work())
    except JobFailed as error:
        fail(str(error))
