"""Interrupts that wait for a good moment."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


SIGNALS = (signal.SIGINT, signal.SIGTERM)
STANDARD_ERROR = 2


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that says whether an interrupt or a termination came; the second one interrupts at once.

    Outside the main thread, which alone receives signals, it never says so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        with contextlib.suppress(OSError):  # a terminal that is gone must not break the step
            os.write(STANDARD_ERROR, b"\nStopping after this step; once more to stop at once.\n")

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
