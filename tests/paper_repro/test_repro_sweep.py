"""The queue: every job once, whoever works on it, in an order whose every prefix is useful."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, MissingPackageError
from paper_repro.sweep import (
    Lock,
    collect,
    holder,
    make_executor,
    queue,
    read_rows,
    remaining_seconds,
    sbatch_script,
    state_of,
    sweep,
    work,
)
from paper_repro.sweep import worker as worker_module
from paper_repro.sweep.lock import Holder, is_held
from paper_repro.sweep.state import lock_path
from tests.paper_repro.fake_runs import EPOCHS, FakeTrain, calls, rows, write_run


ROWS = ("baseline", "original-2", "proposed-4")


@pytest.fixture
def jobs():
    return queue(rows(*ROWS), range(3))


def quiet(_: str) -> None:
    """Instead of print."""


# ---------------------------------------------------------------- the queue


def test_every_prefix_of_the_queue_is_useful(jobs):
    for n in range(len(jobs) + 1):
        count = Counter(job.row for job in jobs[:n])
        assert max(count[row] for row in ROWS) - min(count[row] for row in ROWS) <= 1
    row_by_row = sorted(jobs, key=lambda job: ROWS.index(job.row))
    count = Counter(job.row for job in row_by_row[:3])  # control: the other order is not useful
    assert count == {"baseline": 3}


def test_jobs_have_folders_of_their_own(jobs):
    assert len({job.run_id for job in jobs}) == len(jobs) == 9


@pytest.mark.parametrize(
    ("rows_given", "seeds", "kind", "words"),
    [
        ((), (0,), DomainError, "at least one row"),
        (ROWS, (), DomainError, "at least one row"),
        (ROWS, (1, 1), DomainError, "each seed may be named once"),
        (ROWS, (-1,), DomainError, "seed must be at least 0"),
        (ROWS, (0.5,), DtypeError, "seed must be a whole number"),
    ],
)
def test_a_queue_of_nothing_is_refused(rows_given, seeds, kind, words):
    with pytest.raises(kind, match=words):
        queue(rows(*rows_given), seeds)


# ---------------------------------------------------------------- one worker


def test_one_worker_does_everything_once_and_nothing_again(jobs, tmp_path):
    told = []
    report = work(jobs, tmp_path, FakeTrain(tmp_path), tell=told.append)
    assert len(report.finished) == len(told) == 9
    assert [call[:2] for call in calls(tmp_path)] == [[job.row, str(job.seed)] for job in jobs]
    assert work(jobs, tmp_path, FakeTrain(tmp_path), tell=told.append) == worker_module.Report()
    assert len(calls(tmp_path)) == 9
    assert list((tmp_path / "locks").iterdir()) == []


def test_what_diverged_is_a_result_and_not_tried_again(jobs, tmp_path):
    report = work(jobs[:1], tmp_path, FakeTrain(tmp_path, status="diverged"), tell=quiet)
    assert report.diverged == (jobs[0].run_id,)
    work(jobs[:1], tmp_path, FakeTrain(tmp_path), tell=quiet)
    assert len(calls(tmp_path)) == 1


def test_what_was_paused_goes_on(jobs, tmp_path):
    write_run(jobs[0], tmp_path, status="paused", epochs=2)
    assert work(jobs[:1], tmp_path, FakeTrain(tmp_path), tell=quiet).finished == (jobs[0].run_id,)


def test_the_time_limit_stops_the_queue_and_is_handed_on(jobs, tmp_path):
    given = []

    def slow(job, time_limit):
        given.append(time_limit)
        return FakeTrain(tmp_path, seconds=0.15)(job, time_limit)

    report = work(jobs, tmp_path, slow, time_limit=0.2, tell=quiet)
    assert len(report.finished) == len(given) <= 2
    assert 0.2 >= given[0] > 0 and given == sorted(given, reverse=True)
    assert len(work(jobs[:4], tmp_path, slow, tell=quiet).finished) == 4 - len(
        report.finished
    )  # control: without a limit it goes to the end
    with pytest.raises(DomainError, match="time_limit must be > 0"):
        work(jobs, tmp_path, slow, time_limit=0.0)


def test_a_run_that_fails_is_told_and_the_next_one_follows(jobs, tmp_path):
    def train(job, time_limit):
        if job.row == "original-2":
            raise RuntimeError("out of\nmemory")
        return FakeTrain(tmp_path)(job, time_limit)

    told = []
    report = work(jobs[:3], tmp_path, train, tell=told.append)
    assert len(report.finished) == 2
    assert report.failed == ((jobs[1].run_id, "RuntimeError: out of memory"),)
    assert "original-2, seed 0: failed. RuntimeError: out of memory" in told
    assert repr(report) == "Report(2 finished, 0 diverged, 0 paused, 1 failed)"


def test_an_interrupt_releases_the_lock(jobs, tmp_path):
    def train(job, time_limit):
        assert is_held(lock_path(job, tmp_path))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(jobs, tmp_path, train, tell=quiet)
    assert list((tmp_path / "locks").iterdir()) == []


# ---------------------------------------------------------------- locks


def test_a_lock_has_one_holder(tmp_path):
    path = tmp_path / "run"
    mine = Lock.acquire(path)
    assert mine is not None
    assert Lock.acquire(path) is None
    assert json.loads(path.read_text())["pid"] == os.getpid()
    mine.release()
    assert not path.exists()
    assert Lock.acquire(path) is not None


def test_of_many_threads_one_gets_the_lock(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for n in range(20):
            got = list(pool.map(lambda _, n=n: Lock.acquire(tmp_path / f"{n}"), range(16)))
            assert sum(lock is not None for lock in got) == 1
    assert len(list(tmp_path.iterdir())) == 20  # no drafts are left


def test_the_lock_of_a_silent_holder_elsewhere_is_taken_over_by_one(tmp_path):
    for n in range(20):
        path = tmp_path / f"{n}"
        path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "space": "", "token": f"{n}"}))
        assert Lock.acquire(path, stale=60.0) is None  # it was touched just now
        os.utime(path, (time.time() - 61, time.time() - 61))
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            got = [lock for lock in pool.map(lambda _, p=path: Lock.acquire(p, stale=60.0), range(16)) if lock]
        assert len(got) <= 1  # all others may have met in the middle of the change
        last = got[0] if got else Lock.acquire(path, stale=60.0)
        assert last is not None and holder(path) == last.holder
    assert len(list(tmp_path.iterdir())) == 20


def test_the_lock_of_a_dead_process_here_is_taken_over_at_once(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    path, space = tmp_path / "run", Lock.acquire(tmp_path / "other").holder.space
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": process.pid, "space": space, "token": "a"}))
    assert Lock.acquire(path) is not None
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "space": space, "token": "a"}))
    assert Lock.acquire(path) is None  # control: this process lives
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": process.pid, "space": "other", "token": "a"}))
    assert Lock.acquire(path) is None  # control: the number means nothing in another namespace


def test_a_lock_that_cannot_be_read_counts_as_held_until_it_is_silent(tmp_path):
    path = tmp_path / "run"
    path.write_text("{half")
    assert Lock.acquire(path) is None
    os.utime(path, (0, 0))
    assert Lock.acquire(path) is not None


def test_heartbeats_keep_a_lock(tmp_path):
    path = tmp_path / "run"
    with Lock.acquire(path).held(stale=0.3):
        os.utime(path, (0, 0))
        time.sleep(0.15)
        assert path.stat().st_mtime > 0
        assert is_held(path, stale=0.3)
    assert not path.exists()


def test_a_holder_that_was_replaced_leaves_the_lock_of_the_next_alone(tmp_path):
    path = tmp_path / "run"
    first = Lock.acquire(path)
    second = Lock(path, Holder("elsewhere", 1, "", "b"))
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "space": "", "token": "b"}))
    assert not first.beat()
    first.release()
    assert holder(path) == second.holder


def test_a_folder_without_hard_links_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(FileError, match="hard links"):
        Lock.acquire(tmp_path / "run")
    with pytest.raises(DomainError, match="stale must be > 0"):
        Lock.acquire(tmp_path / "run", stale=0)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- several workers


def times_trained(out: Path) -> list[int]:
    return sorted(Counter((row, seed) for row, seed, *_ in calls(out)).values())


def test_threads_share_the_queue(jobs, tmp_path):
    with make_executor("threads", 4) as executor:
        report = sweep(jobs, tmp_path, [FakeTrain(tmp_path, seconds=0.01)] * 4, executor=executor)
    assert len(report.finished) == 9
    assert times_trained(tmp_path) == [1] * 9


def test_a_lock_that_is_ignored_trains_twice(jobs, tmp_path, monkeypatch):
    """Control: without the locks the workers above do the same jobs."""
    monkeypatch.setattr(worker_module, "lock_path", lambda job, out: out / "locks" / os.urandom(8).hex())
    with make_executor("threads", 4) as executor:
        sweep(jobs, tmp_path, [FakeTrain(tmp_path, seconds=0.05)] * 4, executor=executor)
    assert max(times_trained(tmp_path)) > 1


def test_processes_share_the_queue_and_the_devices(jobs, tmp_path, capfd):
    with make_executor("processes", 2) as executor:
        trains = [FakeTrain(tmp_path, seconds=0.2, device=device) for device in ("cuda:0", "cuda:1")]
        report = sweep(jobs[:6], tmp_path, trains, executor=executor)
    assert len(report.finished) == 6
    assert times_trained(tmp_path) == [1] * 6
    made = {(process, device) for _, _, process, device in calls(tmp_path)}
    assert len(made) <= 2 and {device for _, device in made} <= {"cuda:0", "cuda:1"}
    assert str(os.getpid()) not in {process for process, _ in made}
    assert capfd.readouterr().out.count("error 20.00 %") == 6


def test_a_job_in_the_hands_of_another_is_left_to_it_and_taken_when_it_gives_up(jobs, tmp_path):
    (tmp_path / "locks").mkdir()
    other = Lock.acquire(lock_path(jobs[0], tmp_path))

    def train(job, time_limit):
        other.release()
        return FakeTrain(tmp_path)(job, time_limit)

    assert work(jobs[:1], tmp_path, train, tell=quiet).finished == ()
    work(jobs[:2], tmp_path, train, tell=quiet)
    assert [row for row, *_ in calls(tmp_path)] == ["original-2", "baseline"]


class Refusing:
    """An executor whose every task fails, as on a machine that is gone."""

    def submit(self, function, *args):
        future = concurrent.futures.Future()
        future.set_exception(OSError("the machine is gone"))
        return future


def test_a_worker_that_is_killed_is_a_failure_and_its_jobs_wait(jobs, tmp_path):
    told = []
    with make_executor("processes", 1) as executor:
        report = sweep(jobs, tmp_path, [Killed()], executor=executor, tell=told.append)
    assert len(report.failed) == len(told) == 1 and "ended before its time" in told[0]
    assert len(work(jobs, tmp_path, FakeTrain(tmp_path), tell=quiet).finished) == len(jobs)


@dataclass(frozen=True)
class Killed:
    """Ends its process, as a machine does that runs out of memory."""

    def __call__(self, job, time_limit):
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_executor_that_fails_is_not_silent(jobs, tmp_path):
    with pytest.raises(OSError, match="the machine is gone"):
        sweep(jobs, tmp_path, [FakeTrain(tmp_path)] * 2, executor=Refusing())


@pytest.mark.parametrize("workers", [0, 2])
def test_several_workers_need_an_executor(jobs, tmp_path, workers):
    with pytest.raises(DomainError, match="a sweep needs a worker"):
        sweep(jobs, tmp_path, [FakeTrain(tmp_path)] * workers)


@pytest.mark.parametrize(
    ("name", "options", "kind", "words"),
    [
        ("somewhere.else.pool", {}, ChoiceError, "allow-import"),
        ("process", {}, ChoiceError, "allow-import"),
        ("no_such_module.pool", {"allow_import": True}, MissingPackageError, "needs the module no_such_module"),
        ("concurrent.futures.Pool", {}, ChoiceError, "dotted name of a factory"),
        ("plain", {"allow_import": True}, ChoiceError, "dotted name of a factory"),
        ("tests.paper_repro.fake_runs.FakeTrain", {"allow_import": True}, ChoiceError, "max_workers"),
        ("builtins.dict", {"allow_import": True}, ChoiceError, "needs a method submit"),
    ],
)
def test_other_executors_are_refused_with_a_reason(name, options, kind, words):
    with pytest.raises(kind, match=words):
        make_executor(name, 2, **options)


def test_any_executor_of_the_user_is_taken_once_it_is_allowed():
    made = make_executor("tests.paper_repro.fake_runs.executor", 3, allow_import=True)
    assert made.max_workers == 3
    with pytest.raises(DomainError, match="workers must be at least 1"):
        make_executor("threads", 0)


# ---------------------------------------------------------------- state


def test_states_and_the_time_that_is_left(jobs, tmp_path):
    write_run(jobs[0], tmp_path, error=8.0)
    write_run(jobs[1], tmp_path, status="diverged", epochs=1)
    write_run(jobs[2], tmp_path, status="paused", epochs=3)
    write_run(jobs[3], tmp_path, status="running", epochs=2)
    (tmp_path / "locks").mkdir()
    lock = Lock.acquire(lock_path(jobs[3], tmp_path))
    states = [state_of(job, tmp_path) for job in jobs[:5]]
    assert [state.status for state in states] == ["finished", "diverged", "paused", "running", "waiting"]
    assert [state.epochs for state in states] == [4, 1, 3, 2, 0]
    assert states[0].error == 8.0
    assert remaining_seconds(states) == 10.0 * (1 + 2 + EPOCHS)
    assert remaining_seconds(states[:2]) == 0.0
    assert remaining_seconds(states[4:]) != remaining_seconds(states[4:])  # nan: nothing is known
    lock.release()
    assert state_of(jobs[3], tmp_path).status == "paused"


def test_a_line_that_is_being_written_is_left_out(jobs, tmp_path):
    folder = write_run(jobs[0], tmp_path, status="running", epochs=2)
    with (folder / "log.csv").open("a") as file:
        file.write("3,0.1,0.5")
    assert state_of(jobs[0], tmp_path).epochs == 2


@pytest.mark.parametrize(("name", "text"), [("result.json", "{"), ("result.json", "[]"), ("log.csv", "epoch\nx\n")])
def test_files_that_are_something_else_are_named(jobs, tmp_path, name, text):
    folder = write_run(jobs[0], tmp_path)
    (folder / name).write_text(text)
    with pytest.raises(FileError, match=name):
        state_of(jobs[0], tmp_path)


# ---------------------------------------------------------------- results


def test_collecting_twice_gives_the_same_bytes(jobs, tmp_path):
    table = tmp_path / "table.csv"
    for job in jobs[:4]:
        write_run(job, tmp_path)
    write_run(jobs[4], tmp_path, status="paused", epochs=2)
    collected = collect("short", jobs, tmp_path, table)
    once = table.read_bytes()
    assert collect("short", reversed(jobs), tmp_path, table) == collected == read_rows(table)
    assert table.read_bytes() == once
    assert {row["preset"] for row in collected} == {"short"}
    assert [(row["row"], row["seed"]) for row in collected] == [
        ("baseline", "0"), ("baseline", "1"), ("original-2", "0"), ("proposed-4", "0"),
    ]  # fmt: skip
    assert str(tmp_path) not in once.decode() and socket.gethostname() not in once.decode()


def test_rows_from_elsewhere_stay_and_own_rows_are_renewed(jobs, tmp_path):
    table = tmp_path / "table.csv"
    write_run(jobs[0], tmp_path / "a", error=9.0)
    write_run(jobs[1], tmp_path / "b", error=8.0)
    collect("short", jobs, tmp_path / "a", table)
    collect("short", jobs, tmp_path / "b", table)
    write_run(jobs[0], tmp_path / "a", error=7.0)
    assert [row["final_error"] for row in collect("short", jobs, tmp_path / "a", table)] == ["7.00", "8.00"]


def test_rows_stand_in_the_order_of_their_numbers(tmp_path):
    jobs = queue(rows("baseline", lr=0.5) + rows("proposed-10", "proposed-2", blocks=2), [10, 9])
    for job in jobs:
        write_run(job, tmp_path)
    found = [(row["row"], row["seed"]) for row in collect("short", jobs, tmp_path, tmp_path / "t.csv")]
    assert found == [(row, seed) for row in ("baseline", "proposed-2", "proposed-10") for seed in ("9", "10")]


@pytest.mark.parametrize("text", ["row,seed\n", "", "a\nb\n"])
def test_a_table_with_other_columns_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FileError, match="must have the columns"):
        read_rows(tmp_path / "t.csv")


# ---------------------------------------------------------------- SLURM


def test_the_job_script_is_a_valid_shell_script(tmp_path):
    text = sbatch_script(["echo", "a b", "$HOME"], workers=3, hours=1.5)
    assert "#SBATCH --array=0-2\n" in text and "#SBATCH --time=01:30:00\n" in text
    (tmp_path / "job.sh").write_text(text)
    done = subprocess.run(["bash", str(tmp_path / "job.sh")], capture_output=True, text=True, check=True)
    assert done.stdout == "a b $HOME --time-limit 5280\n"
    with pytest.raises(DomainError, match="leave time to train"):
        sbatch_script(["echo"], workers=1, hours=0.05)
