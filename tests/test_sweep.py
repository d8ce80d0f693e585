"""Parameter studies: tables, executors, resumption, failures, and files that are not ours."""

import csv
import functools
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from nlmodel import NonlocalOperator, spectrum
from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, NonFiniteError, ProcessError
from nlmodel.kernels import Gaussian
from nlmodel.sweep import Progress, grid, sweep
from nlmodel.sweep.records import line, records


def gap(M: int, scale: float) -> dict[str, float]:
    x = (np.arange(M)[:, None] + 0.5) / M
    eigenvalues = spectrum.eigenvalues(NonlocalOperator.from_points(x, Gaussian(scale), "row"))
    return {"gap": 1 - float(np.sort(eigenvalues.real)[-2]), "positions": M}


GRID = {"M": [5, 8], "scale": [0.1, 0.2, 0.4]}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def results_of(path: Path) -> set[tuple[str, ...]]:
    return {tuple(row.values()) for row in rows_of(path)}


EXPECTED = {("gap", str(M), str(s), str(gap(M, s)["gap"]), str(M), "") for M in GRID["M"] for s in GRID["scale"]}


class Calls:
    """A function that counts its calls, and fails where it is told to."""

    def __init__(self, *bad: int):
        self.bad, self.seen = bad, []

    def __call__(self, k: int) -> dict[str, float]:
        self.seen.append(k)
        if k in self.bad:
            raise ArithmeticError(f"no result\nat {k}")
        return {"square": k * k, "root": k**0.5}


# ---------------------------------------------------------------------- tables


def test_one_row_a_point_in_order(tmp_path):
    said = []
    study = sweep(gap, GRID, out=tmp_path / "gap.csv", progress=said.append)
    assert (study.ran, study.found, study.failed) == (6, 0, 0) and study.path == tmp_path / "gap.csv"
    assert [(row["M"], row["scale"]) for row in rows_of(study.path)] == [
        (str(point["M"]), str(point["scale"])) for point in grid(**GRID)
    ]
    assert results_of(study.path) == EXPECTED
    assert [progress.done for progress in said] == [1, 2, 3, 4, 5, 6]
    assert str(Progress(60, 12, 1, 3.21)) == "12 of 60 points, 1 failed, 3.2 s"
    assert str(Progress(60, 12, 0, 3.21)) == "12 of 60 points, 3.2 s"


def test_numbers_read_back_as_the_same(tmp_path):
    values = [0.1 + 0.2, 1e-310, 1e22, -0.0, float("inf")]
    sweep(lambda x: {"twice": 2 * x}, {"x": values}, out=tmp_path / "x.csv")
    assert [float(row["x"]) for row in rows_of(tmp_path / "x.csv")] == values
    assert [float(row["twice"]) for row in rows_of(tmp_path / "x.csv")] == [2 * x for x in values]


def test_points_and_scalars_of_numpy(tmp_path):
    seen = []

    def function(n, name, even):
        seen.append((type(n), type(name), type(even)))
        return {"norm": np.float32(n), "none": None, "odd": np.bool_(not even)}

    points = [{"n": np.int64(n), "name": np.str_(f"a,{n}"), "even": np.bool_(n % 2 == 0)} for n in (1, 2)]
    sweep(function, points, out=tmp_path / "n.csv")
    assert seen == [(int, str, bool)] * 2
    assert [tuple(row.values())[1:] for row in rows_of(tmp_path / "n.csv")] == [
        ("1", "a,1", "False", "1.0", "", "True", ""),
        ("2", "a,2", "True", "2.0", "", "False", ""),
    ]


# ---------------------------------------------------------------------- executors


