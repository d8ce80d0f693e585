"""Work shared among the cores by threads that stay; NumPy and compiled loops let go of the interpreter meanwhile."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar


BLOCKS_PER_CORE = 4  # so that one that is held up does not make the others wait long

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="nlmodel")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def every(task: Callable[[Item], object], items: Iterable[Item]) -> None:
    """`task` of all items: each core, that of this thread too, takes the next one whenever it is free."""
    left = deque(items)

    def work() -> None:
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            task(item)

    waiting = [_pool().submit(work) for _ in range(min(cores(), len(left)) - 1)]
    try:
        work()
    finally:
        for future in waiting:
            future.result()


def in_order(task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of `task` in the order of the items, a few items ahead of the one asked for."""
    ahead, waiting = 2 * cores(), deque()
    for item in items:
        waiting.append(_pool().submit(task, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
