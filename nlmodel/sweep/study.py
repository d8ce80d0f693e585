"""A function at many points of its parameters, on any executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nlmodel._arrays import check_choice
from nlmodel.errors import DomainError, DtypeError, FileError, ProcessError
from nlmodel.sweep.parquet import from_parquet, needs_pyarrow, to_parquet
from nlmodel.sweep.points import Point, check_name, checked_points, key, plain
from nlmodel.sweep.progress import Progress
from nlmodel.sweep.table import Table


ENDINGS = (".csv", ".parquet")
AT_ONCE = 256  # points that an executor has at a time


@dataclass(frozen=True)
class Study:
    """What a sweep did: where the table is, and how many points it ran, found in the file, and could not finish."""

    path: Path
    ran: int
    found: int
    failed: int


def sweep(
    function: Callable[..., Mapping[str, Any]],
    over: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    out: str | Path,
    executor: Executor | None = None,
    resume: bool = True,
    progress: Callable[[Progress], object] | None = None,
) -> Study:
    """`function(**point)` at every point, one row of a table each.

        sweep(gap, {"M": [100, 1000], "scale": [0.1, 0.2]}, out="gap.csv", executor=pool, progress=print)

    Rows are written as they finish: the name of the function, the parameters, its results, or the error.  Called again
    with the same file, it runs what is not there or had failed.  A Parquet table grows as a CSV file beside it,
    `out` + ".rows", and is put in its place when the sweep ends, in whatever way; after a crash the next call goes on
    with that file.

    Parameters
    ----------
    function : of named parameters, returns a mapping from names to numbers, truth values or strings, the same names at
        every point.  What it draws at random should follow from a parameter, such as a seed.
    over : names with their values, of which all combinations are run, or the points themselves, each a mapping.
    out : the table, .csv or .parquet (pyarrow).
    executor : any `concurrent.futures.Executor`, Dask's too; default this process, one point after another.
    resume : whether the file may be there already.
    progress : called after each point.

    Raises
    ------
    FileError : the file holds another study, or is there and resume=False.
    ProcessError : the executor broke, a worker was killed, say; the rows so far are in the file.
    MissingPackageError : a Parquet table without pyarrow.
    """
    path = Path(out)
    check_choice(path.suffix, "the ending of out", ENDINGS)
    if not callable(function):
        raise DtypeError("function must be callable as function(**point)", got=repr(function))
    if executor is not None and not isinstance(executor, Executor):
        raise DtypeError(
            "executor must be a concurrent.futures.Executor", got=repr(executor), fix="of Dask: client.get_executor()"
        )
    points, began = checked_points(over), time.monotonic()
    if not path.parent.is_dir():
        raise FileError(f"{path.parent} must be a folder", got=f"nothing to write {path.name} in")
    with _table(path, name_of(function), points, resume=resume) as table, _whole_executor():
        missing = [point for point in points if key(point) not in table.done]
        found, failed = len(points) - len(missing), 0
        for point, future in _finished(function, missing, executor):
            try:
                table.add(point, _checked(future.result(), point))
            except (FileError, BrokenExecutor):
                raise
            except Exception as error:
                failed += 1
                table.add_error(point, error)
            if progress is not None:
                progress(Progress(len(points), len(table.done), failed, time.monotonic() - began))
    return Study(path, len(missing), found, failed)


def name_of(function: Callable[..., Any]) -> str:
    """What the table says of the function, so that it is not taken for another one."""
    if isinstance(function, partial):
        fixed = [*map(repr, function.args), *(f"{name}={value!r}" for name, value in function.keywords.items())]
        return f"{name_of(function.func)}({', '.join(fixed)})"
    return getattr(function, "__qualname__", type(function).__qualname__)


@contextmanager
def _table(path: Path, function: str, points: list[Point], *, resume: bool) -> Iterator[Table]:
    """The table in its file; a Parquet table as a CSV file beside it, until the end."""
    if path.suffix == ".csv":
        table = Table(path, function, points, resume=resume)
        try:
            yield table
        finally:
            table.close()
        return
    needs_pyarrow()
    rows = path.with_name(path.name + ".rows")
    if path.exists() and not resume:
        raise FileError(f"{path} exists", fix="resume=True to go on with it, or another file")
    if path.exists() and not rows.exists():
        from_parquet(path, rows)
    table = Table(rows, function, points, resume=resume)
    try:
        yield table
    finally:
        table.close()
        if rows.exists():
            to_parquet(rows, path, points[0])
            rows.unlink()


@contextmanager
def _whole_executor() -> Iterator[None]:
    """Say clearly that the executor broke."""
    try:
        yield
    except BrokenExecutor as error:
        raise ProcessError(
            "the executor broke",
            got=str(error) or type(error).__name__,
            why='one of its workers ended: killed, out of memory, or a script without if __name__ == "__main__"',
            fix="mend that and run the same sweep again: it goes on from the rows in the file",
        ) from error


def _finished(
    function: Callable[..., Any], points: list[Point], executor: Executor | None
) -> Iterator[tuple[Point, Future[Any]]]:
    """Points with their futures as they finish; the executor has `AT_ONCE` at a time."""
    if executor is None:
        for point in points:
            yield point, _here(function, point)
        return
    waiting, running = iter(points), {}
    try:
        while True:
            for point in waiting:
                running[executor.submit(_run, function, point)] = point
                if len(running) >= AT_ONCE:
                    break
            if not running:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in [future for future in running if future in done]:
                yield running.pop(future), future
    finally:
        for future in running:
            future.cancel()


def _run(function: Callable[..., Any], point: Point) -> Any:
    """Names of parameters stay out of the executor's own way."""
    return function(**point)


def _here(function: Callable[..., Any], point: Point) -> Future[Any]:
    """The finished future of a call in this process."""
    future: Future[Any] = Future()
    try:
        future.set_result(_run(function, point))
    except Exception as error:
        future.set_exception(error)
    return future


def _checked(results: Any, point: Point) -> dict[str, Any]:
    if not isinstance(results, Mapping) or not results:
        raise DtypeError("the function must return a mapping from names to values", got=repr(results))
    for name in results:
        if check_name(name) in point:
            raise DomainError("a result must not have the name of a parameter", got=name)
    return {name: None if value is None else plain(value, name) for name, value in results.items()}
