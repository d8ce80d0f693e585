"""What the numbers were measured on: processor, threads, versions, and the ceilings that it reached in the same run."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks import peers
from benchmarks.case import Call, Work
from benchmarks.timing import Clock


BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # the last is Arm's
PACKAGES = ("nlmodel", "torch", "numpy", "scipy")
REPEATS = 7
CACHED = 2**17  # numbers that stay in the caches of the cores
SIDES = {"cpu": 2048, "cuda": 8192}  # of the matrices of the ceilings
NUMBERS = {"cpu": 2**26, "cuda": 2**28}  # of the vectors


def prepare(device: str, threads: int | None) -> None:
    """So many threads, and float32 that is float32: a GPU's convolutions would round their factors to ten bits."""
    if threads:
        torch.set_num_threads(threads)
    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def facts(device: str) -> dict[str, Any]:
    """Names, counts and versions."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if device == "cuda" else None,
        "bf16 units": bf16_units(device),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "peers": peers.versions(),
    }


def name_of(machine: Mapping[str, Any]) -> str:
    """A file name for it."""
    words = [machine["accelerator"] or machine["processor"], f"{machine['threads']} threads"]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def processor() -> str:
    """The name that the processor gives itself."""
    return next((x.split(":", 1)[1].strip() for x in _cpuinfo() if x.startswith("model name")), platform.machine())


def bf16_units(device: str) -> bool:
    """Whether products of bfloat16 numbers have units of their own."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = next((x.split(":", 1)[1].split() for x in _cpuinfo() if x.lower().startswith(("flags", "features"))), [])
    return any(flag in flags for flag in BF16_FLAGS)


def ceilings(device: str, clock: Clock) -> dict[str, float]:
    """FLOP/s of square matrix products, exponentials/s, and bytes/s of reading and copying, the best of several."""
    found = {}
    for kind in ("float32", "float64", "bfloat16"):
        slow = kind == "bfloat16" and not bf16_units(device)  # emulated, so that a smaller product is enough
        n = SIDES[device] // (4 if slow else 1)
        a, b = (torch.ones(n, n, dtype=getattr(torch, kind), device=device) for _ in range(2))
        found[f"{kind} products"] = 2 * n**3 / _best(clock, partial(torch.matmul, a, b))
    for kind in ("float32", "float64"):
        x, y = (torch.linspace(-9, 0, CACHED, dtype=getattr(torch, kind), device=device) for _ in range(2))
        found[f"{kind} exponentials"] = CACHED / _best(clock, partial(torch.exp, x, out=y), calls=100)
    x, y = (torch.ones(NUMBERS[device], device=device) for _ in range(2))
    found["read"] = x.nbytes / _best(clock, x.sum)
    found["copy"] = 2 * x.nbytes / _best(clock, partial(y.copy_, x))
    return found


def limit(work: Work, ceiling: Mapping[str, float]) -> float:
    """Seconds that no way of doing it can go below here, the roofline:

    max(operations / rate + exponentials / rate, bytes / rate)
    """
    seconds = work.flops / ceiling[f"{work.precision} products"]
    if work.exponentials:
        seconds += work.exponentials / ceiling[f"{work.precision} exponentials"]
    return max(seconds, work.bytes / ceiling[work.stream])


def share_of_limit(work: Work | None, seconds: float | None, ceiling: Mapping[str, float]) -> float | None:
    """The limit over the time it took."""
    return None if work is None or seconds is None or not ceiling else limit(work, ceiling) / seconds


def _best(clock: Clock, call: Call, calls: int = 1) -> float:
    call()
    return min(clock.seconds(call, calls) for _ in range(REPEATS))


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
