"""A contestant in a process of its own, which takes its turn in the rounds of the others.

What a process sets for itself, such as how it keeps memory, would else serve the other contestants too.  The process
and all that it needs stand after the first call.  A later call is a word to it and its answer, so that only one process
computes at a time, and its seconds are those in between: some ten microseconds more than the call itself.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cached_property
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol, TypeAlias

import torch

from benchmarks.case import Call


OF_ONE = ("benchmarks.memory", "benchmarks.cold")  # programs that serve one contestant
LEAVE = 5.0  # seconds that a process has to end by itself

Make: TypeAlias = Callable[[], AbstractContextManager[Call]]
"""A context that sets what its process needs and gives the call; can be pickled."""


class Pipe(Protocol):
    """One end of it."""

    def send(self, obj: Any) -> None: ...
    def recv(self) -> Any: ...
    def close(self) -> None: ...


def apart(make: Make) -> Call:
    """The call that `make` gives, in a process of its own; in this one where nobody else is served by it."""
    program = sys.modules["__main__"].__spec__
    return Here(make) if program is not None and program.name in OF_ONE else Apart(make)


class Here:
    """The call in this process, whose settings stay until the call is forgotten."""

    def __init__(self, make: Make):
        stack = ExitStack()
        self._call = stack.enter_context(make())
        weakref.finalize(self, stack.close)

    def __call__(self) -> None:
        """Call it."""
        self._call()


class Apart:
    """The call in a process that starts with the first one and ends when this is forgotten.

    Raises  RuntimeError: it failed there, or the process has died.
    """

    def __init__(self, make: Make):
        self._make = make

    def __call__(self) -> None:
        """Call it there and wait."""
        pipe, process = self._there
        with suppress(OSError):  # it has died, and may have said why
            pipe.send(None)
        _hear(pipe, process)

    @cached_property
    def _there(self) -> tuple[Pipe, SpawnProcess]:
        context = multiprocessing.get_context("spawn")
        pipe, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, self._make, torch.get_num_threads()), daemon=True)
        process.start()
        other.close()
        weakref.finalize(self, _end, pipe, process)
        _hear(pipe, process)
        return pipe, process


def _hear(pipe: Pipe, process: SpawnProcess) -> None:
    """Wait for the answer, and raise what went wrong."""
    try:
        trouble = pipe.recv()
    except (EOFError, OSError):
        process.join(LEAVE)
        trouble = f"the process of a contestant has ended with exit status {process.exitcode}"
    if trouble is not None:
        raise RuntimeError(trouble)


def _end(pipe: Pipe, process: SpawnProcess) -> None:
    """Without the pipe it ends by itself."""
    pipe.close()
    process.join(LEAVE)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(pipe: Pipe, make: Make, threads: int) -> None:
    """What the process does: asleep between two calls, it answers each with None or with what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process decides
    torch.set_num_threads(threads)
    try:
        with make() as call:
            pipe.send(None)
            while _asked(pipe):
                call()
                pipe.send(None)
    except Exception as error:
        pipe.send("".join(traceback.format_exception_only(error)).strip())


def _asked(pipe: Pipe) -> bool:
    try:
        pipe.recv()
    except EOFError:
        return False
    return True
