"""The composition root: everything that exists, in the order in which it comes to life."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import Route, WebSocketRoute

from assistant.adapters.clock import SystemClock
from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.jwt import token_verifier
from assistant.adapters.language import LangidDetector
from assistant.adapters.postgres.api_keys import PostgresApiKeys
from assistant.adapters.postgres.budget_alerts import PostgresBudgetAlerts
from assistant.adapters.postgres.budget_alerts import notice_of as alert_of
from assistant.adapters.postgres.budgets import PostgresBudgets
from assistant.adapters.postgres.cache import CacheNotice, PostgresCache
from assistant.adapters.postgres.cache import notice_of as cache_notice_of
from assistant.adapters.postgres.cache_flights import PostgresFlights
from assistant.adapters.postgres.cache_upkeep import PostgresCacheUpkeep
from assistant.adapters.postgres.circuits import PostgresCircuits, notice_of
from assistant.adapters.postgres.completions import PostgresCompletions
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.idempotency import PostgresIdempotency, clean_keys
from assistant.adapters.postgres.jobs import JobQueue
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.listen import (
    BUDGET_ALERT_CHANNEL,
    CACHE_CHANNEL,
    CATALOG_CHANNEL,
    CIRCUIT_CHANNEL,
    EVERYTHING,
    listen,
)
from assistant.adapters.postgres.migrate import upgrade
from assistant.adapters.postgres.models import PostgresModels
from assistant.adapters.postgres.partitions import keep_partitions
from assistant.adapters.postgres.price_changes import PostgresPriceChanges
from assistant.adapters.postgres.prompt_changes import PostgresPromptChanges
from assistant.adapters.postgres.prompt_performance import PostgresPromptPerformance
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompt_tests import PostgresPromptTests
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.adapters.postgres.rate_limits import PostgresRateLimits
from assistant.adapters.postgres.reaper import reap
from assistant.adapters.postgres.request_limits import PostgresRequestLimits
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.adapters.postgres.stream_log import PostgresStreamLog, clean_streams
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.adapters.postgres.token_sums import PostgresTokenSums
from assistant.adapters.postgres.usage import PostgresUsage
from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.registry import ProviderRegistry, provider_kinds
from assistant.adapters.telemetry import PrometheusTelemetry
from assistant.adapters.tokenizers import TokenizerLibrary
from assistant.adapters.webhook import AlertWebhook
from assistant.api.endpoint import GraphQLEndpoint
from assistant.api.graphiql import load_graphiql
from assistant.api.health import operations_routes
from assistant.api.openai.endpoint import openai_routes
from assistant.api.openai.extensions import CACHE_HEADER, COMPLETION_HEADER
from assistant.api.request_log import RequestLog
from assistant.api.schema import create_schema
from assistant.api.stream_endpoint import StreamEndpoint
from assistant.domain.cache import CacheUpkeep
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.job import Errand, Job
from assistant.domain.model import CircuitState, ProviderKind
from assistant.domain.ports import TimeLimits
from assistant.domain.webhook_signature import signing_key
from assistant.services import Services
from assistant.services.administration import Administration
from assistant.services.answers import Answers
from assistant.services.api_keys import ApiKeys
from assistant.services.attempts import Attempts
from assistant.services.background import kept_going
from assistant.services.budget_alerts import WEBHOOK_ERRAND, BudgetAlerts, webhook_errand
from assistant.services.budgets import Budgets
from assistant.services.bulkheads import Bulkhead, Bulkheads, BulkheadSettings
from assistant.services.cache import Cache
from assistant.services.cache_follow_ups import CacheFollowUps
from assistant.services.cache_keeper import CacheLimits
from assistant.services.cache_reports import CacheReports
from assistant.services.cache_upkeep import CacheUpkeeping
from assistant.services.cache_warming import CacheWarming
from assistant.services.circuits import Circuits, CircuitSettings
from assistant.services.completion import Completions
from assistant.services.embeddings import TextEmbedding
from assistant.services.failover import Failover
from assistant.services.idempotency import Idempotency
from assistant.services.identity import Authenticator, ClaimNames
from assistant.services.jobs import Jobs
from assistant.services.latencies import Latencies
from assistant.services.ledger import Ledger
from assistant.services.model_removal import ModelRemoval
from assistant.services.models import Models
from assistant.services.periods import Periods
from assistant.services.prices import Prices
from assistant.services.prompt_authoring import PromptAuthoring
from assistant.services.prompt_releases import PromptReleases
from assistant.services.prompt_reports import PromptReports
from assistant.services.prompt_tests import PromptTests
from assistant.services.prompts import Prompts
from assistant.services.pulls import Pulls
from assistant.services.ranking import Ranking
from assistant.services.rate_limits import RateLimits
from assistant.services.request_limits import RequestLimits
from assistant.services.retries import Retries
from assistant.services.rollout_watch import RolloutWatch
from assistant.services.routing import Router
from assistant.services.runs import Runs
from assistant.services.seeds import read_seeds
from assistant.services.selection import Selector
from assistant.services.token_counting import TokenCounting
from assistant.services.usage import UsageReports
from assistant.settings import AuthMode, Settings, UnknownPrice, is_loopback

_SETTLE_AFTER_CANCEL_S = 5.0
# Longer than any completion may take; a run of tests has many.
_LONGEST_STREAM_S = 3_600 + _SETTLE_AFTER_CANCEL_S
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class StartupError(Exception):
    """The service cannot start as it is configured; the message says in one line what to do."""


def check_startable(settings: Settings) -> None:
    """Refuse settings that would be unsafe together. Raises StartupError."""
    if settings.auth_mode is AuthMode.DEV and not is_loopback(settings.host):
        raise StartupError(
            f"ASSISTANT_AUTH_MODE=dev makes everybody an administrator and does not go with "
            f"ASSISTANT_HOST={settings.host}. Listen on 127.0.0.1, or set ASSISTANT_AUTH_MODE=strict."
        )


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The database, running, migrated, and reached as a role that row-level security binds.

    Raises: DatabaseStartError, StorageUnavailable.
    """
    async with AsyncExitStack() as stack:
        if settings.database_url is None:
            embedded = EmbeddedPostgres(settings.data_dir / "postgres")
            owner_url = await embedded.start()
            stack.push_async_callback(embedded.stop)
            service_url = embedded.service_url
        else:
            service_url = settings.database_url.get_secret_value()
            owner_url = (
                settings.migration_database_url or settings.database_url
            ).get_secret_value()
        await upgrade(owner_url)
        opened = Database(service_url, pool_size=settings.database_pool_size)
        stack.push_async_callback(opened.close)
        await opened.start()
        yield opened


