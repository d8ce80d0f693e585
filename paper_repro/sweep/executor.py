"""Executors by name: those of the standard library, and any other that the user vouches for."""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
from typing import Any

from nlmodel._arrays import check_count
from nlmodel.errors import ChoiceError, MissingPackageError


SHORT = {
    "processes": "concurrent.futures.ProcessPoolExecutor",
    "threads": "concurrent.futures.ThreadPoolExecutor",
}
KNOWN = "concurrent.futures."


def make_executor(name: str, workers: int, *, allow_import: bool = False) -> Any:
    """The executor called `name`, with room for `workers` tasks at once.

    Parameters
    ----------
    name : "processes", "threads", or a dotted name `package.module.factory`; the factory is called with
        max_workers=workers and returns an object with `submit(function, *args)`, whose futures have `result()`.
    allow_import : needed for names outside `concurrent.futures`, because importing a module runs its code.

    Returns  the executor; processes are spawned, not forked, so that each may use a GPU.
    Raises   ChoiceError: no such name, or not allowed; MissingPackageError: its module cannot be imported.
    """
    check_count(workers, "workers", at_least=1)
    dotted = SHORT.get(name, name)
    if not dotted.startswith(KNOWN) and not allow_import:
        raise ChoiceError(
            "the executor must be one of the standard library, or be allowed",
            got=repr(name),
            why="importing a module runs its code",
            fix=f"add --allow-import if you trust it, or choose from {', '.join(SHORT)}",
        )
    module, _, attribute = dotted.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), attribute, None) if module else None
    except ImportError as error:
        raise MissingPackageError(
            f"the executor {name!r} needs the module {module}", got=str(error), fix="install it, or check the spelling"
        ) from error
    if not callable(factory):
        raise ChoiceError(
            "the executor must be the dotted name of a factory",
            got=repr(name),
            fix="package.module.factory, called with max_workers=N",
        )
    options = {"max_workers": workers}
    if factory is concurrent.futures.ProcessPoolExecutor:
        options["mp_context"] = multiprocessing.get_context("spawn")  # pyright: ignore[reportArgumentType]
    try:
        made: Any = factory(**options)
    except TypeError as error:
        raise ChoiceError("the factory of an executor must take max_workers", got=f"{name!r}: {error}") from error
    if not callable(getattr(made, "submit", None)):
        raise ChoiceError(
            "an executor needs a method submit(function, *args)", got=f"{type(made).__name__} from {name!r}"
        )
    return made
