"""Runs in processes of their own, some of which are killed: python training_driver.py FOLDER.

The parent never trains, so that children can be forked without importing torch again.
"""

from __future__ import annotations

import functools
import json
import os
import random
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
from paper_repro.training import Engine, train
from paper_repro.training.folder import Folder
from paper_repro.training.group import Group, join
from paper_repro.training.result import Result
from tests.paper_repro.training_cases import IMAGES, NONLOCAL, QUIET, TINY, folder_of, one_thread, traces


POINTS: dict[str, tuple[Any, str, int]] = {  # where a process kills itself: owner, name, latest call
    "before a step": (Engine, "train_step", 8),
    "between gradient and step": (torch.optim.SGD, "step", 8),
    "inside a save, nothing written": (files.os, "fdopen", 20),
    "inside a save, before the rename": (files.os, "fsync", 30),
    "before the logs": (Folder, "write_logs", 8),
    "in the evaluation": (Engine, "evaluate", 2),
    "before the weights": (Folder, "write_weights", 1),
    "before the result": (Result, "save", 1),
}


def main(out: Path) -> None:
    one_thread()
    print(json.dumps({work.__name__: work(out / work.__name__) for work in (kills, group, widow)}))


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


def kill_at(point: str, count: int) -> None:
    """From now on the `count`-th call of `point` kills this process."""
    owner, name, _ = POINTS[point]
    function, calls = getattr(owner, name), iter(range(1, count + 1))

    @functools.wraps(function)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, deadly)


def run(out: Path, point: str | None = None, count: int = 1) -> None:
    if point is not None:
        kill_at(point, count)
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
    for point, (_, _, latest) in POINTS.items():
        count = 1 if latest == 1 else rng.randint(1, min(latest, 3))
        ends[point] = end_of(child(lambda point=point, count=count: run(out / "killed", point, count)))
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
            kill_at("before a step", 2)
        train(TINY, seed=0, out=out, **QUIET)

    pids = ranks(work)
    begun = time.monotonic()
    ends = [end_of(pid) for pid in reversed(pids)]
    return {"killed": ends[0], "other": ends[1], "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
