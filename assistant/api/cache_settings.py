"""How a prompt's answers are kept, as clients read and set it."""

from __future__ import annotations

from typing import Any, Self, cast

import strawberry

from assistant.api.changes import changes_of
from assistant.domain import cache as domain
from assistant.domain.cache import CacheSharing
from assistant.domain.prompt import CacheChanges


@strawberry.type(description="How a prompt's answers are kept.")
class CacheSettings:
    ttl_seconds: int | None = strawberry.field(
        description="How long an answer is given again; 0 for never, null for as long as the "
        "service is configured to."
    )
    min_similarity: float = strawberry.field(
        description="From which cosine on two questions may have one answer."
    )
    max_temperature: float = strawberry.field(
        description="Requests with a higher temperature want another answer each time: they are "
        "not answered from the cache."
    )
    sharing: CacheSharing = strawberry.field(description="Whose requests one answer may serve.")
    is_semantic: bool = strawberry.field(
        description="Whether questions of the same meaning are answered, not only the very same."
    )
    variables: list[str] = strawberry.field(
        description="The variables whose wording may differ; those that a version does not take "
        "are passed over. Empty: the only variable that a version takes."
    )

    @classmethod
    def of(cls, settings: domain.CacheSettings) -> Self:
        return cls(
            ttl_seconds=settings.ttl_s,
            min_similarity=settings.min_similarity,
            max_temperature=settings.max_temperature,
            sharing=settings.sharing,
            is_semantic=settings.is_semantic,
            variables=list(settings.variables),
        )


@strawberry.input(
    description="How a prompt's answers are to be kept; absent fields stay as they are, or as is "
    "usual for a new prompt."
)
class CacheSettingsInput:
    ttl_seconds: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="How long an answer is given again, up to 2,592,000 (30 days); 0 for never, "
        "null for as long as the service is configured to.",
    )
    min_similarity: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="From which cosine on two questions may have one answer, 0.8 to 1; usually "
        "0.95. Not null.",
    )
    max_temperature: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Up to which temperature answers are kept, 0 to 2; usually 0.3. Not null.",
    )
    sharing: CacheSharing | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whose requests one answer may serve; usually USER. Not null.",
    )
    is_semantic: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether questions of the same meaning are answered, not only the very same; "
        "usually true. Not null.",
    )
    variables: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Up to 20 variables whose wording may differ; usually none, which means the "
        "only variable that a version takes. Not null.",
    )

    def to_domain(self) -> CacheChanges:
        """Raises BadUserInput."""
        variables = self.variables
        given: dict[str, tuple[str, Any]] = {
            "ttl_s": ("ttlSeconds", self.ttl_seconds),
            "min_similarity": ("minSimilarity", self.min_similarity),
            "max_temperature": ("maxTemperature", self.max_temperature),
            "sharing": ("sharing", self.sharing),
            "is_semantic": ("isSemantic", self.is_semantic),
            "variables": (
                "variables",
                tuple(variables) if isinstance(variables, list) else variables,
            ),
        }
        return cast("CacheChanges", changes_of(given, nullable=("ttl_s",)))
