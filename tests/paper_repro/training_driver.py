"""Runs in processes of their own, some of which are killed: python training_driver.py FOLDER.

The parent never trains, so that children can be forked without importing torch again.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which the first step would import in every child


sys.path.insert(0, str(Path(__file__).parents[2]))

from paper_repro import files
from paper_repro.sweep import Job, Runner, queue, runner, work
from paper_repro.training import Engine, train
from paper_repro.training.folder import Folder
from paper_repro.training.group import Group, join
from paper_repro.training.memory import kept_memory
from paper_repro.training.result import Result
from tests.paper_repro.training_cases import IMAGES, NONLOCAL, QUIET, TINY, folder_of, one_thread, traces


POINTS: dict[str, tuple[Any, str, int]] = {  # where a process kills itself: owner, name, which call; a save is two
    "before a step": (Engine, "train_step", 2),
    "between gradient and step": (torch.optim.SGD, "step", 2),
    "inside a save of the state, nothing written": (files.secrets, "token_hex", 2),
    "inside a save of the state, before it is on the disk": (files.os, "fsync", 3),
    "inside a save of the state, before the rename": (Path, "replace", 2),
    "before the logs": (Folder, "write_logs", 1),
    "in the evaluation": (Engine, "evaluate", 1),
    "before the weights": (Folder, "write_weights", 1),
    "before the result": (Result, "save", 1),
}


STALE = 1.5  # seconds of silence after which a run is taken over here


def main(out: Path) -> None:
    one_thread()
    found = {}
    for scene in (kills, group, widow, asleep, memory):
        folder = out / scene.__name__
        folder.mkdir()  # here, since of several children none knows which one is first to write
        found[scene.__name__] = scene(folder)
    print(json.dumps(found))


def child(work: Callable[[], None]) -> int:
    """Start `work` in a process of its own; its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def end_of(pid: int) -> int:
    """Exit status, minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def send_at(point: str, number: int = signal.SIGKILL) -> None:
    """The call of `point` that is due sends this process a signal."""
    owner, name, count = POINTS[point]
    function, calls = getattr(owner, name), itertools.count(1)

    @functools.wraps(function)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), number)
        return function(*args, **kwargs)

    setattr(owner, name, deadly)


def run(out: Path, point: str | None = None) -> None:
    if point is not None:
        send_at(point)
    train(NONLOCAL, seed=0, out=out, checkpoint_every=0, **QUIET)


def kills(out: Path) -> dict[str, Any]:
    """One run left alone, and one killed at every point and at random moments."""
    rng, ends = random.Random(7), {}
    ends["alone"] = end_of(child(lambda: run(out / "straight")))
    for k in range(3):
        pid = child(lambda: run(out / "killed"))
        time.sleep(rng.uniform(0.05, 0.4))
        os.kill(pid, signal.SIGKILL)
        ends[f"random moment {k}"] = end_of(pid)
    for point in POINTS:
        ends[point] = end_of(child(lambda point=point: run(out / "killed", point)))
    ends["last"] = end_of(child(lambda: run(out / "killed")))
    found = {name: traces(folder_of(NONLOCAL, out / name)) for name in ("straight", "killed")}
    left = [path.name for path in folder_of(NONLOCAL, out / "killed").glob(".*")]
    return {"ends": ends, "left over": left, **found}


def ranks(work: Callable[[int], None]) -> list[int]:
    """Two processes with the environment that torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def rank(k: int) -> None:
        os.environ |= {"RANK": str(k), "LOCAL_RANK": str(k), "WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        work(k)

    return [child(functools.partial(rank, k)) for k in range(2)]


def group(out: Path) -> dict[str, Any]:
    """A run of two processes; and one epoch with fixed normalisation, beside that of one process."""

    def frozen(engine: Engine) -> dict[str, torch.Tensor]:
        engine.network.eval()
        engine.network.train = lambda mode=True: engine.network  # pyright: ignore
        engine.reset(0)
        for batch in engine.batches(0, 0):
            engine.train_step(batch, 0.05)
        engine.finish_epoch()
        return engine.state()

    def work(k: int) -> None:
        train(TINY.with_(epochs=1), seed=0, out=out, **QUIET)
        engine = Engine(TINY, IMAGES, torch.device("cpu"), join(torch.device("cpu")))
        torch.save(frozen(engine), out / f"rank{k}.pt")
        if k == 0:
            Group.sum = lambda *_: None  # pyright: ignore
            torch.save(frozen(engine), out / "half.pt")

    pids = ranks(work)
    alone = child(lambda: torch.save(frozen(Engine(TINY, IMAGES, torch.device("cpu"))), out / "alone.pt"))
    return {"ends": [end_of(pid) for pid in [*pids, alone]]}


def widow(out: Path) -> dict[str, Any]:
    """Two processes, one of which is killed in its second step; how the other ends, and when."""

    def work(k: int) -> None:
        if k == 1:
            send_at("before a step")
        train(TINY, seed=0, out=out, **QUIET)

    pids = ranks(work)
    begun = time.monotonic()
    ends = [end_of(pid) for pid in reversed(pids)]
    return {"killed": ends[0], "other": ends[1], "seconds": time.monotonic() - begun}


def asleep(out: Path) -> dict[str, Any]:
    """A worker that stands still while another takes its run over; what it does when it wakes."""
    (job,) = queue([("proposed-2", NONLOCAL.with_(train_images=20, test_images=10))], [0])
    return {name: stand_still(out / name, job, watched=name == "guarded") for name in ("guarded", "unguarded")}


def stand_still(out: Path, job: Job, *, watched: bool) -> dict[str, Any]:
    def sleeper() -> None:
        if not watched:
            runner.guard = lambda path: lambda: None
        runner.train = functools.partial(train, checkpoint_every=0)
        send_at("before a step", signal.SIGSTOP)
        report = work([job], out, Runner(out, device="cpu", progress=False), tell=lambda _: None)
        (out / "report.json").write_text(json.dumps([list(report.finished), list(report.failed)]))

    def successor() -> None:
        while not work([job], out, Runner(out, device="cpu", progress=False), stale=STALE).finished:
            time.sleep(0.1)

    sleeping = child(sleeper)
    os.waitpid(sleeping, os.WUNTRACED)
    ends = [end_of(child(successor))]
    folder = out / job.run_id
    before = (folder / "result.json").stat().st_ino, traces(folder)
    os.kill(sleeping, signal.SIGCONT)
    ends.append(end_of(sleeping))
    after = (folder / "result.json").stat().st_ino, traces(folder)
    finished, failed = json.loads((out / "report.json").read_text())
    return {
        "ends": ends,
        "result untouched": after[0] == before[0],
        "same": after[1] == before[1],
        "finished": finished,
        "failed": failed,
        "locks": [path.name for path in (out / "locks").iterdir()],
    }


def memory(out: Path) -> dict[str, int]:
    """Pages that the system had to map for a block of 64 MiB that is taken and given back, the last of 20 times.

    Before glibc 2.38 an aligned block may leave its end in the thread's cache of small blocks, and then the next one
    does not fit where it was; the cache holds seven ends of a size, and then this ends.
    """

    def faults() -> int:
        for _ in range(20):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.empty(1 << 24).fill_(1.0)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def work() -> None:
        found = {"outside": faults()}
        with kept_memory():
            found["inside"] = faults()
        (out / "memory.json").write_text(json.dumps(found))

    end_of(child(work))
    return json.loads((out / "memory.json").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