def test_a_process_pool_gives_the_same_rows(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        study = sweep(gap, GRID, out=tmp_path / "gap.csv", executor=pool)
    assert study.failed == 0 and results_of(study.path) == EXPECTED


@pytest.fixture(scope="module")
def dask():
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_dask_gives_the_same_rows(tmp_path, dask):
    with dask.get_executor() as executor:
        study = sweep(gap, GRID, out=tmp_path / "gap.parquet", executor=executor)
        again = sweep(gap, GRID | {"M": [5, 8, 9]}, out=tmp_path / "gap.parquet", executor=executor)
    assert (study.failed, again.ran, again.found) == (0, 3, 6)
    found = {tuple(map(str, row.values())) for row in parquet.read_table(study.path).to_pylist()}
    assert {(*row[:-1], "None") for row in EXPECTED} < found and len(found) == 9


def test_names_of_parameters_do_not_reach_the_executor(tmp_path, dask):
    def function(key, fn, workers):
        return {"sum": key + fn + workers}

    with dask.get_executor() as executor:
        sweep(function, {"key": [1], "fn": [2], "workers": [3]}, out=tmp_path / "s.csv", executor=executor)
    assert rows_of(tmp_path / "s.csv")[0]["sum"] == "6"


class InFives(Executor):
    """Finishes five at a time; counts how many it had."""

    def __init__(self):
        self.given, self.most = [], 0

    def submit(self, function, /, *arguments, **named):
        future = Future()
        self.given.append((future, function, arguments))
        self.most = max(self.most, len(self.given))
        if len(self.given) % 5 == 0:
            for waiting, call, those in reversed(self.given):
                waiting.set_result(call(*those))
            self.given = []
        return future


def test_an_executor_that_finishes_some_at_a_time(tmp_path):
    executor = InFives()
    sweep(Calls(), {"k": range(10)}, out=tmp_path / "k.csv", executor=executor)
    assert executor.most == 5
    assert [int(row["k"]) for row in rows_of(tmp_path / "k.csv")] == list(range(10))


def test_rows_are_written_in_the_order_in_which_they_finish(tmp_path):
    later = threading.Event()

    def function(k):
        if k == 0 and not later.wait(10):
            raise TimeoutError("the other point should have ended by now")
        return {"k2": k}

    def let_go(progress):
        later.set()

    with ThreadPoolExecutor(2) as pool:
        sweep(function, {"k": [0, 1]}, out=tmp_path / "k.csv", executor=pool, progress=let_go)
    assert [row["k"] for row in rows_of(tmp_path / "k.csv")] == ["1", "0"]


def killed(k: int) -> dict[str, float]:
    if k == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"k2": k}


def test_a_killed_worker_ends_the_sweep_and_keeps_the_rows(tmp_path):
    with ProcessPoolExecutor(1) as pool, pytest.raises(ProcessError, match="the executor broke"):
        sweep(killed, {"k": range(6)}, out=tmp_path / "k.csv", executor=pool)
    kept = rows_of(tmp_path / "k.csv")
    assert [row["k"] for row in kept] == ["0", "1", "2"][: len(kept)] and all(not row["error"] for row in kept)


# ---------------------------------------------------------------------- resumption


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_there_is_not_run_again(tmp_path, ending):
    first, second, third = Calls(), Calls(), Calls()
    out = tmp_path / f"k.{ending}"
    sweep(first, {"k": [1, 2, 3]}, out=out)
    assert sweep(second, {"k": [1, 2, 3, 4, 5]}, out=out).found == 3
    sweep(third, {"k": [1, 2, 3, 4, 5]}, out=out)
    assert (first.seen, second.seen, third.seen) == ([1, 2, 3], [4, 5], [])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_failures_are_rows_and_are_tried_again(tmp_path, ending):
    out = tmp_path / f"k.{ending}"
    study = sweep(Calls(1, 3), {"k": [1, 2, 3, 4]}, out=out)
    read = rows_of if ending == "csv" else lambda path: parquet.read_table(path).to_pylist()
    assert (study.ran, study.failed) == (4, 2)
    assert {str(row["k"]): row["error"] or "" for row in read(out)} == {
        "1": "ArithmeticError: no result at 1",
        "2": "",
        "3": "ArithmeticError: no result at 3",
        "4": "",
    }
    again = Calls(3)
    assert sweep(again, {"k": [1, 2, 3, 4]}, out=out).failed == 1
    assert sorted(again.seen) == [1, 3]
    last = Calls()
    assert sweep(last, {"k": [1, 2, 3, 4]}, out=out).failed == 0
    assert last.seen == [3] and sorted(int(row["k"]) for row in read(out)) == [1, 2, 3, 4]


def test_a_study_that_only_fails_still_has_its_rows(tmp_path):
    study = sweep(Calls(1, 2), {"k": [1, 2]}, out=tmp_path / "k.csv")
    assert study.failed == 2
    assert (tmp_path / "k.csv").read_text().splitlines()[0] == "function,k,error"
    assert sweep(Calls(), {"k": [1, 2]}, out=tmp_path / "k.csv").failed == 0


