"""The runs of each row of a preset, from the table of results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from paper_repro.config import RunConfig
from paper_repro.sweep.collect import DIGEST


CLASSES = {"cifar100": 100}
PAPER_EPOCHS = 164


@dataclass(frozen=True)
class RowRuns:
    """All runs of one row: last and best test error in percent by seed, and why the others diverged."""

    row: str
    config: RunConfig
    last: Mapping[int, float]
    best: Mapping[int, float]
    diverged: Mapping[int, str] = field(default_factory=dict)
    other: int = 0  # runs of this row with another configuration, which do not count

    @property
    def runs(self) -> int:
        return len(self.last) + len(self.diverged)

    @property
    def counted(self) -> dict[int, float]:
        """Last errors by seed; a run that diverged counts as a network that guesses."""
        return dict(self.last) | dict.fromkeys(self.diverged, chance(self.config))

    @property
    def median(self) -> float:
        """Median over all runs, nan when there are none or half of them diverged."""
        if not self.runs or 2 * len(self.diverged) >= self.runs:
            return float("nan")
        return statistics.median(self.counted.values())

    @property
    def finished(self) -> np.ndarray:
        return np.array([self.last[seed] for seed in sorted(self.last)], dtype=np.float64)

    def __repr__(self) -> str:
        return f"RowRuns({self.row}, {len(self.last)} finished, {len(self.diverged)} diverged)"


def chance(config: RunConfig) -> float:
    """Error in percent of a network that guesses."""
    return 100.0 * (1 - 1 / CLASSES.get(config.dataset, 10))


def is_papers(config: RunConfig) -> bool:
    """Whether errors may be set against the paper's: all real images, all epochs."""
    whole = config.train_images is None and config.test_images is None
    return config.dataset != "synthetic" and whole and config.epochs == PAPER_EPOCHS


def gather(rows: Sequence[tuple[str, RunConfig]], results: Iterable[Mapping[str, str]]) -> list[RowRuns]:
    """The runs of each row of a preset, in the order of the preset.

    Parameters
    ----------
    rows : (name, configuration) of the preset.
    results : rows of a table of results; those of another configuration are counted, not used.
    """
    results = list(results)
    return [_runs(row, config, [r for r in results if r["row"] == row]) for row, config in rows]


def _runs(row: str, config: RunConfig, results: Sequence[Mapping[str, str]]) -> RowRuns:
    digest = config.digest()[:DIGEST]
    ours = [r for r in results if r["config_digest"] == digest]
    done = [r for r in ours if r["status"] == "finished" and r["final_error"]]
    return RowRuns(
        row,
        config,
        last={int(r["seed"]): float(r["final_error"]) for r in done},
        best={int(r["seed"]): float(r["best_error"]) for r in done if r["best_error"]},
        diverged={int(r["seed"]): r["reason"] for r in ours if r["status"] == "diverged"},
        other=len(results) - len(ours),
    )
