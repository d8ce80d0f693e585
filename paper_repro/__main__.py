"""`python -m paper_repro`: from CIFAR to the paper's tables and figures."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence

from nlmodel.errors import NlmodelError
from paper_repro.commands import collect, data, figures, mini, short, status, sweep, tables, train
from paper_repro.commands.failures import DONE, FAILED, INTERRUPTED


COMMANDS = (data, train, sweep, status, collect, tables, figures, mini, short)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(
        prog="python -m paper_repro",
        description="The CIFAR experiments of Tao et al. 2018: tables, figures, and a verdict on each statement.",
    )
    subparsers = main.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns  0; 1 when a check found something out of date; 2 with a message on stderr when the input does not allow it,
             or when a run failed; 130 after an interrupt, with every run in progress saved.
    """
    options = parser().parse_args(arguments)
    try:
        with _terminated_like_interrupted():
            status = options.run(options)
            sys.stdout.flush()
            return DONE if status is None else status
    except NlmodelError as error:
        print(f"paper_repro: {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return INTERRUPTED


@contextlib.contextmanager
def _terminated_like_interrupted():
    """SIGTERM, which job systems send before they kill, ends a command and its workers as Ctrl-C does."""

    def interrupt(*_):
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGINT)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