def test_results_that_do_not_fit_are_failures(tmp_path):
    def function(k):
        return [{"a": 1}, {"b": 2}, 3, {}, {"a": [1]}, {"error": 1}, {"k": 1}, {"a": 2}][k]

    study = sweep(function, {"k": range(8)}, out=tmp_path / "k.csv")
    errors = [row["error"].split(":")[0] for row in rows_of(study.path)]
    assert errors == ["", "DomainError", "DtypeError", "DtypeError", "DtypeError", "DomainError", "DomainError", ""]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_table_cut_off_anywhere_is_repaired(tmp_path, data):
    def function(k, name):
        return {"text": f'{name}\n"{k}"', "square": k * k}

    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    whole.unlink(missing_ok=True)
    points = {"k": [1, 2, 3], "name": ["ä, b", "c\nd"]}
    sweep(function, points, out=whole)
    content = whole.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    cut.write_bytes(content[:at])
    study = sweep(function, points, out=cut)
    first = len("".join(map(line, list(records(whole))[:2])).encode())
    assert study.ran + study.found == 6 and (study.found > 0) == (at >= first)
    assert results_of(cut) == results_of(whole) and len(rows_of(cut)) == 6


def test_after_a_crash_a_parquet_table_goes_on_with_its_rows(tmp_path):
    out = tmp_path / "k.parquet"
    (tmp_path / "k.parquet.rows").write_text("function,k,square,root,error\nCalls,1,1,1.0,\nCalls,2,4,1.41")
    calls = Calls()
    assert sweep(calls, {"k": [1, 2]}, out=out).found == 1
    assert calls.seen == [2] and parquet.read_table(out)["square"].to_pylist() == [1, 4]


def test_an_interrupted_sweep_leaves_a_whole_table(tmp_path):
    def function(k):
        if k == 3:
            raise KeyboardInterrupt
        return {"square": k * k}

    for name in ("k.csv", "k.parquet"):
        with pytest.raises(KeyboardInterrupt):
            sweep(function, {"k": [1, 2, 3, 4]}, out=tmp_path / name)
    assert [row["k"] for row in rows_of(tmp_path / "k.csv")] == ["1", "2"]
    assert parquet.read_table(tmp_path / "k.parquet")["k"].to_pylist() == [1, 2]


# ---------------------------------------------------------------------- Parquet


def test_columns_have_types_and_rows_have_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("nlmodel.sweep.parquet.GROUP", 2)

    def function(k, scale, name, flag):
        return {
            "whole": k,
            "mixed": 1 if k == 1 else 0.5,
            "truth": k > 1,
            "text": "a" * k,
            "none": None,
            "half": k / 2,
        }

    points = [{"k": k, "scale": float(k), "name": "", "flag": k == 2} for k in (1, 2, 3)]
    sweep(function, points, out=tmp_path / "t.parquet")
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types == {
        "function": "string", "k": "int64", "scale": "double", "name": "string", "flag": "bool", "whole": "int64",
        "mixed": "double", "truth": "bool", "text": "string", "none": "bool", "half": "double", "error": "string",
    }  # fmt: skip
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [2, 1]
    table = file.read().to_pydict()
    assert table["mixed"] == [1.0, 0.5, 0.5] and table["flag"] == [False, True, False] and table["name"] == [""] * 3
    assert sweep(function, points, out=tmp_path / "t.parquet").found == 3


# ---------------------------------------------------------------------- files of others


def test_the_file_of_another_study_is_refused_and_left_alone(tmp_path):
    out = tmp_path / "k.csv"
    sweep(Calls(), {"k": [1, 2]}, out=out)
    before = out.read_bytes()
    other = {
        "another function": (lambda k: {"square": k, "root": k}, {"k": [1, 2]}, "results of Calls in place of"),
        "other parameters": (Calls(), {"m": [1, 2]}, "columns function, k"),
        "other points": (Calls(), {"k": [1, 3]}, "a row at 2 in place of"),
        "other numbers": (Calls(), {"k": [1.0, 2.0]}, "a row at 1 in place of"),
    }
    for function, points, match in other.values():
        with pytest.raises(FileError, match=match):
            sweep(function, points, out=out)
    with pytest.raises(FileError, match="exists"):
        sweep(Calls(), {"k": [1, 2]}, out=out, resume=False)

    class Changed(Calls):
        def __call__(self, k):
            return {"cube": k**3}

    Changed.__qualname__ = "Calls"
    with pytest.raises(FileError, match="holds another study: got results cube in place of square, root"):
        sweep(Changed(), {"k": [1, 2, 3]}, out=out)
    assert out.read_bytes() == before
    assert sweep(functools.partial(gap, scale=0.1), {"M": [5]}, out=tmp_path / "p.csv").ran == 1
    with pytest.raises(FileError, match=r"results of gap\(scale=0.1\) in place of those of gap\(scale=0.2\)"):
        sweep(functools.partial(gap, scale=0.2), {"M": [5]}, out=tmp_path / "p.csv")