def create_app(settings: Settings, *, announces: bool = True) -> Starlette:
    """The ASGI application. Its lifespan owns everything; ``state.services`` are the use cases.

    ``announces``: whether budget alerts are told of as soon as there are some. Not by a command or
    a worker, whose metrics nobody reads.
    """
    clock = SystemClock()
    telemetry = PrometheusTelemetry()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            db = await stack.enter_async_context(database(settings))
            await PostgresSeeds(db).apply(read_seeds(), clock.now())

            embedder = MiniLmEmbedder(settings.embedding_dir)
            stack.push_async_callback(embedder.close)
            http = await stack.enter_async_context(HttpClient())
            connect = ProviderRegistry(provider_kinds(settings, http, embedder))

            # What is learnt while the last answers settle is saved as well.
            tokens = TokenCounting(
                TokenizerLibrary(settings.tokenizer_dir), PostgresTokenSums(db), clock
            )
            stack.push_async_callback(tokens.save)

            ledger_store = PostgresLedger(
                db, refuses_unpriced=settings.unknown_price is UnknownPrice.REFUSE
            )
            await ledger_store.start()
            stack.push_async_callback(ledger_store.close)
            ledger = Ledger(ledger_store, clock, telemetry)

            request_limit_store = PostgresRequestLimits(db)
            stack.push_async_callback(request_limit_store.close)
            request_limits = RequestLimits(request_limit_store, clock)

            prompts = Prompts(PostgresPrompts(db))
            catalog_store = PostgresModels(db)
            models = Models(catalog_store, connect, settings.provider_poll_interval_s)
            circuits = Circuits(PostgresCircuits(db), clock, _circuit_settings(settings))
            stack.push_async_callback(circuits.drain)
            bulkheads = Bulkheads(clock, _bulkhead_settings(settings))
            latencies = Latencies(random.Random())  # noqa: S311 - spreads load, guards nothing
            attempts = Attempts(
                connect, clock, circuits=circuits, bulkheads=bulkheads, latencies=latencies
            )
            retries = Retries(clock, random.Random())  # noqa: S311 - spreads load, guards nothing
            router = Router(
                selector=Selector(Ranking(latencies), LangidDetector(), clock),
                tokens=tokens,
                circuits=circuits,
                why_unhealthy=lambda config: models.state(config).reason,
            )
            cache_store, flights = PostgresCache(db), PostgresFlights(db)
            stack.push_async_callback(flights.close)
            stack.push_async_callback(cache_store.close)
            await cache_store.start()
            cache = Cache(
                store=cache_store,
                flights=flights,
                embedder=embedder,
                router=router,
                clock=clock,
                telemetry=telemetry,
                limits=_cache_limits(settings),
            )
            stack.push_async_callback(cache.drain, _SETTLE_AFTER_CANCEL_S)
            # The server does not wait for what it cancelled to settle, and to be kept after that.
            stack.push_async_callback(ledger.drain, _SETTLE_AFTER_CANCEL_S)
            completion_store = PostgresCompletions(db)
            completions = Completions(
                ledger=ledger,
                request_limits=request_limits,
                prompts=prompts,
                models=models,
                router=router,
                answers=Answers(
                    Failover(attempts, retries, latencies, tokens, _time_limits(settings))
                ),
                cache=cache,
                store=completion_store,
            )
            stream_log = PostgresStreamLog(db)
            runs = Runs(
                complete=completions.complete,
                store=completion_store,
                log=stream_log,
                idempotency=Idempotency(PostgresIdempotency(db), telemetry),
                clock=clock,
                telemetry=telemetry,
                grace_s=settings.stream_grace_s,
            )
            stack.push_async_callback(stream_log.close)
            stack.push_async_callback(runs.local.close)
            follow_ups = CacheFollowUps(
                queue=cache.uses.follow_ups,
                complete=completions.complete,
                running=lambda: ledger.running,
                store=cache_store,
                flights=flights,
                clock=clock,
                embedder=embedder,
                telemetry=telemetry,
                chance=random.Random(),  # noqa: S311 - chooses what to compare, guards nothing
                shadow_share=settings.cache_shadow_share,
            )
            upkeep_store = PostgresCacheUpkeep(db)
            upkeep = CacheUpkeeping(upkeep_store, settings.cache_max_bytes_per_tenant)
            warming = CacheWarming(
                upkeep_store, completions.complete, lambda: ledger.running, clock
            )
            prompt_tests = PromptTests(
                store=PostgresPromptTests(db),
                prompts=prompts,
                completions=completions,
                models=models,
                embedder=embedder,
                clock=clock,
            )
            release_store = PostgresPromptReleases(db)
            rollouts = RolloutWatch(
                store=release_store,
                prompts=prompts,
                clock=clock,
                telemetry=telemetry,
                interval_s=settings.rollout_check_interval_s,
            )
            embeddings = TextEmbedding(
                models=models,
                connect=connect,
                circuits=circuits,
                bulkheads=bulkheads,
                retries=retries,
                ledger=ledger,
                request_limits=request_limits,
                store=ledger_store,
                clock=clock,
                time_limits=_time_limits(settings),
            )
            pulls = Pulls(models, connect)
            stack.push_async_callback(pulls.close)
            errands = _errands(settings, db, http, clock)
            alert_store = PostgresBudgetAlerts(db, WEBHOOK_ERRAND if errands else None)
            budget_alerts = BudgetAlerts(alert_store, clock, telemetry)
            jobs = Jobs(
                [
                    Job(
                        name="partitions",
                        description="Makes the months' partitions ahead and drops expired ones.",
                        cron="17 * * * *",
                        run=lambda: keep_partitions(db, settings.retention_months),
                    ),
                    Job(
                        name="ledger-reaper",
                        description="Settles what processes left open that are gone.",
                        cron="* * * * *",
                        run=lambda: reap(db),
                    ),
                    Job(
                        name="cache-cleanup",
                        description="Removes kept answers that expired or have to make room.",
                        cron="* * * * *",
                        run=upkeep.clean,
                    ),
                    Job(
                        name="cache-statistics",
                        description="Counts the kept answers and what they take.",
                        cron="*/5 * * * *",
                        run=upkeep.measure,
                    ),
                    Job(
                        name="cache-warming",
                        description="Asks again what is asked most before it expires.",
                        cron="30 4 * * *",
                        run=warming.run,
                        time_limit_s=3_600.0,
                    ),
                    Job(
                        name="stream-cleanup",
                        description="Forgets the events of streams ten minutes after their end.",
                        cron="* * * * *",
                        run=lambda: clean_streams(db),
                    ),
                    Job(
                        name="idempotency-cleanup",
                        description="Forgets idempotency keys after a day.",
                        cron="41 * * * *",
                        run=lambda: clean_keys(db),
                    ),
                    Job(
                        name="budget-alerts",
                        description="Tells of steps of budgets that no replica has told of.",
                        cron="* * * * *",
                        run=budget_alerts.sweep,
                    ),
                ],
                clock,
                telemetry,
            )
            queue = JobQueue(db, jobs.all, jobs.run, errands)
            periods = Periods(PostgresTenantSettings(db), clock)
            services = Services(
                completions=completions,
                runs=runs,
                prompts=prompts,
                authoring=PromptAuthoring(
                    store=PostgresPromptChanges(db), prompts=prompts, models=models, clock=clock
                ),
                releases=PromptReleases(
                    store=release_store, prompts=prompts, tests=prompt_tests, clock=clock
                ),
                prompt_tests=prompt_tests,
                reports=PromptReports(PostgresPromptPerformance(db), periods),
                models=models,
                prices=Prices(PostgresPriceChanges(db)),
                administration=Administration(catalog_store, models, clock),
                embeddings=embeddings,
                pulls=pulls,
                removal=ModelRemoval(catalog_store, models, connect),
                usage=UsageReports(PostgresUsage(db), periods),
                cache_reports=CacheReports(
                    store=cache_store,
                    upkeep=upkeep_store,
                    completions=completions,
                    prompts=prompts,
                    periods=periods,
                    forget=cache.forget,
                ),
                budget_alerts=budget_alerts,
                budgets=Budgets(PostgresBudgets(db), PostgresTenantSettings(db), clock),
                rate_limits=RateLimits(PostgresRateLimits(db), PostgresApiKeys(db), clock),
                circuits=circuits,
                jobs=jobs,
                telemetry=telemetry,
            )
            authenticator = Authenticator(
                is_dev=settings.auth_mode is AuthMode.DEV,
                gateway_secrets=[secret.get_secret_value() for secret in settings.gateway_secrets],
                tokens=token_verifier(settings, http, clock),
                api_keys=ApiKeys(PostgresApiKeys(db), clock),
                telemetry=telemetry,
                claims=ClaimNames(
                    tenant=settings.jwt_tenant_claim,
                    service=settings.jwt_service_claim,
                    scope=settings.jwt_scope_claim,
                ),
            )

            # Asks the providers what they have before the first caller comes.
            await models.catalog(PLATFORM_TENANT)
            # Loads the model: the first who looks by meaning would find it too late.
            await embedder.check()
            graphiql = load_graphiql(settings.graphiql_dir)
            schema = create_schema()
            endpoint = GraphQLEndpoint(
                schema,
                services=services,
                authenticate=authenticator.authenticate,
                ide=graphiql.response,
                allowed_origins=settings.allowed_origins,
                max_body_bytes=settings.max_body_bytes,
                max_stream_s=_LONGEST_STREAM_S,
            )
            stream_endpoint = StreamEndpoint(
                schema,
                services=services,
                authenticate=authenticator.authenticate,
                allowed_origins=settings.allowed_origins,
                max_body_bytes=settings.max_body_bytes,
                max_stream_s=_LONGEST_STREAM_S,
            )
            app.router.routes[:] = [
                *operations_routes(
                    checks={"database": db.check, "embedder": embedder.check},
                    providers=lambda: models.unhealthy_reasons(PLATFORM_TENANT),
                    telemetry=telemetry,
                ),
                *graphiql.routes,
                Route("/", RedirectResponse("/graphql")),
                Route("/graphql", endpoint),
                WebSocketRoute("/graphql", endpoint),
                Route("/api/stream", stream_endpoint),
                *openai_routes(
                    schema,
                    services=services,
                    authenticate=authenticator.authenticate,
                    max_body_bytes=settings.max_body_bytes,
                    max_stream_s=_LONGEST_STREAM_S,
                ),
            ]
            telemetry.watch(
                "assistant_running", "Completions that run now.", lambda: ledger.running
            )
            telemetry.watch_each(
                "assistant_streams",
                "Completions of clients that are made here. state: read, unread.",
                ["state"],
                lambda: runs.local.by_state,
            )
            watch_providers(telemetry, circuits, bulkheads)
            watch_cache(telemetry, cache, upkeep)

            def forget(tenant_id: str) -> None:
                prompts.forget(tenant_id)
                models.forget(tenant_id)
                request_limits.forget(tenant_id)

            for name, work in (
                ("providers", models.watch),
                ("rollouts", rollouts.watch),
                ("catalog", lambda: _follow_catalog(db, forget)),
                ("circuits", lambda: _follow_circuits(db, circuits)),
                ("tokens", tokens.keep_saved),
                ("cache", lambda: _follow_cache(db, cache, upkeep)),
                ("cache-hits", cache.uses.keep_counting),
                ("cache-follow-ups", follow_ups.watch),
                ("flights-led", flights.keep_flights),
                ("flights-followed", flights.watch_flights),
                ("streams-made", stream_log.keep_streams),
                ("streams-followed", lambda: stream_log.watch_streams(runs.local.cancel)),
            ):
                await stack.enter_async_context(kept_going(name, work))
            if announces:
                await stack.enter_async_context(
                    kept_going("budget-alerts", lambda: _follow_budget_alerts(db, budget_alerts))
                )
            if settings.run_jobs:
                await stack.enter_async_context(kept_going("jobs", queue.work))

            async def drain(grace_s: float) -> None:
                budget_alerts.close()
                await ledger.drain(grace_s)
                await runs.local.close()

            app.state.services, app.state.ledger, app.state.drain = services, ledger, drain
            yield

    return Starlette(lifespan=lifespan, middleware=_middleware(settings))


