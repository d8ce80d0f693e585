"""The arithmetic of a run: deterministic algorithms, and no shorter mantissa than the configuration asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nlmodel.errors import ChoiceError


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first GPU, else the CPU.

    Raises   ChoiceError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ChoiceError('device must be "auto", "cpu", "cuda" or "cuda:k"', got=repr(name)) from error
    known = device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count())
    if not known:
        raise ChoiceError(
            "the device must be there and known to this program",
            got=repr(name),
            why=f"torch sees the CPU and {torch.cuda.device_count()} CUDA devices",
            fix='pass device="auto"',
        )
    return device


@contextmanager
def numerics(precision: str, device: torch.device) -> Iterator[None]:
    """Deterministic algorithms, and TF32 in matrix products and convolutions only for precision="tf32"; set back after.

    Same machine, versions and threads give the same bits.  On a GPU that holds for the same model of GPU, unless a
    warning names an operation that has no deterministic form there.

    Raises   ChoiceError: "tf32" on the CPU, which has no such format.
    """
    if precision == "tf32" and device.type == "cpu":
        raise ChoiceError(
            'precision="tf32" needs a GPU',
            got="the CPU",
            why="a run of another arithmetic must not be recorded under this name",
            fix='set precision = "float32"',
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    settings: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # pyright: ignore
    before = [setting.fp32_precision for setting in settings]
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    try:
        for setting in settings:
            setting.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
        memory.fill_uninitialized_memory = False  # costs a pass over memory, and no bit depends on it
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = filled


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of forward passes: bfloat16 products and activations, or none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
