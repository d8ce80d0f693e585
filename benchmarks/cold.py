"""Cold start: the first call in a fresh process, before which nothing was compiled.

What compilers keep between processes lies in a new folder, so that the time to compile counts.  The smallest size is
taken, at which nearly nothing else counts, but of one that compiles its own, since small sizes may do without;
importing the workload, torch among it, comes before.
"""

from __future__ import annotations

import tempfile
import time

from benchmarks.case import Contestant, Setting
from benchmarks.fresh import Task, number


CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")


def cold_start(contestant: Contestant, measure: str, setting: Setting) -> float:
    """Seconds until a contestant stands and has been called once."""
    size = setting if contestant.compiles else setting.on(1, setting.precision)
    start = time.perf_counter()
    contestant.build(size).calls[measure]()
    return time.perf_counter() - start


def cold_start_in_fresh_process(task: Task) -> float | str:
    """The same in a process that has done nothing else; a sentence where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        found = number("benchmarks.cold", task, dict.fromkeys(CACHES, folder))
    return f"its cold start could not be measured: {found}" if isinstance(found, str) else found


def main() -> None:
    """What the fresh process does."""
    task = Task.given()
    print(cold_start(task.found(), task.measure, task.setting))


if __name__ == "__main__":
    main()
