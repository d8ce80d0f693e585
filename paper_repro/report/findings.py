"""What the runs say about the paper's statements, in sentences with their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paper_repro.figures.curves import FULL_RATE
from paper_repro.figures.history import patterns
from paper_repro.figures.panels import score, z_words
from paper_repro.figures.runs import Run
from paper_repro.figures.signs import CLEAR, DAMPING, OPPOSITE, SignPattern, pattern_of
from paper_repro.sweep.state import DIVERGED, DONE


SHOWN, NOT_SHOWN, OPEN = "shown", "not shown", "open"
SIGNS = {"original": "negative", "proposed": "positive"}


@dataclass(frozen=True)
class Finding:
    """One statement: whether it is shown, a headline, and the numbers behind it."""

    level: str
    headline: str
    text: str


@dataclass(frozen=True)
class WeightSigns:
    """The signs of one weight at the last logged epoch of its run."""

    run: Run
    number: int
    epoch: int
    signs: SignPattern

    @property
    def pattern(self) -> str:
        return pattern_of(self.run.job.config.form, self.signs.z)

    @property
    def cells(self) -> tuple[str, ...]:
        """As text: row, seed, epoch, weight, negatives, z, z of the balance, pattern."""
        found = self.signs
        count = f"{found.negatives} of {found.of}"
        where = (self.run.row, str(self.run.job.seed), str(self.epoch), f"$W^{{{self.number}}}$")
        return (*where, count, score(found.z), score(found.balance_z), self.pattern)


def last_signs(runs: Sequence[Run]) -> list[WeightSigns]:
    """Every weight of every run, at its last logged epoch with finite weights."""
    return [
        WeightSigns(run, k, epoch, signs)
        for run in runs
        for epoch, weights in patterns(run)[-1:]
        for k, signs in enumerate(weights, 1)
    ]


def findings(runs: Sequence[Run]) -> Iterator[Finding]:
    """Whether four original blocks fail, and the signs of original and of proposed blocks."""
    yield _failure([run for run in runs if run.status in DONE])
    for form in SIGNS:
        weights = [found for found in last_signs(runs) if found.run.job.config.form == form]
        if weights:
            yield _signs(form, weights)


def _failure(done: Sequence[Run]) -> Finding:
    """The paper: four original blocks do not converge at the rate of the others (Sec. 3.1)."""
    four = [
        run
        for run in done
        if (run.job.config.form, run.job.config.blocks, run.job.config.lr) == ("original", 4, FULL_RATE)
    ]
    lost = [run for run in done if run.status == DIVERGED]
    told = "; ".join(f"{run.row}, seed {run.job.seed}, after {run.epochs} epochs: {run.reason}" for run in lost)
    text = f"Of all {len(done)} finished runs {len(lost) or 'none'} diverged. {f'{told}.' if told else ''}".strip()
    if not four:
        return Finding(
            OPEN, "Whether four original blocks fail at the full learning rate is open: no finished run.", text
        )
    failed = sum(run.status == DIVERGED for run in four)
    count = f"{failed} of {len(four)} run{'s' if len(four) > 1 else ''} diverged"
    if 2 * failed > len(four):
        return Finding(SHOWN, f"Four original blocks fail at the full learning rate: {count}.", text)
    return Finding(NOT_SHOWN, f"Four original blocks do not fail at the full learning rate: {count}.", text)


def _signs(form: str, weights: Sequence[WeightSigns]) -> Finding:
    """Whether all weights of a form show the sign pattern of damping."""
    damping = sum(found.pattern == DAMPING for found in weights)
    opposite = sum(found.pattern == OPPOSITE for found in weights)
    name = f"the damping sign pattern (mostly {SIGNS[form]} eigenvalues among the largest)"
    if damping == len(weights):
        level, headline = SHOWN, f"The {form} blocks show {name}."
    else:
        level, headline = NOT_SHOWN, f"The {form} blocks do not show {name}."
    others = f", {opposite} of its opposite" if opposite else ""
    text = (
        f"{damping} of {len(weights)} weights are of that pattern{others}, counted from {CLEAR:g} standard deviations. "
        f"{_range('By number', [found.signs.z for found in weights])} "
        f"{_range('By size', [found.signs.balance_z for found in weights])} Positive z: negative eigenvalues lead."
    )
    return Finding(level, headline, text)


def _range(what: str, scores: Sequence[float]) -> str:
    known = [z for z in scores if not math.isnan(z)]
    if not known:
        return f"{what}: z undefined, the weights are zero."
    low, high = min(known), max(known)
    return f"{what}: {z_words(low)}{f' to {score(high)}' if high > low else ''}."
