"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from nlmodel.errors import FileError


def write_atomically(path: Path, data: bytes) -> None:
    """Write so that a reader, also after a crash or a full disk, finds the old file or the new one, never a part.

    A temporary file beside the target is written, forced to the disk and renamed; then the folder is forced too.

    Raises   FileError: the system refuses; the old file is untouched and the temporary one removed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise FileError(
            f"{path.name} cannot be written",
            got=error.strerror,
            why="it is stored whole or not at all: what was there before is untouched",
            fix="free some space, or choose another folder",
        ) from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
