"""One file's step of an import: what the catalog says, what the file says, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import cast

from assistant.domain.prompt import (
    CacheChanges,
    Prompt,
    PromptChanges,
    PromptDraft,
    PromptPartial,
    PromptVersion,
)
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestCase, PromptTestDraft
from assistant.services.prompt_documents import (
    document_of,
    is_same_test,
    is_same_text,
    is_same_wording,
    wording_of,
)
from assistant.services.prompt_files import write_prompt


@dataclass(frozen=True, slots=True)
class Known:
    """What the tenant's catalog has under a file's name; ``prompt`` is None where it has nothing.

    ``versions`` are the newest first. ``hidden``: the platform has a prompt of that name.
    """

    prompt: Prompt | None = None
    published: PromptVersion | None = None
    versions: Sequence[PromptVersion] = ()
    cases: Sequence[PromptTestCase] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class ImportStep:
    """What is to be done for one file.

    ``prompt`` is the tenant's own, None where there is none of the name. ``before`` is what it says
    now, of the tests only those that the file has; None where it has no version at all.
    ``published`` is the number of its published version, 0 for none. ``says_so`` is a version that
    says what the file says already; None where one is added. ``kept_tests`` are the catalog's alone.
    """

    file: Path
    document: PromptDocument
    prompt: Prompt | None
    before: PromptDocument | None
    before_label: str
    published: int
    says_so: PromptVersion | None
    publishes: bool
    changes: PromptChanges
    tests: tuple[PromptTestDraft, ...]
    kept_tests: tuple[str, ...]
    hides_platform: bool

    @property
    def name(self) -> str:
        return self.document.prompt.name

    @property
    def needs_run(self) -> bool:
        """Whether the version must pass its tests before it is published."""
        was_published = self.says_so is not None and self.says_so.published_at is not None
        return self.publishes and self.document.prompt.publish_requires_tests and not was_published

    @property
    def actions(self) -> Sequence[str]:
        """In words; none where there is nothing to do."""
        found: list[str] = []
        if self.prompt is None:
            also = ", which takes the place of the platform's" if self.hides_platform else ""
            found.append(f"create it{also}")
        elif self.changes.get("is_archived") is False:
            found.append("bring it back from the archive")
        changed = [field for field in self.changes if field != "is_archived"]
        if changed:
            found.append(f"change {', '.join(changed)}")
        if self.says_so is None and self.prompt is not None:
            is_same = self.before is not None and is_same_wording(
                self.before.prompt.version, self.document.prompt.version
            )
            also = ", for a text that it includes has changed" if is_same else ""
            found.append(f"add a version{also}")
        if self.tests:
            found.append(f"put {_counted(len(self.tests), 'test')}")
        if self.publishes:
            which = f"version {self.says_so.version}" if self.says_so else "it"
            if self.needs_run:
                which += " once its tests have passed, which are run now"
            elif self.prompt and self.prompt.rollout:
                which += ", which ends the rollout"
            found.append(f"publish {which}")
        return found

    def diff(self) -> Sequence[str]:
        """A unified diff of the YAML, from the catalog's to the file's."""
        before = write_prompt(self.before).splitlines() if self.before else []
        after = write_prompt(self.document).splitlines()
        return list(unified_diff(before, after, self.before_label, str(self.file), lineterm=""))


def plan_step(
    file: Path,
    document: PromptDocument,
    partials: tuple[PromptPartial, ...],
    known: Known,
    *,
    as_drafts: bool,
) -> ImportStep:
    """What is to be done that the catalog, of which ``known`` is a part, says what the file says.

    ``partials`` are what the file includes; a version with other texts does not say the same.
    """
    wanted, prompt, published = document.prompt, known.prompt, known.published
    candidates = ([published] if published else []) + [*known.versions]
    same = [
        version
        for version in candidates
        if is_same_wording(wording_of(version), wanted.version)
        and is_same_text(version.partials, partials)
    ]
    before = document_of(prompt, candidates[0], known.cases) if prompt and candidates else None
    known_tests = {test.name: test for test in before.tests} if before else {}
    tests = tuple(
        test
        for test in document.tests
        if test.name not in known_tests or not is_same_test(known_tests[test.name], test)
    )
    label = f"catalog: {wanted.name}, version {candidates[0].version}" if candidates else "nothing"
    return ImportStep(
        file=file,
        document=document,
        prompt=prompt,
        before=_as_far_as_in(document, before) if before else None,
        before_label=label,
        published=published.version if published else 0,
        says_so=same[0] if same else None,
        publishes=not as_drafts and not (same and same[0] is published),
        changes=_changes(prompt, wanted) if prompt else {},
        tests=tests,
        kept_tests=tuple(sorted(known_tests.keys() - {test.name for test in document.tests})),
        hides_platform=known.hidden,
    )


def _as_far_as_in(document: PromptDocument, before: PromptDocument) -> PromptDocument:
    """``before`` without tests that the file lacks, and in its spelling where they say the same."""
    version, known = before.prompt.version, {test.name: test for test in before.tests}
    if is_same_wording(version, document.prompt.version):
        version = document.prompt.version
    tests = tuple(
        test if is_same_test(known[test.name], test) else known[test.name]
        for test in document.tests
        if test.name in known
    )
    return PromptDocument(replace(before.prompt, version=version), tests)


def _changes(prompt: Prompt, wanted: PromptDraft) -> PromptChanges:
    changes: PromptChanges = {}
    if prompt.description != wanted.description:
        changes["description"] = wanted.description
    if prompt.category != wanted.category:
        changes["category"] = wanted.category
    if prompt.tags != wanted.tags:
        changes["tags"] = wanted.tags
    if prompt.publish_requires_tests != wanted.publish_requires_tests:
        changes["publish_requires_tests"] = wanted.publish_requires_tests
    if prompt.cache != wanted.cache:
        changes["cache"] = cast("CacheChanges", asdict(wanted.cache))
    if prompt.is_archived:
        changes["is_archived"] = False
    return changes


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
