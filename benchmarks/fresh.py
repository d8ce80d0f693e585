"""Measurements of one call in a process of its own, which has done nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.case import Contestant, Setting
from benchmarks.machine import prepare
from benchmarks.workload import load


ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Task:
    """Which call: a measure of a contestant of a case in a workload's module, and where."""

    module: str
    case: str
    contestant: str
    measure: str
    setting: Setting
    threads: int

    @classmethod
    def given(cls) -> Task:
        """The one that this process was started for, with the machine prepared."""
        found = json.loads(sys.argv[1])
        task = cls(**found | {"setting": Setting(**found["setting"])})
        prepare(task.setting.device, task.threads)
        return task

    def found(self) -> Contestant:
        """The contestant itself."""
        return load(self.module).case(self.case).contestant(self.contestant)


def number(program: str, task: Task, environment: Mapping[str, str]) -> float | str:
    """The last word that a program prints about a task, as a number; where it fails, the last line of its trouble."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", program, json.dumps(asdict(task))],
        capture_output=True, text=True, env={**os.environ, **environment, "PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return (done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"])[0]
    return float(done.stdout.split()[-1])