def _time_limits(settings: Settings) -> TimeLimits:
    return TimeLimits(
        connect_s=settings.provider_connect_timeout_s,
        first_event_s=settings.provider_first_event_timeout_s,
        between_events_s=settings.provider_between_events_timeout_s,
        total_s=settings.completion_timeout_s,
    )


def _errands(
    settings: Settings, db: Database, http: HttpClient, clock: SystemClock
) -> Sequence[Errand]:
    """What is tried until it is done: telling the webhook, where there is one."""
    url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
    if url is None or secret is None:
        return ()
    webhook = AlertWebhook(http, url, signing_key(secret.get_secret_value()), clock)
    return (webhook_errand(PostgresBudgetAlerts(db, None), webhook),)


def _circuit_settings(settings: Settings) -> CircuitSettings:
    return CircuitSettings(
        failures=settings.circuit_failures,
        open_s=settings.circuit_open_s,
        # Who tries again may have to wait for a model to be loaded.
        probe_s=settings.provider_queue_timeout_s + settings.provider_first_event_timeout_s,
    )


def _cache_limits(settings: Settings) -> CacheLimits:
    return CacheLimits(
        is_on=settings.cache_enabled,
        ttl_s=settings.cache_ttl_s,
        lookup_timeout_s=settings.cache_lookup_timeout_ms / 1000,
        max_entry_bytes=settings.cache_max_entry_bytes,
        memory_bytes=settings.cache_memory_bytes,
    )


