"""What every command shares: its settings, its end, and the service's use cases to work with."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import typer
import uvloop
from typer.core import TyperGroup

from assistant.adapters.logging import configure_logging
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.adapters.server import stopping_signals
from assistant.app import StartupError, create_app
from assistant.errors import AssistantError
from assistant.services import Services
from assistant.services.prompt_files import PromptFileError
from assistant.services.seeds import SeedError
from assistant.settings import Settings, SettingsError, load_settings

T = TypeVar("T")

_EXPECTED = (
    StartupError,
    DatabaseStartError,
    SeedError,
    SettingsError,
    PromptFileError,
    AssistantError,
)


class Commands(TyperGroup):
    """Commands that say what is wrong with an option in their own words."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Typer hands on how pydantic begins what it quotes.
            error.message = error.message.removeprefix("Value error, ")
            raise


def fail(message: str) -> NoReturn:
    """End with one line that says what to do."""
    typer.echo(f"assistant: {message}", err=True)
    raise typer.Exit(1)


def settings_or_end() -> Settings:
    """The settings that the environment says, or the end with one line about it."""
    try:
        return load_settings()
    except SettingsError as error:
        fail(str(error))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end; expected failures become one line.

    A signal cancels it, so that what it has started is stopped.
    """
    stopped_by: list[signal.Signals] = []

    async def stoppable() -> T:
        task = asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            if not stopped_by:
                task.cancel()
            stopped_by.append(number)

        for number in stopping_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        return await work

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(stoppable())
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        raise typer.Exit(128 + stopped_by[0]) from None
    except _EXPECTED as error:
        fail(str(error))


@asynccontextmanager
async def running_services(settings: Settings) -> AsyncIterator[Services]:
    """All use cases, as `serve` has them but for its port; what it watches is watched beside.

    Jobs that are due are left to those who stay. What goes as it should is not logged: the output
    is the command's.
    """
    level = "warning" if settings.log_level == "info" else settings.log_level
    settings = settings.model_copy(update={"log_level": level, "run_jobs": False})
    configure_logging(settings)
    app = create_app(settings, announces=False)
    async with app.router.lifespan_context(app):
        yield app.state.services
