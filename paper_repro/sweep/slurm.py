"""A plain job script for clusters with SLURM."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from nlmodel._arrays import check_count
from nlmodel.errors import DomainError


GRACE = 120  # seconds between the last run's pause and the end of the allocation


def sbatch_script(command: Sequence[str], *, workers: int, hours: float, gpus: int = 1, cpus: int = 8) -> str:
    """The text of an array of `workers` jobs, each pulling from the same queue until `hours` are over.

    Parameters
    ----------
    command : the words of the sweep, without --time-limit.
    hours : length of the allocation; the workers stop in time to save.

    Submit it with `sbatch FILE`, as often as it takes: what is finished is skipped.
    """
    check_count(workers, "workers", at_least=1)
    seconds = int(3600 * hours)
    if seconds <= 2 * GRACE:
        raise DomainError("the allocation must leave time to train", got=f"{hours:g} h", fix=f"more than {2 * GRACE} s")
    clock = f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    words = [*command, "--time-limit", str(seconds - GRACE)]
    return "\n".join(
        [
            "#!/bin/bash",
            "#SBATCH --job-name=nlmodel",
            f"#SBATCH --array=0-{workers - 1}",
            f"#SBATCH --time={clock}",
            *([f"#SBATCH --gpus={gpus}"] if gpus else []),
            f"#SBATCH --cpus-per-task={cpus}",
            "#SBATCH --output=%x-%A_%a.out",
            "",
            shlex.join(words),
            "",
        ]
    )
