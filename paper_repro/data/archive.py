"""Batches straight from a .tar.gz archive: nothing is unpacked, so that nothing can land anywhere."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from nlmodel.errors import FileError
from paper_repro.data.layout import DISTRIBUTIONS, Layout


MOST_MEMBERS = 100
"""Members of an archive (the official ones have about ten)."""

SLACK = 4 * 1024**2
"""Bytes for headers, padding and the small text files beside the batches."""


def read_archive(path: Path, layout: Layout) -> Iterator[tuple[str, str, str, bytes]]:
    """Every batch once, as (stem, distribution, where it lies, bytes), in the order of the archive.

    The stream is inflated once, front to back, and never by more than the batches may have and 4 MB, so that a small
    file which inflates to a large one is refused before it has filled the memory. A member that is no regular file,
    an absolute name or one with `..` is refused although nothing is written under any name.
    """
    left: dict[str, str] | None = None
    distribution = ""
    try:
        with gzip.open(path) as inflated:
            stream = Bounded(inflated, path)
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar:  # of a file it only reads
                for number, member in enumerate(tar):
                    check_member(member, number, path)
                    name = PurePosixPath(member.name).name
                    if left is None:
                        distribution = next((d for d in DISTRIBUTIONS if name in layout.files(d)), "")
                        left = layout.files(distribution) if distribution else None
                    if not member.isreg() or name not in layout.files(distribution or "binary"):
                        continue
                    if left is None or name not in left:
                        raise FileError(f"{path} must hold {name} once", got="twice")
                    stem = left.pop(name)
                    source, most = f"{path}: {member.name}", layout.most_bytes(stem, distribution)
                    if member.size > most:
                        raise FileError(f"{source} must have at most {most} bytes", got=member.size)
                    stream.allow(member.size)
                    yield stem, distribution, source, content(tar, member, source)
            while stream.read(2**20):  # to the end, where gzip keeps the checksum
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path} must be a gzip-compressed tar archive",
            got=f"a damaged or foreign file ({type(error).__name__}: {str(error)[:200]})",
            fix="copy or download the archive again",
        ) from error
    if left is None or left:
        names = ", ".join(left or layout.files("binary"))
        raise FileError(f"{path} must hold every batch of {layout.name}", got=f"no {names}")


class Bounded:
    """A stream that ends in an error once more has been read than was allowed."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, path: Path):
        self.stream, self.path, self.left = stream, path, SLACK

    def allow(self, size: int) -> None:
        """Let `size` bytes more pass."""
        self.left += size

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise FileError(
                f"{self.path} must hold little beside the batches",
                got=f"more than {SLACK} other bytes",
                why="an archive that inflates to far more than it should is a foreign one, or an attack",
            )
        return data


def check_member(member: tarfile.TarInfo, number: int, path: Path) -> None:
    """Raise unless the member is a file or a folder below the archive's own root, and not one too many."""
    parts = PurePosixPath(member.name)
    if number >= MOST_MEMBERS:
        raise FileError(f"{path} must have at most {MOST_MEMBERS} members", got="more")
    if parts.is_absolute() or ".." in parts.parts or "\\" in member.name:
        raise FileError(f"{path} must name its members below one folder", got=repr(member.name[:200]))
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise FileError(
            f"{path} must hold regular files only",
            got=f"{member.name[:200]!r}, a link, a device or a sparse file",
            why="a link can point out of the archive",
        )


def content(tar: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> bytes:
    """The bytes of a regular member, all of them."""
    file = tar.extractfile(member)
    data = file.read() if file else b""
    if len(data) != member.size:
        raise FileError(f"{source} must have {member.size} bytes", got=len(data), fix="copy the archive again")
    return data
