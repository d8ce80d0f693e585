"""Exit statuses, and what a sweep tells at its end."""

from __future__ import annotations

from paper_repro.sweep import Report


DONE, FAILED, INTERRUPTED = 0, 2, 130


def tell_report(report: Report) -> None:
    """One line: how many runs finished, diverged, were paused, failed."""
    counts = [(len(getattr(report, name)), name) for name in ("finished", "diverged", "paused", "failed")]
    told = ", ".join(f"{count} {name}" for count, name in counts if count)
    print(f"{told or 'Nothing left to do'}.")
    if report.paused:
        print("The same command goes on where this one stopped.")
