"""Versions, threads and devices: what a reader of a number needs to know about where it was made."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version


PACKAGES = ("nlmodel", "numpy", "scipy", "array-api-compat", "torch", "matplotlib", "sympy", "safetensors")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> dict[str, str]:
    """Names and values, in the order in which they are worth reading."""
    found = {"python": f"{platform.python_version()} ({platform.python_implementation()})"}
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    found |= {name: _version(name) for name in PACKAGES}
    found["BLAS"] = _blas()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found["processors"] = f"{usable} of {os.cpu_count()} usable"
    limits = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    found["thread limits"] = ", ".join(limits) or "none set"
    return found | _torch()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _torch() -> dict[str, str]:
    """Threads and devices as torch sees them, where torch is installed and can be imported."""
    if importlib.util.find_spec("torch") is None:
        return {"devices": "cpu"}
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return {"devices": f"cpu (torch cannot be imported: {str(error).splitlines()[0]})"}
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    names += ["Apple GPU"] if torch.backends.mps.is_available() else []
    return {"torch threads": str(torch.get_num_threads()), "devices": ", ".join(["cpu", *names])}
