"""Figures as files: the same bytes for the same runs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlmodel._arrays import check_choice
from paper_repro.files import write_atomically


if TYPE_CHECKING:
    from matplotlib.figure import Figure


FORMATS = ("svg", "png", "pdf")
NO_DATE = {"svg": {"Date": None}, "png": None, "pdf": {"CreationDate": None}}


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write `figure` as name.svg, name.png, name.pdf into `folder`, which is made when missing."""
    for kind in formats:
        check_choice(kind, "formats", FORMATS)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in formats:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=NO_DATE[kind])
        write_atomically(folder / f"{name}.{kind}", buffer.getvalue())
        paths.append(folder / f"{name}.{kind}")
    return paths
