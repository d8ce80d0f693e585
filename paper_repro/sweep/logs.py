"""The curves of a run so far, readable while it goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from nlmodel.errors import FileError
from paper_repro.training.folder import LOG


MAY_BE_EMPTY = ("test_loss", "test_error")  # epochs without evaluation


def read_log(folder: Path) -> dict[str, np.ndarray]:
    """The columns of the log of epochs; empty before the first epoch. A last line that is being written is left out."""
    try:
        text = (folder / LOG).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    lines = text[: text.rfind("\n") + 1].splitlines()
    rows = list(csv.DictReader(lines))
    if not rows:
        return {}
    try:
        return {name: np.array([_number(row[name], name) for row in rows]) for name in rows[0]}
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(
            f"{folder.name}/{LOG} must hold numbers, one line an epoch",
            got=str(error),
            why="curves and error so far are read from it",
            fix="delete the folder of this run and train it again",
        ) from error


def _number(text: str | None, name: str) -> float:
    return np.nan if text == "" and name in MAY_BE_EMPTY else float(text)  # pyright: ignore[reportArgumentType]
