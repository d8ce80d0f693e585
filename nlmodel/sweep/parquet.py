"""From the CSV file of a study to Parquet, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from nlmodel.errors import FileError, MissingPackageError
from nlmodel.sweep.points import Value, written
from nlmodel.sweep.records import line, records


GROUP = 10_000  # rows
READERS: dict[type, Callable[[str], Any]] = {bool: lambda cell: cell == "True", int: int, float: float, str: str}


def needs_pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError(
            "a Parquet table needs pyarrow", got=str(error), fix="pip install 'nlmodel[sweep]', or a .csv file"
        ) from error
    return pyarrow, parquet


def to_parquet(rows: Path, path: Path, point: Mapping[str, Value]) -> None:
    """The records as a Parquet file in groups of rows, in its place when it is whole.

    Parameters keep their types; a column of results is of truth values, whole numbers, numbers or strings, the first
    of these that all its cells are.
    """
    pyarrow, parquet = needs_pyarrow()
    head, kinds = _kinds(rows, point)
    arrow = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, arrow[kind]) for name, kind in zip(head, kinds, strict=True)])
    beside, found = path.with_name(path.name + ".new"), records(rows)
    next(found)
    with parquet.ParquetWriter(beside, schema) as file:
        while group := list(islice(found, GROUP)):
            columns = zip(*group, strict=True)
            values = [
                [_read(cell, kind, name in point) for cell in column]
                for name, kind, column in zip(head, kinds, columns, strict=True)
            ]
            file.write_table(pyarrow.table(values, schema=schema))
    beside.replace(path)


def from_parquet(path: Path, rows: Path) -> None:
    """The records of a Parquet file, group by group."""
    pyarrow, parquet = needs_pyarrow()
    beside = rows.with_name(rows.name + ".new")
    try:
        with parquet.ParquetFile(path) as file, beside.open("w", encoding="utf-8", newline="") as text:
            text.write(line(file.schema_arrow.names))
            for batch in file.iter_batches(GROUP):
                columns = batch.to_pydict().values()
                text.writelines(line(map(written, cells)) for cells in zip(*columns, strict=True))
    except pyarrow.ArrowInvalid as error:
        beside.unlink(missing_ok=True)
        raise FileError(f"{path} is not a Parquet file", got=str(error).splitlines()[0]) from error
    beside.replace(rows)


def _kinds(rows: Path, point: Mapping[str, Value]) -> tuple[list[str], list[type]]:
    """The names of the columns and their types."""
    found = records(rows)
    head = next(found)
    possible = [list(READERS) for _ in head]
    for cells in found:
        possible = [
            [kind for kind in kinds if not cell or _fits(cell, kind)]
            for kinds, cell in zip(possible, cells, strict=True)
        ]
    given = {name: type(value) for name, value in point.items()} | {"function": str, "error": str}
    return head, [given.get(name, kinds[0]) for name, kinds in zip(head, possible, strict=True)]


def _fits(cell: str, kind: type) -> bool:
    """Whether the cell is a value of this type as `written`, or a whole number among others."""
    if kind is bool:
        return cell in ("True", "False")
    try:
        value = READERS[kind](cell)
    except ValueError:
        return False
    if kind is int:
        return written(value) == cell and -(2**63) <= value < 2**63
    return written(value) == cell or _fits(cell, int)


def _read(cell: str, kind: type, given: bool) -> Any:
    """The value of a cell; nothing is None, except for a parameter, where it is the empty string."""
    return READERS[kind](cell) if cell or given else None
