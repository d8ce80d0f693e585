"""Records of a CSV file, of which the last may be half written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlmodel.errors import FileError


def records(path: Path) -> Iterator[list[str]]:
    """The complete records; what follows the last one is left out."""
    for text in _texts(path, complete=True):
        try:
            yield next(csv.reader([text], strict=True))
        except csv.Error as error:
            raise FileError(f"{path} is not a table", got=f"{text[:40]!r}: {error}") from error


def remainder(path: Path) -> str:
    """What follows the last complete record."""
    return next(_texts(path, complete=False), "")


def line(cells: Iterable[str]) -> str:
    """One record as text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def rewrite(path: Path, lines: Iterable[list[str]]) -> None:
    """Put the records in place of the file, all or none of them."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.writelines(line(cells) for cells in lines)
    beside.replace(path)


def _texts(path: Path, *, complete: bool) -> Iterator[str]:
    """Texts of the complete records, or of the incomplete one; a record ends with a line whose quotes are closed."""
    with path.open("rb") as file:
        text = b""
        for part in file:
            text += part
            if part.endswith(b"\n") and text.count(b'"') % 2 == 0:
                if complete:
                    yield _decoded(text, path)
                text = b""
    if text and not complete:
        yield text.decode(errors="replace")


def _decoded(text: bytes, path: Path) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not a table in UTF-8", got=repr(text[:40])) from error
