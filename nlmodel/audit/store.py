"""Reports to disk, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nlmodel.audit.readers.entry import printable
from nlmodel.errors import FileError


def check_targets(paths: Sequence[Path], source: Path) -> None:
    """Refuse targets that cannot be written, before the analysis takes its time."""
    for path in paths:
        _check_target(path, source)
    if len({path.absolute() for path in paths}) < len(paths):
        raise FileError("each report needs a file of its own", got=printable(str(paths[0])), fix="choose another name")


def _check_target(path: Path, source: Path) -> None:
    name = printable(str(path))
    if path.is_dir():
        raise FileError("the report needs a file name", got=f"the folder {name}", fix=f"pass {name}/report.html")
    if not path.parent.is_dir():
        raise FileError("the folder of the report does not exist", got=printable(str(path.parent)), fix="make it first")
    if path.exists() and source.exists() and path.samefile(source):
        raise FileError("the report would overwrite the audited file", got=name, fix="choose another name")


def write(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, never a part."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise FileError(
            f"{printable(str(path))} cannot be written",
            got=error.strerror,
            why="nothing was written: a report is stored whole or not at all",
        ) from error


def _umask() -> int:
    """The permissions that new files leave out; reading them means setting them for a moment."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
