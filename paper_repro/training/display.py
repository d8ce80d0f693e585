"""The progress of a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


EVERY_BAR, EVERY_LINE = 0.2, 10.0  # seconds between two updates


class Display:
    """How far a run is, its loss, error and speed, and when it will be done; there may be one `bar` at a time."""

    def __init__(self, title: str, steps: int, done: int, *, shown: bool, bar: bool = True):
        self.title, self.steps, self.first, self.shown = title, steps, done, shown
        self.has_bar = bar and sys.stderr.isatty()
        self._begun = time.monotonic()
        self._next = self._begun
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Display:
        if self.shown and self.has_bar:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn(self.title), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"))
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("", total=self.steps, completed=self.first, told="")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def due(self) -> bool:
        """Whether it is time for another `update`."""
        return self.shown and time.monotonic() >= self._next

    def update(self, done: int, told: str) -> None:
        """Show that `done` of all steps are done."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, told=told)
            self._next = now + EVERY_BAR
            return
        pace = (now - self._begun) / max(1, done - self.first)
        left = f"{clock(pace * (self.steps - done))} left" if done > self.first else "starting"
        print(f"{self.title}: {100 * done / self.steps:.1f} %, {left}, {told}", file=sys.stderr, flush=True)
        self._next = now + EVERY_LINE


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
