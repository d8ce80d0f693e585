"""Damaged and hostile copies: each is refused by name, and nothing has happened."""

import contextlib
import gzip
import os
import pickle
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlmodel.errors import FileError
from paper_repro.data.load import load_layout
from paper_repro.data.source import archive_name
from paper_repro.data.unpickle import unpickle
from tests.paper_repro.cifar_files import (
    TINY10,
    array,
    binary_files,
    dictionary,
    numbers,
    plain,
    python_files,
    text,
    tiny_images,
    write_archive,
    write_folder,
)


IMAGES = tiny_images(TINY10)
BINARY, PYTHON = binary_files(TINY10, IMAGES), python_files(TINY10, IMAGES)
FLAG = "the-bomb-went-off"
PIXELS, LABELS = IMAGES["data_batch_1"]


def pinned(tmp_path: Path):
    """TINY10 with the fingerprints of its genuine images."""
    from paper_repro.data.identity import fingerprint, image_digests

    genuine = load_layout(TINY10, write_folder(tmp_path / "genuine", BINARY))
    train = fingerprint(image_digests(genuine.train_images, genuine.train_labels))
    return replace(TINY10, identity=(train, fingerprint(image_digests(genuine.test_images, genuine.test_labels))))


def everything_in(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def check_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path, match: str) -> None:
    """The set is refused with `match`, no file has come, gone or changed, and little memory was taken."""
    layout = pinned(tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    before = everything_in(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=match):
            load_layout(layout, root)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert everything_in(tmp_path) == before
    assert not list(tmp_path.rglob(FLAG))
    assert peak < 50e6


def batch(**changes: bytes) -> bytes:
    """The first batch of the python distribution with other entries."""
    return dictionary({"labels": numbers(LABELS), "data": array(PIXELS)} | changes)


class Bomb:
    """What pickle calls when it is loaded."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def bomb(protocol: int) -> bytes:
    return pickle.dumps(Bomb(os.mkdir, FLAG), protocol=protocol)


DEEP = b"(" * 3000 + b"t" * 3000
PICKLES = {
    "bomb, protocol 0": (bomb(0), r"data_batch_1 .*the name 'posix.mkdir'"),
    "bomb, protocol 2": (bomb(2), "the name 'posix.mkdir'"),
    "bomb, protocol 4": (bomb(4), "protocol 4"),
    "bomb without protocol": (b"\x8c\x05posix\x8c\x05mkdir\x93(U\x01xtR.", "the opcode SHORT_BINUNICODE"),
    "bomb by INST": (b"(S'" + FLAG.encode() + b"'\niposix\nmkdir\n.", "the opcode INST"),
    "bomb by OBJ": (b"(cposix\nmkdir\nU\x01xo.", "the name 'posix.mkdir'"),
    "bomb by NEWOBJ": (b"\x80\x02cnumpy\nndarray\n)\x81.", "the opcode NEWOBJ"),
    "bomb in the data": (batch(data=b"cposix\nsystem\n(U\x05touchtR"), "the name 'posix.system'"),
    "bomb beside the data": (batch(extra=b"c__builtin__\neval\n(U\x011tR"), "the name '__builtin__.eval'"),
    "attribute of an allowed module": (batch(extra=b"cnumpy\nload\n(U\x01xtR"), "the name 'numpy.load'"),
    "allowed name, wrong call": (batch(extra=b"cnumpy\nndarray\n(K\x01tR"), "a call that no batch makes"),
    "encoder for another code": (batch(extra=b"c_codecs\nencode\n(U\x01xU\x03ziptR"), "a call that no batch makes"),
    "persistent id": (b"\x80\x02Pmodel\n.", "the opcode PERSID"),
    "extension": (b"\x80\x02\x82\x01.", "the opcode EXT1"),
    "object array": (batch(data=array(PIXELS, dtype=b"O8")), "dtype 'O8', not uint8"),
    "wide integers": (batch(data=array(PIXELS, dtype=b"i8")), "dtype 'i8', not uint8"),
    "state for a name": (batch(extra=b"cnumpy\nndarray\n}b"), "a state that no batch has"),
    "narrow images": (batch(data=array(PIXELS[:, :-1])), r"shape \(n, 3072\) under 'data': got shape \(20, 3071\)"),
    "huge shape": (batch(data=array(PIXELS, shape=(2**31 - 1, 3072))), r"got shape \(2147483647, 3072\) with 61440"),
    "shape of tuples": (batch(data=array(PIXELS).replace(b"K\x01(J", b"K\x01(" + DEEP + b"J")), r"got shape \(\?, 20"),
    "no data": (dictionary({"labels": numbers(LABELS)}), "array of bytes under 'data': got entries 'labels'"),
    "characters that are no bytes": (
        batch(data=array(PIXELS[:0]).replace(b"T\0\0\0\0", b"X\x02\0\0\0\xc4\x80")),
        "characters that are no bytes",
    ),
    "a label too few": (batch(labels=numbers(LABELS[:-1])), "20 labels of one byte under 'labels': got 19 entries"),
    "no labels": (batch(labels=b"N"), "20 labels of one byte under 'labels': got none"),
    "a negative label": (batch(labels=numbers(LABELS[:-1])[:-1] + b"J\xff\xff\xff\xffe"), "20 labels of one byte"),
    "a label of text": (batch(labels=numbers(LABELS[:-1])[:-1] + text("x") + b"e"), "20 labels of one byte"),
    "a label out of range": (
        batch(labels=numbers(np.r_[LABELS[:-1], 10])),
        r"lie in 0, \.\.\., 9: got 10 for image 19",
    ),
    "wrong labels": (batch(labels=numbers(np.zeros_like(LABELS))), r"must name every class 4 times"),
    "keys without order": (b"\x80\x02}(](U\x01ae]u.", "keys are no strings"),
    "deep key": (b"\x80\x02}(" + DEEP + b"K\x01u.", "keys are no strings"),
    "deep nesting": (b"\x80\x02" + DEEP + b".", "no dictionary"),
    "flood of lists": (b"\x80\x02" + b"]" * 70_000 + b".", "more opcodes than a batch has"),
    "odd items": (b"\x80\x02}(U\x01au.", "keys are no strings"),
    "items for a number": (b"\x80\x02K\x01(U\x01aK\x01u.", "items for a int where a dict belongs"),
    "nothing": (b"", "a damaged pickle"),
    "only an end": (b".", "no dictionary"),
    "memo without entry": (b"h\x01.", r"a damaged pickle \(KeyError"),
    "empty stack": (b"\x85.", "a stack that runs empty"),
    "items below the mark": (b"K\x01(\x85.", "a stack that runs empty"),
    "truncated": (PYTHON["data_batch_1"][:-1000], "a damaged pickle"),
    "without its end": (PYTHON["data_batch_1"][:-1], "a damaged pickle"),
    "something after the end": (PYTHON["data_batch_1"] + b"cos\n", "4 bytes after the end"),
    "too large": (PYTHON["data_batch_1"] + b"N" * 40_000, "must have at most 80000 bytes"),
    "no pickle": (b"\xff\xd8\xff\xe0 JFIF", "a damaged pickle"),
    "number without bound": (b"I" + b"9" * 5000 + b"\n.", "a damaged pickle"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_hostile_pickle_is_refused(tmp_path, monkeypatch, name):
    data, match = PICKLES[name]
    folder = write_folder(tmp_path / "py", PYTHON | {"data_batch_1": data})
    check_refused(tmp_path, monkeypatch, folder, match)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_bombs_are_live(tmp_path, monkeypatch, protocol):
    """Control: Python's own reader sets them off."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(bomb(protocol))
    assert (tmp_path / FLAG).is_dir()


@pytest.mark.parametrize("kept", range(0, 400, 7))
def test_a_pickle_cut_anywhere_is_refused(kept):
    with pytest.raises(FileError, match="data_batch_1 must be a batch"):
        unpickle(PYTHON["data_batch_1"][:kept], "data_batch_1")


def test_no_random_bytes_get_through():
    """Every outcome is a dictionary or a FileError, whatever bytes replace those of a genuine batch."""
    rng = np.random.default_rng(11)
    start = np.frombuffer(PYTHON["data_batch_1"][:300], np.uint8)
    for _ in range(3000):
        damaged = start.copy()
        damaged[rng.integers(0, 300, 4)] = rng.integers(0, 256, 4)
        data = damaged.tobytes() + PYTHON["data_batch_1"][300:]
        with contextlib.suppress(FileError):
            assert isinstance(unpickle(data, "x"), dict)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swapped_labels(data: bytes) -> bytes:
    """The labels of the first image and of the next one with another exchanged."""
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073).copy()
    other = int(np.argmax(records[:, 0] != records[0, 0]))
    records[[0, other], 0] = records[[other, 0], 0]
    return records.tobytes()


