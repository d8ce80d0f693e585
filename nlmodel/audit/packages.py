"""Packages that only the command line and its reports need."""

from __future__ import annotations

import importlib
from typing import Any

from nlmodel.errors import MissingPackageError


def require(module: str) -> Any:
    """The imported module, or `MissingPackageError` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise MissingPackageError(
            f"this needs the package {package}",
            got="an installation without it",
            fix="pip install 'nlmodel[cli]'",
        ) from error
