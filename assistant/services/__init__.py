"""Use cases, built on the domain and its ports."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.domain.ports import Telemetry
from assistant.services.administration import Administration
from assistant.services.budget_alerts import BudgetAlerts
from assistant.services.budgets import Budgets
from assistant.services.cache_reports import CacheReports
from assistant.services.circuits import Circuits
from assistant.services.completion import Completions
from assistant.services.embeddings import TextEmbedding
from assistant.services.jobs import Jobs
from assistant.services.model_removal import ModelRemoval
from assistant.services.models import Models
from assistant.services.prices import Prices
from assistant.services.prompt_authoring import PromptAuthoring
from assistant.services.prompt_releases import PromptReleases
from assistant.services.prompt_reports import PromptReports
from assistant.services.prompt_tests import PromptTests
from assistant.services.prompts import Prompts
from assistant.services.pulls import Pulls
from assistant.services.rate_limits import RateLimits
from assistant.services.runs import Runs
from assistant.services.usage import UsageReports


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case of the API and the commands, and where it is counted who was turned away."""

    completions: Completions
    runs: Runs
    prompts: Prompts
    authoring: PromptAuthoring
    releases: PromptReleases
    prompt_tests: PromptTests
    reports: PromptReports
    models: Models
    prices: Prices
    administration: Administration
    embeddings: TextEmbedding
    pulls: Pulls
    removal: ModelRemoval
    usage: UsageReports
    cache_reports: CacheReports
    budget_alerts: BudgetAlerts
    budgets: Budgets
    rate_limits: RateLimits
    circuits: Circuits
    jobs: Jobs
    telemetry: Telemetry
