"""How far a study has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Counts of points; `print` shows them in one line.

    Attributes
    ----------
    total : points of the study.
    done : of which the file has results.
    failed : of which this run has errors.
    seconds : since the run began.
    """

    total: int
    done: int
    failed: int
    seconds: float

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.total} points{failed}, {self.seconds:.1f} s"