def _bulkhead_settings(settings: Settings) -> BulkheadSettings:
    ollama = settings.ollama_max_concurrency
    return BulkheadSettings(
        max_concurrency=settings.provider_max_concurrency,
        by_kind={} if ollama is None else {ProviderKind.OLLAMA: ollama},
        max_waiting=settings.provider_max_waiting,
        max_wait_s=settings.provider_queue_timeout_s,
    )


def watch_providers(
    telemetry: PrometheusTelemetry, circuits: Circuits, bulkheads: Bulkheads
) -> None:
    """Show who is held back, and whose queue is how long. Tenants' providers of one name add up."""

    def by_provider(read: Callable[[Bulkhead], int]) -> Mapping[tuple[str, ...], float]:
        totals: Counter[tuple[str, ...]] = Counter()
        for (_tenant, name), bulkhead in bulkheads.by_provider.items():
            totals[(name,)] += read(bulkhead)
        return totals

    telemetry.watch_each(
        "assistant_provider_calls_running",
        "Calls of a provider that run now.",
        ["provider"],
        lambda: by_provider(lambda bulkhead: bulkhead.running),
    )
    telemetry.watch_each(
        "assistant_provider_calls_waiting",
        "Calls that wait for a place with a provider.",
        ["provider"],
        lambda: by_provider(lambda bulkhead: bulkhead.waiting),
    )
    telemetry.watch_each(
        "assistant_circuit_state",
        "Models that are held back: 1 open, 0.5 half-open. Those that are not have no series.",
        ["provider", "model"],
        lambda: {
            (key.provider, key.model): 1.0 if circuits.state(key) is CircuitState.OPEN else 0.5
            for key in circuits.not_closed
        },
    )


