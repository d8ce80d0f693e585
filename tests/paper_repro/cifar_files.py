"""Small sets in the official layouts, byte for byte as the genuine files are made, and archives of them."""

import io
import struct
import tarfile
from pathlib import Path

import numpy as np

from paper_repro.data.layout import Layout


TINY10 = Layout(
    name="cifar10",
    classes=10,
    superclasses=0,
    train=("data_batch_1", "data_batch_2"),
    test=("test_batch",),
    train_images=40,
    test_images=10,
    folders=("cifar-10-batches-bin", "cifar-10-batches-py"),
)
TINY100 = Layout(
    name="cifar100",
    classes=100,
    superclasses=20,
    train=("train",),
    test=("test",),
    train_images=200,
    test_images=100,
    folders=("cifar-100-binary", "cifar-100-python"),
)


def tiny_images(layout: Layout, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Random pixels (n, 3072) and balanced labels for every batch of `layout`."""
    rng = np.random.default_rng(seed)
    made = {}
    for stems in (layout.train, layout.test):
        count = layout.images_of(stems[0])
        labels = rng.permutation(np.arange(count * len(stems)) % layout.classes)
        for stem, part in zip(stems, np.split(labels, len(stems)), strict=True):
            made[stem] = rng.integers(0, 256, (count, 3072), dtype=np.uint8), part.astype(np.uint8)
    return made


def superclass(labels: np.ndarray) -> np.ndarray:
    return (labels % 20).astype(np.uint8)


def binary_files(layout: Layout, images: dict) -> dict[str, bytes]:
    """The files of the binary distribution: records of label bytes and pixels."""
    files = {}
    for stem, (pixels, labels) in images.items():
        columns = [superclass(labels)[:, None]] * bool(layout.superclasses) + [labels[:, None], pixels]
        files[f"{stem}.bin"] = np.concatenate(columns, axis=1).tobytes()
    return files


def python_files(layout: Layout, images: dict, *, fortran: bool = False) -> dict[str, bytes]:
    """The files of the python distribution: as Python 2 pickled them, with protocol 2."""
    files = {}
    for stem, (pixels, labels) in images.items():
        entries = {"batch_label": text(f"batch {stem}")}
        if layout.superclasses:
            entries |= {"fine_labels": numbers(labels), "coarse_labels": numbers(superclass(labels))}
        else:
            entries["labels"] = numbers(labels)
        entries["data"] = array(pixels, fortran=fortran)
        entries["filenames"] = b"](" + b"".join(text(f"image_{i}.png") for i in range(len(labels))) + b"e"
        files[stem] = dictionary(entries)
    return files


def dictionary(entries: dict[str, bytes]) -> bytes:
    return b"\x80\x02}q\x01(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."


def text(string: str) -> bytes:
    return b"U" + bytes([len(string)]) + string.encode()


def numbers(values: np.ndarray) -> bytes:
    return b"]q\x05(" + b"".join(b"K" + bytes([value]) for value in values) + b"e"


def array(pixels: np.ndarray, *, fortran: bool = False, dtype: bytes = b"u1", shape: tuple | None = None) -> bytes:
    """A NumPy array as NumPy 1.0 to 1.26 reduce it: an empty one, then shape, dtype and bytes as its state."""
    content = pixels.tobytes(order="F" if fortran else "C")
    lengths = b"".join(b"J" + struct.pack("<i", length) for length in shape or pixels.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01("
        + lengths
        + b"tcnumpy\ndtype\nq\x0aU\x02"
        + dtype
        + b"K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + (b"\x88" if fortran else b"\x89")
        + b"T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(path: Path, files: dict[str, bytes], *, folder: str = "cifar", extra: tuple = ()) -> Path:
    """A .tar.gz of `files` below `folder`; `extra` are TarInfo objects put before them, with their content."""
    with tarfile.open(path, "w:gz") as tar:
        for member, data in extra:
            tar.addfile(member, io.BytesIO(data))
        for name, data in files.items():
            tar.addfile(plain(f"{folder}/{name}", data), io.BytesIO(data))
    return path


def plain(name: str, data: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member
