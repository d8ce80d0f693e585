"""The files of a run: JSON with every sample, and the tables in Markdown."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, tables
from benchmarks.case import Case
from benchmarks.figures import Verdict
from benchmarks.record import Record
from benchmarks.workload import Workload


RESULTS = Path(__file__).with_name("results")
DIGITS = 4  # significant ones of a sample


def contents(
    facts: Mapping[str, Any], chosen: Sequence[Workload], record: Record, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Everything, as JSON takes it, in seconds, bytes and operations."""
    return {
        "machine": dict(facts),
        "ceilings": record.ceilings,
        "cases": [
            {"workload": w.name, "case": case.name, "about": case.about, "contestants": _contestants(case, record)}
            for w in chosen
            for case in w.cases
        ],
        "agreements": [
            {
                "case": a.case,
                "contestant": a.contestant,
                "same_as": a.same_as,
                "how": a.how,
                "holds": a.holds,
                "gaps": {name: gap if math.isfinite(gap) else None for name, gap in a.gaps.items()},
                "bounds": dict(a.bounds),
            }
            for a in record.agreements
            if any(a.case == case.name for w in chosen for case in w.cases)
        ],
        "figures": [
            {
                "figure": v.figure.name,
                "beside": v.figure.beside,
                "status": v.status,
                "reason": v.reason,
                "ratio": v.ratio,
                "runs": v.runs,
                "middle_half": v.spread,
                "must": v.figure.must,
                "goal": v.figure.goal,
                "goal_reached": v.reaches_goal,
            }
            for v in verdicts
            if any(v.figure in w.figures for w in chosen)
        ],
    }


def write(
    options: argparse.Namespace,
    facts: Mapping[str, Any],
    chosen: Sequence[Workload],
    record: Record,
    verdicts: Sequence[Verdict],
) -> list[Path]:
    """Write the files and return their paths; what is kept has a file for each workload."""

    def text(which: Sequence[Workload]) -> str:
        return json.dumps(contents(facts, which, record, verdicts), indent=1, allow_nan=False) + "\n"

    pages = {
        options.out / f"{options.group}.json": text(chosen),
        options.out / f"{options.group}.md": tables.markdown(facts, chosen, record, verdicts),
    }
    for workload in chosen if options.keep else ():
        name = f"{workload.name} {machine.name_of(facts)}".replace(" ", "-")
        pages[RESULTS / f"{name}.json"] = text([workload])
    for path, page in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    return list(pages)


def _contestants(case: Case, record: Record) -> list[dict[str, Any]]:
    return [
        {
            "contestant": contestant.name,
            "trouble": record.trouble(case.name, contestant.name),
            "measures": {
                name: _measure(case, (case.name, contestant.name, name), record)
                for name in case.measures
                if (case.name, contestant.name, name) in record.times
            },
        }
        for contestant in case.contestants
    ]


def _measure(case: Case, key: tuple[str, str, str], record: Record) -> dict[str, Any]:
    seconds = record.seconds(key)
    return {
        "seconds": seconds,
        "samples": [[float(f"{x:.{DIGITS}g}") for x in run] for run in record.times[key]],
        "peak_bytes": record.peaks.get(key),
        "cold_start": record.cold.get(key),
        "error": record.errors.get(key),
        "share_of_limit": machine.share_of_limit(case.work.get(key[2]), seconds, record.ceilings),
    }
