"""Modules of compiled loops, where numba is installed."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType


@cache
def compiled(name: str) -> ModuleType | None:
    """The module nlmodel.NAME, or None without numba, whose import takes half a second."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return None
    return importlib.import_module(f"nlmodel.{name}")
