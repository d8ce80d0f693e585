"""What became of a run."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from nlmodel.errors import FileError
from paper_repro.files import write_atomically


FINISHED, DIVERGED, PAUSED = "finished", "diverged", "paused"
RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """The outcome of a run; errors in percent, None where nothing was evaluated.

    Attributes
    ----------
    status : "finished", "diverged" (a result, with its reason) or "paused" (goes on when it is started again).
    epochs_done : full epochs.
    best_error, best_epoch : the smallest test error and when it was reached.
    seconds : wall time of all epochs, evaluation and logs included; images_per_second : median over the epochs.
    threads, processes : of the CPU and of the data-parallel group, which the bits of the result depend on.
    """

    run_id: str
    config_digest: str
    seed: int
    status: str
    reason: str | None
    epochs_done: int
    final_error: float | None
    best_error: float | None
    best_epoch: int | None
    final_train_error: float | None
    seconds: float
    images_per_second: float | None
    parameters: int
    data: str
    device: str
    threads: int
    processes: int
    date: str
    versions: dict[str, str] = field(repr=False)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.status in (FINISHED, DIVERGED)

    def __repr__(self) -> str:
        error = "no test error" if self.final_error is None else f"error {self.final_error:.2f} %"
        why = f" ({self.reason})" if self.reason else ""
        return f"Result({self.run_id}: {self.status}{why} after {self.epochs_done} epochs, {error})"

    def save(self, folder: Path) -> None:
        """Write the result into the folder of its run."""
        text = json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)
        write_atomically(folder / RESULT, text.encode() + b"\n")


def load_result(folder: Path) -> Result | None:
    """The result in the folder of a run, None when there is none.

    Raises   FileError: the file holds something else.
    """
    try:
        return Result(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise FileError(
            f"{RESULT} must hold the result of a run",
            got=f"{folder.name}/{RESULT}: {error}",
            fix="delete this file: the run goes on from its checkpoint",
        ) from error
