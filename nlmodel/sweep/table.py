"""The table of a study as a CSV file that grows row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from nlmodel.errors import DomainError, FileError
from nlmodel.sweep.points import Point, key, written
from nlmodel.sweep.records import line, records, remainder, rewrite


class Table:
    """Columns function, parameters, results, error; one row a point, in the order in which they finish.

    What results there are the first of them says; errors that come before it wait for it.
    """

    def __init__(self, path: Path, function: str, points: Sequence[Point], *, resume: bool):
        self.path, self.function, self.parameters = path, function, list(points[0])
        self.results: list[str] | None = None
        self.done: set[tuple[str, ...]] = set()
        self._waiting: list[list[str]] = []
        self._file: IO[str] | None = None
        self._fresh = True
        if path.exists() and not resume:
            raise FileError(f"{path} exists", fix="resume=True to go on with it, or another file")
        if path.exists():
            self._resume({key(point) for point in points})

    def add(self, point: Point, results: Mapping[str, object]) -> None:
        """A row with results; `DomainError` when they are not the columns of the table."""
        if self.results is None:
            self._begin(list(results))
        if list(results) != self.results:
            self._other_columns(list(results))
        self._fresh = False
        self._write([[self.function, *key(point), *map(written, results.values()), ""]])
        self.done.add(key(point))

    def add_error(self, point: Point, error: BaseException) -> None:
        """A row with an error in place of results, in one line."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        self._waiting.append([self.function, *key(point), text])
        if self.results is not None:
            self._begin(self.results)

    def close(self) -> None:
        """Write what waits, and end."""
        if self._waiting:
            self._begin([])
        if self._file is not None:
            self._file.close()

    def _begin(self, results: list[str]) -> None:
        """Now that the results have names, write the head of a new file, and the errors that waited."""
        head = [] if self.results is not None else [["function", *self.parameters, *results, "error"]]
        self.results = results
        gap = [""] * len(results)
        self._write([*head, *([*row[:-1], *gap, row[-1]] for row in self._waiting)])
        self._waiting = []

    def _write(self, rows: list[list[str]]) -> None:
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8", newline="")
        self._file.writelines(map(line, rows))
        self._file.flush()

    def _other_columns(self, found: list[str]) -> None:
        words = f"{self.path} holds another study" if self._fresh else "all results must have the same names"
        kind = FileError if self._fresh else DomainError
        raise kind(words, got=f"results {', '.join(found)} in place of {', '.join(self.results or [])}")

    # ------------------------------------------------------------------ what is there already

    def _resume(self, keys: set[tuple[str, ...]]) -> None:
        """Take over the rows with results; errors, and a last row that is half written, leave the file."""
        found = records(self.path)
        head, start = next(found, None), ["function", *self.parameters]
        if head is None:
            self._check_beginning(remainder(self.path), line(start).rstrip("\n"))
            self.path.unlink()
            return
        if head[: len(start)] != start or head[-1] != "error":
            self._refuse(f"columns {', '.join(head)}", f"a table with the columns {', '.join(start)}, ..., error")
        kept = []
        for row in found:
            if len(row) != len(head):
                self._refuse(f"a row of {len(row)} cells", f"rows of {len(head)}")
            if row[0] != self.function:
                self._refuse(f"results of {row[0]}", f"those of {self.function}")
            if row[-1]:
                continue
            at = tuple(row[1 : len(start)])
            if at not in keys:
                self._refuse(f"a row at {', '.join(at)}", "rows at points of this study")
            if at not in self.done:
                kept.append(row)
            self.done.add(at)
        if not kept:
            self.path.unlink()
            return
        self.results = head[len(start) : -1]
        rewrite(self.path, [head, *kept])

    def _check_beginning(self, text: str, start: str) -> None:
        if not (start.startswith(text) or text.startswith(start)):
            self._refuse(f"the text {text[:40]!r}", f"a table that begins with {start}")

    def _refuse(self, got: str, wanted: str) -> None:
        raise FileError(
            f"{self.path} holds another study, or none",
            got=f"{got} in place of {wanted}",
            why="nothing of it is overwritten",
            fix="choose another file for this study, or move that one away",
        )
