"""Hunting counterexamples with Hypothesis: the worst example of a strategy, shrunk when it breaks the law."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from validation.outcome import Measure, Outcome, number


@dataclass(frozen=True)
class Hunt:
    """What a hunt found: the worst number with its range, and the shrunken counterexample if there is one."""

    outcome: Outcome
    counterexample: Any = None


def hunt(
    strategy: Any,
    defect: Measure,
    judge: Callable[[float], Outcome],
    *,
    examples: int,
    seed: int,
    shrink: bool = True,
) -> Hunt:
    """Draw `examples` values from `strategy` and return the one whose defect is worst.

    Reproducible: seeded, without a database. NaN counts as a counterexample, so that it cannot hide. Without
    `shrink` the first counterexample is good enough, as for a control.
    """
    import hypothesis
    from hypothesis.errors import NoSuchExample

    worst: list[Outcome] = []

    def breaks(example: Any) -> bool:
        outcome = judge(number(defect(example)))
        if not worst or _excess(outcome) > _excess(worst[0]):
            worst[:] = [outcome]
        return not outcome.passed

    generate = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        phases=(*generate, hypothesis.Phase.shrink) if shrink else generate,
    )
    try:
        example = hypothesis.find(strategy, breaks, settings=settings, random=random.Random(seed))
    except NoSuchExample:
        return Hunt(_described(worst[0], f"{examples} examples"))
    found = "counterexample, shrunk" if shrink else "counterexample"
    return Hunt(_described(judge(number(defect(example))), found), example)


def _excess(outcome: Outcome) -> float:
    """Signed distance beyond the range, infinite for NaN."""
    if math.isnan(outcome.measured):
        return math.inf
    return max(outcome.measured - outcome.high, outcome.low - outcome.measured)


def _described(outcome: Outcome, detail: str) -> Outcome:
    return Outcome(outcome.measured, outcome.low, outcome.high, "property", detail)
