"""How a worker trains one job: on which data, device and threads."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from nlmodel.errors import FileError
from paper_repro.config import RunConfig
from paper_repro.data.cifar import Cifar
from paper_repro.data.load import load
from paper_repro.data.synthetic import synthetic
from paper_repro.sweep.interrupt import asked_to_stop
from paper_repro.sweep.jobs import Job
from paper_repro.sweep.lock import guard
from paper_repro.sweep.state import lock_path
from paper_repro.training import Result, train
from paper_repro.training.numerics import choose_device


SYNTHETIC = "synthetic"
TRAIN, TEST = 10_000, 2_000  # synthetic images where the configuration asks for all


@dataclass(frozen=True)
class Runner:
    """Trains a job; can be sent to other processes and machines.

    Parameters
    ----------
    out : folder of all runs.
    data : folder of the CIFAR files; None for runs on synthetic images only.
    device : "auto", "cpu", "cuda", "cuda:1", ...
    threads : threads of one worker on the CPU; None leaves torch's own choice.
    progress : show the progress of each run.
    """

    out: Path
    data: Path | None = None
    device: str = "auto"
    threads: int | None = None
    progress: bool = True

    def __call__(self, job: Job, time_limit: float | None) -> Result:
        """The `Result` of the run, which is paused when `time_limit` seconds were not enough.

        Raises   KeyboardInterrupt: after an interrupt or a termination, once the run is saved; FileError: another
                 worker has taken the run over.
        """
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        images = self.images(job.config)
        check_held = guard(lock_path(job, self.out))
        with asked_to_stop() as asked:

            def stop() -> bool:
                check_held()
                return asked()

            result = train(
                job.config,
                seed=job.seed,
                data=images,
                out=self.out,
                device=self.device,
                time_limit=time_limit,
                stop=stop,
                progress=self.progress,
            )
        if asked():
            raise KeyboardInterrupt
        return result

    def images(self, config: RunConfig) -> Cifar:
        """The images of a configuration, at least as many as it asks for; kept until others are asked for.

        Raises   FileError: there are none, or no genuine ones.
        """
        if config.dataset == SYNTHETIC:
            return _stand_in(config.train_images or TRAIN, config.test_images or TEST)
        if self.data is None:
            raise FileError(
                f"this run needs the images of {config.dataset}",
                got="no folder of them",
                fix="add --data DIR; python -m paper_repro data --download DIR fetches them",
            )
        return _images(config.dataset, self.data)

    def check(self, jobs: Iterable[Job]) -> None:
        """Raise before anything is trained what every job would raise: no such device, no images."""
        choose_device(self.device)
        for config in {job.config.dataset: job.config for job in jobs}.values():
            self.images(config)


@functools.lru_cache(maxsize=1)
def _images(dataset: str, folder: Path) -> Cifar:
    """All images of a set; kept until another is asked for."""
    return load(dataset, folder)


@functools.lru_cache(maxsize=1)
def _stand_in(train: int, test: int) -> Cifar:
    """Images that are no photographs."""
    return synthetic(train=train, test=test)
