"""What there is to do: one job a row and seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmodel._arrays import check_count
from nlmodel.errors import DomainError
from paper_repro.config import RunConfig, run_id


@dataclass(frozen=True)
class Job:
    """One run: a row of a preset with one seed."""

    row: str
    config: RunConfig
    seed: int

    @property
    def run_id(self) -> str:
        return run_id(self.config, self.seed)

    def __repr__(self) -> str:
        return f"Job({self.row}, seed {self.seed})"


def queue(rows: Sequence[tuple[str, RunConfig]], seeds: Iterable[int]) -> list[Job]:
    """All (row, seed), one seed of every row first: wherever it stops, no row is ahead of another by more than a seed.

    Raises   DomainError: no row, no seed, a seed twice; DtypeError: a seed that is no whole number.
    """
    chosen = [check_count(seed, "seed") for seed in seeds]
    if not rows or not chosen:
        raise DomainError("a sweep needs at least one row and one seed", got=f"{len(rows)} rows, {len(chosen)} seeds")
    if len(set(chosen)) < len(chosen):
        raise DomainError("each seed may be named once", got=", ".join(map(str, chosen)))
    return [Job(row, config, seed) for seed in chosen for row, config in rows]


def run_folder(job: Job, out: Path) -> Path:
    """The folder of a run, below the folder of all runs."""
    return out / job.run_id
