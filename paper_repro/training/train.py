"""Training: a configuration, a seed and images in, a result out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch

from nlmodel._arrays import check_count, check_number
from nlmodel.errors import DomainError
from paper_repro.config import RunConfig, run_id
from paper_repro.data.cifar import Cifar
from paper_repro.data.subset import subset
from paper_repro.training.display import Display
from paper_repro.training.engine import Engine
from paper_repro.training.folder import Folder
from paper_repro.training.graph import GraphEngine
from paper_repro.training.group import Group, join, local_device
from paper_repro.training.memory import kept_memory
from paper_repro.training.numerics import choose_device, numerics
from paper_repro.training.result import Result, load_result
from paper_repro.training.run import Limits, Run


def train(
    config: RunConfig,
    *,
    seed: int,
    data: Cifar,
    out: Path,
    device: str = "auto",
    resume: bool = True,
    time_limit: float | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = True,
) -> Result:
    """Train the network of `config` with the initial weights and the order of images of `seed`.

    SGD on the mean cross-entropy as in He et al. 2016, with the recipe of Tao et al. 2018, section 3, as the default.

    Parameters
    ----------
    data : images of `config.dataset`; cut to `train_images` and `test_images` where the configuration says so.
    out : folder of all runs; this one's is `out / run_id(config, seed)`.
    device : "auto", "cpu", "cuda", "cuda:k".
    resume : go on from the checkpoint, or return the result of a run that is done; False: from the start.
    time_limit : seconds after which the run is paused, with status "paused"; None for no limit.
    stop : asked after each step; True pauses the run, and what it raises ends it with nothing more written.
    checkpoint_every : seconds between two checkpoints; 0 for one after each step.
    progress : show a bar, or a line now and then.

    Returns  `Result`; a run that diverges has a result too, with its reason.
    Raises   DomainError: images of another set; ChoiceError: no such device, or a precision that it lacks; FileError: a
             damaged or foreign checkpoint.
    Accuracy the same machine, versions and threads give the same bytes, however often the run was killed and resumed.
    """
    (result,) = train_together(
        config,
        seeds=[seed],
        data=data,
        out=out,
        device=device,
        resume=resume,
        time_limit=time_limit,
        stop=stop,
        checkpoint_every=checkpoint_every,
        progress=progress,
    )
    return result


def train_together(
    config: RunConfig,
    *,
    seeds: Sequence[int],
    data: Cifar,
    out: Path,
    device: str = "auto",
    resume: bool = True,
    time_limit: float | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = True,
) -> list[Result]:
    """Train several seeds in turns, step by step; on a GPU each has a stream of its own, so that small kernels overlap.

    Arguments and results as those of `train`, one result a seed.  Under `torchrun` all processes train one network
    together, see `Group`, and the leading one writes.
    """
    every = check_number(checkpoint_every, "checkpoint_every", at_least=0.0)
    limits = Limits(_deadline(time_limit), every, stop)
    seeds = [check_count(seed, "seed") for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise DomainError(
            "each seed must be named once, and there must be one", got=", ".join(map(str, seeds)) or "none"
        )
    data = _images_of(config, data)
    where = local_device(choose_device(device))
    group = join(where)
    with numerics(config.precision, where), kept_memory(), ExitStack() as stack:
        results: dict[int, Result] = {}
        lanes: dict[int, tuple[Generator[None, None, Result], Any]] = {}
        for seed in seeds:
            folder = Folder(Path(out) / run_id(config, seed), writes=group.leads)
            if not resume:
                folder.clear()
            group.leader_says(True, where)  # the others look after that
            known = load_result(folder.path)
            if known is not None and known.done:
                results[seed] = known
                continue
            folder.begin(config, where, group.size)
            stream = torch.cuda.Stream(where) if where.type == "cuda" else None
            with _in(stream):
                engine = _engine(config, data, where, group, len(lanes))
                run = Run(config, seed, engine, folder, limits, data.fingerprint)
            done = run.progress.epoch * run.steps + run.progress.step
            shown = progress and group.leads
            display = Display(folder.path.name, config.epochs * run.steps, done, shown=shown, bar=len(seeds) == 1)
            stack.callback(folder.close)
            lanes[seed] = run.work(stack.enter_context(display)), stream
        while lanes:
            for seed, (work, stream) in list(lanes.items()):
                with _in(stream):
                    try:
                        next(work)
                    except StopIteration as end:
                        results[seed] = end.value
                        del lanes[seed]
        return [results[seed] for seed in seeds]


_KEPT = 16  # graph engines kept for the next seed: the rows of a table
_engines: dict[tuple[Any, ...], GraphEngine] = {}


def _engine(config: RunConfig, data: Cifar, device: torch.device, group: Group, lane: int) -> Engine:
    """An engine for the configuration; on a GPU the one that was captured for it before, if there is one."""
    if device.type != "cuda":
        return Engine(config, data, device, group)
    key = (config.digest(), data.fingerprint, device, group, lane)
    engine = _engines.pop(key, None) or GraphEngine(config, data, device, group)
    _engines[key] = engine  # the one used last stands last
    while len(_engines) > _KEPT:
        del _engines[next(iter(_engines))]
    return engine


def _in(stream: Any) -> Any:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _deadline(time_limit: float | None) -> float:
    return math.inf if time_limit is None else time.monotonic() + check_number(time_limit, "time_limit", above=0.0)


def _images_of(config: RunConfig, data: Cifar) -> Cifar:
    if data.synthetic != (config.dataset == "synthetic") or (not data.synthetic and data.name != config.dataset):
        raise DomainError(
            "the images must be those of the configuration",
            got=f"{data.name} for dataset = {config.dataset!r}",
            why="results are recorded under the name in the configuration",
        )
    return subset(data, config.train_images, config.test_images)
