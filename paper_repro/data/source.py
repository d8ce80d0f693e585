"""Where the batch files are: a folder or an archive, found and read within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nlmodel.errors import FileError
from paper_repro.data.archive import read_archive
from paper_repro.data.layout import DISTRIBUTIONS, Layout


ENDINGS = {"binary": "-binary.tar.gz", "python": "-python.tar.gz"}


def archive_name(layout: Layout, distribution: str) -> str:
    """File name of the official archive: cifar-10-binary.tar.gz and so on."""
    return f"cifar-{layout.classes}{ENDINGS[distribution]}"


def find(root: Path, layout: Layout) -> tuple[Path, str | None]:
    """The folder that holds the batches and its distribution, or the archive and None.

    `root` is the archive, or the folder of the batches, or a folder in which either lies under its official name.
    """
    if root.is_file():
        return root, None
    for distribution in DISTRIBUTIONS:
        for folder in (root, root / layout.folder(distribution)):
            if any((folder / file).is_file() for file in layout.files(distribution)):
                return folder, distribution
    for distribution in DISTRIBUTIONS:
        if (root / archive_name(layout, distribution)).is_file():
            return root / archive_name(layout, distribution), None
    raise FileError(
        f"{layout.name} must lie in {root}",
        got="no such path" if not root.exists() else "a folder without its batches",
        fix=f"name the folder with {layout.folder('binary')} or {layout.folder('python')}, or an archive "
        f"{archive_name(layout, 'binary')}; python -m paper_repro data --download fetches it",
    )


def read(root: Path, layout: Layout) -> Iterator[tuple[str, str, str, bytes]]:
    """Every batch once, as (stem, distribution, where it lies, bytes), in the order of the source.

    Raises `FileError` for a missing or repeated batch, for one above its size, and for whatever no copy contains.
    """
    try:
        path, distribution = find(root, layout)
        if distribution is None:
            yield from read_archive(path, layout)
        else:
            yield from read_folder(path, layout, distribution)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{error.filename or root} must be readable", got=error.strerror or repr(error)) from error


def read_folder(folder: Path, layout: Layout, distribution: str) -> Iterator[tuple[str, str, str, bytes]]:
    """The batches of a folder."""
    missing = [file for file in layout.files(distribution) if not (folder / file).is_file()]
    if missing:
        raise FileError(f"{folder} must hold every batch of {layout.name}", got=f"no {', '.join(missing)}")
    for file, stem in layout.files(distribution).items():
        yield stem, distribution, str(folder / file), read_bounded(folder / file, layout.most_bytes(stem, distribution))


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise FileError(f"{path} must have at most {most} bytes", got="more")
    return data