def watch_cache(telemetry: PrometheusTelemetry, cache: Cache, upkeep: CacheUpkeeping) -> None:
    """Show how much is kept: of everything as it was counted last, and here in memory."""
    telemetry.watch(
        "assistant_cache_entries",
        "Kept answers of all tenants, as last counted by the job cache-statistics.",
        lambda: upkeep.last.entries if upkeep.last else math.nan,
    )
    telemetry.watch(
        "assistant_cache_bytes",
        "What they take, as last counted.",
        lambda: upkeep.last.size_bytes if upkeep.last else math.nan,
    )
    telemetry.watch(
        "assistant_cache_memory_bytes",
        "What this replica keeps in memory.",
        lambda: cache.memory_bytes,
    )


def _middleware(settings: Settings) -> list[Middleware]:
    middleware = [Middleware(RequestLog)]
    if settings.auth_mode is AuthMode.DEV:
        # A page whose name was made to resolve to loopback would otherwise be a local admin.
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK_NAMES]))
    if settings.allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=[
                    *("retry-after", "retry-after-ms", "x-should-retry", "x-request-id"),
                    *(COMPLETION_HEADER, CACHE_HEADER),
                ],
            )
        )
    return middleware


# ------------------------------------------------------------------- what is followed


async def _follow_catalog(db: Database, forget: Callable[[str], None]) -> None:
    """Forget what other replicas and administrators have changed."""
    async for tenant_id in listen(db, CATALOG_CHANNEL):
        forget(PLATFORM_TENANT if tenant_id == EVERYTHING else tenant_id)


async def _follow_circuits(db: Database, circuits: Circuits) -> None:
    """Hold back what another replica has found to fail, and let through what works again."""
    async for payload in listen(db, CIRCUIT_CHANNEL):
        if payload == EVERYTHING:
            await circuits.learn_all()
        else:
            circuits.learn(notice_of(payload))


async def _follow_budget_alerts(db: Database, alerts: BudgetAlerts) -> None:
    """Show who watches here what any replica has caused; tell of it, unless another one does."""
    async for payload in listen(db, BUDGET_ALERT_CHANNEL):
        if payload == EVERYTHING:
            await alerts.catch_up()
            await alerts.announce_all()
        else:
            alert = alert_of(payload)
            alerts.tell(alert)
            await alerts.announce(alert.tenant_id)


async def _follow_cache(db: Database, cache: Cache, upkeep: CacheUpkeeping) -> None:
    """Forget what was removed, replaced or judged, and learn what was counted, on any replica."""
    async for payload in listen(db, CACHE_CHANNEL):
        if payload == EVERYTHING:
            cache.forget()
            continue
        match cache_notice_of(payload):
            case CacheUpkeep() as counted:
                upkeep.last = counted
            case CacheNotice(tenant_id, key):
                cache.forget(tenant_id, key)