FOLDERS = {
    "truncated batch": (
        {"data_batch_2.bin": BINARY["data_batch_2.bin"][:-1]},
        r"data_batch_2\.bin must consist of records of 3073 bytes: got 61459 bytes, 3072 too many",
    ),
    "an image short": (
        {"data_batch_2.bin": BINARY["data_batch_2.bin"][:-3073]},
        r"data_batch_2\.bin must hold 20 images: got 19",
    ),
    "empty batch": ({"test_batch.bin": b""}, r"test_batch\.bin must hold 10 images: got 0"),
    "too long": (
        {"test_batch.bin": BINARY["test_batch.bin"] + b"\0"},
        r"test_batch\.bin must have at most 30730 bytes",
    ),
    "foreign file": ({"test_batch.bin": b"\x89PNG" * 5000}, r"test_batch\.bin must consist of records"),
    "label out of range": (
        {"test_batch.bin": b"\xff" + BINARY["test_batch.bin"][1:]},
        r"labels of .*test_batch\.bin must lie in 0, \.\.\., 9: got 255 for image 0",
    ),
    "wrong label": (
        {"test_batch.bin": flipped(BINARY["test_batch.bin"], 0)},
        r"labels of .*test_batch\.bin must name every class 1 times",
    ),
    "flipped byte": (
        {"test_batch.bin": flipped(BINARY["test_batch.bin"], 5000)},
        r"test_batch\.bin must hold the images and labels of cifar10, fingerprint [0-9a-f]{64}: got [0-9a-f]{64}\n",
    ),
    "flipped byte in training": (
        {"data_batch_1.bin": flipped(BINARY["data_batch_1.bin"], 60000)},
        r"data_batch_1\.bin, .*data_batch_2\.bin must hold the images and labels of cifar10, fingerprint",
    ),
    "labels exchanged": (
        {"data_batch_1.bin": swapped_labels(BINARY["data_batch_1.bin"])},
        r"data_batch_1\.bin, .* must hold the images and labels of cifar10",
    ),
    "batch repeated": (
        {"data_batch_2.bin": BINARY["data_batch_1.bin"]},
        r"data_batch_2\.bin must differ from every other batch: got the images of .*data_batch_1\.bin",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_damaged_folder_is_refused(tmp_path, monkeypatch, name):
    changes, match = FOLDERS[name]
    check_refused(tmp_path, monkeypatch, write_folder(tmp_path / "bin", BINARY | changes), match)


def test_a_missing_batch_is_named(tmp_path, monkeypatch):
    files = {name: data for name, data in BINARY.items() if name != "data_batch_2.bin"}
    check_refused(tmp_path, monkeypatch, write_folder(tmp_path / "bin", files), r"got no data_batch_2\.bin")


def test_a_folder_in_the_place_of_a_batch_is_missing(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "bin", {name: BINARY[name] for name in BINARY if name != "test_batch.bin"})
    (folder / "test_batch.bin").mkdir()
    check_refused(tmp_path, monkeypatch, folder, r"got no test_batch\.bin")


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def long_header() -> tarfile.TarInfo:
    """A member whose extended header has 16 MB."""
    member = plain("readme.html", b"")
    member.pax_headers = {"comment": "x" * 2**24}
    return member


SECRET = "../../../../../../etc/hostname"
MEMBERS = {
    "parent folder": (plain(f"../{FLAG}", b"x"), b"x", "name its members below one folder: got '../"),
    "parent inside": (plain(f"a/../../{FLAG}", b"x"), b"x", "name its members below one folder"),
    "absolute path": (plain(f"/tmp/{FLAG}", b"x"), b"x", "name its members below one folder"),
    "backslashes": (plain(f"..\\{FLAG}", b"x"), b"x", "name its members below one folder"),
    "symbolic link": (link("cifar/test_batch.bin", SECRET, tarfile.SYMTYPE), b"", "'cifar/test_batch.bin', a link"),
    "hard link": (link("cifar/test_batch.bin", SECRET, tarfile.LNKTYPE), b"", "regular files only"),
    "device": (link("cifar/zero", "", tarfile.CHRTYPE), b"", "regular files only"),
    "pipe": (link("cifar/pipe", "", tarfile.FIFOTYPE), b"", "regular files only"),
    "bomb": (plain("cifar/zeros", b"\0" * 2**23), b"\0" * 2**23, "more than 4194304 other bytes"),
    "long header": (long_header(), b"", "more than 4194304 other bytes"),
    "batch twice": (
        plain("other/test_batch.bin", BINARY["test_batch.bin"]),
        BINARY["test_batch.bin"],
        r"must hold test_batch\.bin once: got twice",
    ),
    "large batch": (plain("cifar/test_batch.bin", b"\0" * 2**20), b"\0" * 2**20, "at most 30730 bytes: got 1048576"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_hostile_archive_is_refused(tmp_path, monkeypatch, name):
    member, data, match = MEMBERS[name]
    archive = write_archive(tmp_path / archive_name(TINY10, "binary"), BINARY, extra=((member, data),))
    check_refused(tmp_path, monkeypatch, archive, match)


def test_an_archive_of_many_members_is_refused(tmp_path, monkeypatch):
    extra = tuple((plain(f"cifar/{i}", b""), b"") for i in range(200))
    archive = write_archive(tmp_path / "a.tar.gz", BINARY, extra=extra)
    check_refused(tmp_path, monkeypatch, archive, "must have at most 100 members")


def genuine(tmp_path: Path) -> bytes:
    return write_archive(tmp_path / "genuine.tar.gz", BINARY).read_bytes()


def claimed(data: bytes) -> bytes:
    """The archive with a header that claims 2^33 - 1 bytes for the first batch, in 11 octal digits."""
    tar = bytearray(gzip.decompress(data))
    tar[124:136] = b"77777777777\0"
    tar[148:156] = b" " * 8
    tar[148:156] = f"{sum(tar[:512]):06o}\0 ".encode()
    return gzip.compress(bytes(tar))


ARCHIVES = {
    "truncated": (lambda data: data[: len(data) // 2], "a damaged or foreign file .EOFError"),
    "without its checksum": (lambda data: data[:-8], "a damaged or foreign file .EOFError"),
    "wrong checksum": (lambda data: flipped(data, len(data) - 8), "a damaged or foreign file .BadGzipFile: CRC"),
    "flipped byte": (lambda data: flipped(data, len(data) // 2), "a damaged or foreign file|must "),
    "claimed size": (claimed, "at most 61460 bytes: got 8589934591"),
    "no gzip": (gzip.decompress, "a damaged or foreign file .BadGzipFile"),
    "no tar": (lambda data: gzip.compress(b"not a tar archive" * 100), "a damaged or foreign file .ReadError"),
    "zip": (lambda data: b"PK\x03\x04" + data, "a damaged or foreign file"),
    "empty": (lambda data: b"", "a damaged or foreign file"),
    "gzip of zeros": (lambda data: gzip.compress(b"\0" * 2**24), "more than 4194304 other bytes|damaged or foreign"),
    "something behind": (lambda data: data + gzip.compress(b"\0" * 2**24), "more than 4194304 other bytes"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_archive_is_refused(tmp_path, monkeypatch, name):
    change, match = ARCHIVES[name]
    archive = tmp_path / archive_name(TINY10, "binary")
    archive.write_bytes(change(genuine(tmp_path)))
    check_refused(tmp_path, monkeypatch, archive, match)


def test_an_archive_of_something_else_is_refused(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "a.tar.gz", {"mnist.bin": b"x"})
    check_refused(
        tmp_path, monkeypatch, archive, r"every batch of cifar10: got no data_batch_1\.bin, data_batch_2\.bin"
    )
    archive = write_archive(tmp_path / "b.tar.gz", {"data_batch_1": PYTHON["data_batch_1"]})
    with pytest.raises(FileError, match="every batch of cifar10: got no data_batch_2, test_batch"):
        load_layout(TINY10, archive)


def test_the_genuine_copies_pass(tmp_path):
    """Control of all refusals above: the same files, unharmed, in the same places."""
    layout = pinned(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(genuine(tmp_path))
    roots = [write_folder(tmp_path / "bin", BINARY), write_folder(tmp_path / "py", PYTHON), tmp_path / "a.tar.gz"]
    folder = tarfile.TarInfo("cifar")
    folder.type = tarfile.DIRTYPE
    notes = plain("cifar/readme.html", b"text")
    roots.append(write_archive(tmp_path / "b.tar.gz", PYTHON, extra=((folder, b""), (notes, b"text"))))
    assert len({load_layout(layout, root).fingerprint for root in roots}) == 1
