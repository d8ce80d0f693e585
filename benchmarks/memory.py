"""Peak memory above the data, of one call in a process of its own.

On the CPU it is the growth of the resident set between the moment when module and data stand and its high-water mark
during the call, which Linux resets on request: that sees every library's allocations, kept buffers and scratch too,
where a profiler of one library sees only its own.  Freed memory is made to leave the process at once, so that neither
the history of the allocator counts nor what the contestant has not touched.  A call on one image comes first, so that
thread pools and libraries are loaded before.  On a GPU torch counts the bytes itself.
"""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

from benchmarks.case import Contestant, Setting
from benchmarks.fresh import Task, number


ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1"}


def peak(contestant: Contestant, measure: str, setting: Setting) -> int:
    """Bytes that one call of a measure needs at its peak, measured in this process."""
    small = setting if contestant.compiles else setting.on(1, setting.precision)
    contestant.build(small).calls[measure]()
    call = contestant.build(setting).calls[measure]
    gc.collect()
    if setting.device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = resident("VmRSS")
    kept = call()
    found = resident("VmHWM") - before
    del kept
    return max(0, found)


def resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def peak_in_fresh_process(task: Task) -> int | str:
    """The same in a process that has done nothing else; a sentence where it fails."""
    found = number("benchmarks.memory", task, ALLOCATOR)
    return f"its memory could not be measured: {found}" if isinstance(found, str) else int(found)


def main() -> None:
    """What the fresh process does."""
    task = Task.given()
    print(peak(task.found(), task.measure, task.setting))


if __name__ == "__main__":
    main()
