"""Fetching an official archive, on request only: over https, bounded, and checked before it is there."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

from nlmodel._arrays import check_choice
from nlmodel.errors import DomainError, DtypeError, FileError, MissingPackageError
from paper_repro.data.layout import DISTRIBUTIONS, LAYOUTS
from paper_repro.data.published import ARCHIVES, ORIGIN, Archive


SCHEMES = ("https://",)
TIMEOUT = 30
"""Seconds without an answer after which a download is given up."""

Report = Callable[[int, int], object]
"""Called with the bytes received and the bytes to come in all."""


def download(
    name: str, folder: str | PathLike[str], *, distribution: str = "binary", report: Report | None = None
) -> Path:
    """Fetch the official archive of a set into `folder`, unless it lies there already.

    The bytes go to a temporary file in `folder`, never more than the archive has; only when size, MD5 and SHA-256 sum
    are the published ones is it renamed. After any failure `folder` is as it was, and a file of another content under
    the archive's name is never overwritten.

    Parameters
    ----------
    name : "cifar10" or "cifar100".
    distribution : "binary" or "python".
    report : told about the progress.

    Returns the path of the archive, for `load`.
    Raises `FileError` for a failed or wrong download; `MissingPackageError` without pooch.
    """
    check_choice(name, "name", LAYOUTS)
    check_choice(distribution, "distribution", DISTRIBUTIONS)
    if not isinstance(folder, str | PathLike):
        raise DtypeError("folder must be a path", got=repr(folder))
    archive, folder = ARCHIVES[name, distribution], Path(folder)
    path = folder / archive.file
    if path.exists():
        check_sums(path, archive)
    else:
        with only_whole(folder):
            fetch(archive, folder, report)
    return path


def check_sums(path: Path, archive: Archive) -> None:
    """Raise unless the file at `path` is the archive."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{path} must be readable", got=error.strerror or repr(error)) from error
    if found != archive.sha256:
        raise FileError(
            f"{path} must be the official archive, SHA-256 {archive.sha256}",
            got=found,
            why="a download does not overwrite what it has not written",
            fix="move the file away and download again, or load it as it is",
        )


def fetch(archive: Archive, folder: Path, report: Report | None) -> None:
    """The download itself."""
    try:
        import pooch
    except ImportError as error:
        raise MissingPackageError(
            "a download needs pooch", got="none installed", fix='pip install "nlmodel[repro]", or fetch it by hand'
        ) from error
    url = ORIGIN + archive.file
    if not url.startswith(SCHEMES):
        raise DomainError("an archive is fetched over https only", got=url)
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            url, f"sha256:{archive.sha256}", fname=archive.file, path=folder, downloader=Https(archive, report)
        )
    except (OSError, ValueError) as error:  # among them all of requests and urllib3
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{url} must be fetched whole, SHA-256 {archive.sha256}",
            got=f"{type(error).__name__}: {str(error)[:300]}",
            fix="try again, or fetch it by hand and name its folder",
        ) from error


class Https:
    """A downloader for pooch: follows no redirection, and checks size and MD5 sum; pooch checks SHA-256 after it."""

    def __init__(self, archive: Archive, report: Report | None):
        self.archive, self.report = archive, report

    def __call__(self, fname: str, action: Any, pooch: Any, *, check_only: bool | None = None) -> None:
        """Write what lies at the address `fname` to the path `action`."""
        from pooch import HTTPDownloader

        request = HTTPDownloader(chunk_size=2**20, allow_redirects=False, timeout=TIMEOUT)
        with Path(action).open("wb") as file:
            meter = Meter(file, self.archive, self.report)
            request(fname, cast(IO[bytes], meter), pooch)  # of a file it only uses write and flush
        meter.finish(fname)


class Meter:
    """A file that counts and hashes what is written, and takes no more than the archive has."""

    def __init__(self, file: IO[bytes], archive: Archive, report: Report | None):
        self.file, self.archive, self.report = file, archive, report
        self.size, self.md5 = 0, hashlib.md5(usedforsecurity=False)

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self.archive.size:
            raise FileError(f"{self.archive.file} must have {self.archive.size} bytes", got="more from the server")
        self.md5.update(data)
        if self.report:
            self.report(self.size, self.archive.size)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def finish(self, url: str) -> None:
        """Raise unless size and MD5 sum are the published ones."""
        expected = f"{self.archive.size} bytes, MD5 {self.archive.md5}"
        if (found := f"{self.size} bytes, MD5 {self.md5.hexdigest()}") != expected:
            raise FileError(f"{url} must have {expected}", got=found, fix="try again, or fetch it by hand")


@contextlib.contextmanager
def only_whole(folder: Path):
    """Remove the folders that did not exist before, when what is done inside fails."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