FOREIGN = {
    "text": b"Dear reader, this is not a table.",
    "line": b"Dear reader\n",
    "bytes": b"\x89PNG\r\n\x1a\n\xff\xfe\n",
    "other table": b"a,b\n1,2\n",
    "ragged": b"function,k,square,root,error\nCalls,1\n",
    "blank": b"function,k,square,root,error\n\n",
    "open quotes": b'"function,k\n1,2\n',
    "broken quotes": b'function,k,square,root,error\n"Calls"x"",1,1,1.0,\n',
}


@pytest.mark.parametrize("words", FOREIGN)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_not_a_table_is_refused_and_left_alone(tmp_path, words, ending):
    out = tmp_path / f"k.{ending}"
    out.write_bytes(FOREIGN[words])
    with pytest.raises(FileError, match=r"k\.(csv|parquet) (is not a|holds another study)"):
        sweep(Calls(), {"k": [1]}, out=out)
    assert out.read_bytes() == FOREIGN[words] and [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_parquet_file_of_others_is_refused(tmp_path):
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "k.parquet")
    before = (tmp_path / "k.parquet").read_bytes()
    for _ in range(2):
        with pytest.raises(FileError, match="holds another study"):
            sweep(Calls(), {"k": [1]}, out=tmp_path / "k.parquet")
        assert (tmp_path / "k.parquet").read_bytes() == before


def test_records_are_lines_with_closed_quotes(tmp_path):
    cells = ["a", "", 'b"c', "d\ne", "f,g", "ä"]
    (tmp_path / "r.csv").write_bytes((line(cells) * 2 + '"half\n').encode())
    assert list(records(tmp_path / "r.csv")) == [cells, cells]


# ---------------------------------------------------------------------- bad calls


BAD = {
    "ending": ({"out": "k.txt"}, ChoiceError, "the ending of out must be one of '.csv', '.parquet'"),
    "folder": ({"out": "nowhere/k.csv"}, FileError, "must be a folder"),
    "function": ({"function": 3}, DtypeError, "function must be callable"),
    "executor": ({"executor": 4}, DtypeError, "must be a concurrent.futures.Executor"),
    "no points": ({"over": []}, DomainError, "a study needs a point: got none"),
    "empty grid": ({"over": {"k": []}}, DomainError, "a study needs a point"),
    "no parameters": ({"over": [{}]}, DomainError, "without parameters"),
    "number": ({"over": 3}, DtypeError, "a grid or a sequence of mappings"),
    "numbers": ({"over": [1, 2]}, DtypeError, "a point must be a mapping"),
    "one value": ({"over": {"k": 3}}, DtypeError, "the values of k must be a sequence"),
    "string": ({"over": {"k": "abc"}}, DtypeError, "the values of k must be a sequence"),
    "names": ({"over": [{"k": 1}, {"m": 1}]}, DomainError, "the same parameters"),
    "types": ({"over": {"k": [1, 1.0]}}, DtypeError, "the values of k must be of one type"),
    "twice": ({"over": {"k": [1, 1]}}, DomainError, "the points must differ"),
    "NaN": ({"over": {"k": [float("nan")]}}, NonFiniteError, "k must not be NaN"),
    "array": ({"over": {"k": [np.zeros(2)]}}, DtypeError, "k must be a number, a truth value or a string"),
    "nothing": ({"over": {"k": [None]}}, DtypeError, "k must be a number"),
    "taken": ({"over": {"error": [1]}}, DomainError, "other than function and error"),
}


@pytest.mark.parametrize("words", BAD)
def test_bad_calls(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    change, error, match = BAD[words]
    call = {"function": Calls(), "over": {"k": [1]}, "out": "k.csv"} | change
    with pytest.raises(error, match=match):
        sweep(call.pop("function"), call.pop("over"), **call)
    assert list(tmp_path.iterdir()) == []


def test_threads_and_many_points(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        study = sweep(Calls(), {"k": range(700)}, out=tmp_path / "k.csv", executor=pool)
    assert study.ran == 700 == len(results_of(study.path))
