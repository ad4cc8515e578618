"""How often the guard of a rollout errs, simulated.

``python -m tests.quality.rollouts``; two versions with known error rates are compared every ten
requests, up to 2,000 of each, as a rollout with even shares would be.
"""

from __future__ import annotations

import random
from statistics import median

from assistant.domain.rollout import ReleaseFigures, RolloutGuard, breach

ROLLOUTS, REQUESTS, STEP = 500, 2_000, 10
GUARD = RolloutGuard(cost_margin=None)


def by_margin_alone(old: ReleaseFigures, new: ReleaseFigures) -> bool:
    """What the guard would say without regard to chance."""
    return new.requests >= GUARD.min_samples and new.error_rate > old.error_rate + 0.05


def simulate(chance: random.Random, old_rate: float, new_rate: float) -> tuple[int | None, bool]:
    """After how many requests the new version is taken back, and whether a margin alone would."""
    old_failed = new_failed = 0
    taken_back_at, alone = None, False
    for requests in range(STEP, REQUESTS + 1, STEP):
        old_failed += sum(chance.random() < old_rate for _ in range(STEP))
        new_failed += sum(chance.random() < new_rate for _ in range(STEP))
        old, new = ReleaseFigures(requests, old_failed), ReleaseFigures(requests, new_failed)
        if taken_back_at is None and breach(GUARD, old, new):
            taken_back_at = requests
        alone = alone or by_margin_alone(old, new)
    return taken_back_at, alone


def main() -> None:
    chance = random.Random(1)
    print(f"{ROLLOUTS} rollouts each; margin 5 points, {GUARD.min_samples} samples")
    for old_rate, new_rate in ((0.05, 0.05), (0.1, 0.1), (0.2, 0.2), (0.02, 0.1), (0.05, 0.15)):
        runs = [simulate(chance, old_rate, new_rate) for _ in range(ROLLOUTS)]
        found = [at for at, _ in runs if at is not None]
        print(
            f"errors {old_rate:.0%} against {new_rate:.0%}: taken back {len(found) / ROLLOUTS:6.1%}"
            f" (by the margin alone {sum(alone for _, alone in runs) / ROLLOUTS:6.1%}),"
            f" after {median(found) if found else 0:.0f} requests"
        )


if __name__ == "__main__":
    main()
