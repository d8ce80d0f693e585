"""Finished runs as rows of a table kept with the code: one row a run, nothing that names a machine or a folder."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nlmodel.errors import FileError
from paper_repro.files import write_atomically
from paper_repro.sweep.jobs import Job, run_folder
from paper_repro.training.result import Result, load_result


COLUMNS: tuple[str, ...] = (
    "preset",
    "row",
    "config_digest",
    "seed",
    "status",
    "reason",
    "epochs",
    "final_error",
    "best_error",
    "train_error",
    "seconds",
    "images_per_second",
    "device",
    "threads",
    "torch",
    "nlmodel",
    "date",
    "data",
)
DIGITS = {"final_error": 2, "best_error": 2, "train_error": 3, "seconds": 1, "images_per_second": 0}
DIGEST = 10  # characters of a configuration's digest that name it in a table

Row = dict[str, str]


def collect(preset: str, jobs: Iterable[Job], out: Path, table: Path) -> list[Row]:
    """Write the runs of `jobs` that are done into `table`, beside the rows that are there, and return all rows.

    Each row names its `preset`, so that none of a shortened recipe is taken for the paper's.  A run replaces its own
    earlier row, and the same run gives the same bytes however often it is collected.

    Raises   FileError: a result, or the table, cannot be read.
    """
    rows = {_key(row): row for row in read_rows(table)}
    for job in jobs:
        result = load_result(run_folder(job, out))
        if result is not None and result.done:
            row = _row(preset, job, result)
            rows[_key(row)] = row
    ordered = sorted(rows.values(), key=_order)
    write_atomically(table, to_csv(ordered).encode())
    return ordered


def read_rows(table: Path) -> list[Row]:
    """The rows of a table of results; none when there is no such file.

    Raises   FileError: its columns are not `COLUMNS`.
    """
    try:
        text = table.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    reader = csv.DictReader(io.StringIO(text))
    rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row or None in row.values() for row in rows):
        raise FileError(
            f"{table.name} must have the columns of a table of results",
            got=", ".join(reader.fieldnames or ["nothing"]),
            fix=f"its first line is {','.join(COLUMNS)}",
        )
    return rows


def to_csv(rows: Sequence[Row]) -> str:
    """The table as text."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _row(preset: str, job: Job, result: Result) -> Row:
    told = {
        "preset": preset,
        "row": job.row,
        "config_digest": job.config.digest()[:DIGEST],
        "seed": job.seed,
        "status": result.status,
        "reason": result.reason,
        "epochs": result.epochs_done,
        "final_error": result.final_error,
        "best_error": result.best_error,
        "train_error": result.final_train_error,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
        "device": result.device,
        "threads": result.threads,
        "torch": result.versions.get("torch"),
        "nlmodel": result.versions.get("nlmodel"),
        "date": result.date,
        "data": job.config.dataset,
    }
    return {name: _cell(told[name], DIGITS.get(name)) for name in COLUMNS}


def _cell(value: Any, digits: int | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.{digits}f}" if digits is not None else " ".join(str(value).split())


def _key(row: Row) -> tuple[str, str, str]:
    return row["row"], row["config_digest"], row["seed"]


def _order(row: Row) -> tuple[Any, ...]:
    """Rows by name with numbers in order of size, then seeds."""
    parts = re.split(r"(\d+)", row["row"])
    natural = tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)
    return natural, row["config_digest"], int(row["seed"])
