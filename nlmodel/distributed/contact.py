"""What torch.distributed says of lost processes, said clearly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nlmodel.errors import NlmodelError, ProcessError


@contextmanager
def contact() -> Iterator[None]:
    """Turn the errors of torch.distributed into a `ProcessError`."""
    try:
        yield
    except NlmodelError:
        raise
    except RuntimeError as error:
        raise ProcessError(
            "the processes lost contact",
            got=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            why="a process ended, or did not answer within the time-out: every process makes the same calls",
            fix="look for the first error in the output of the other processes, and start the run again",
        ) from error
