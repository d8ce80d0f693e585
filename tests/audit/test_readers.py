"""Files that are not what they say: refused with one of our errors, and nothing in them runs."""

import io
import json
import os
import pickle
import resource
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from nlmodel.audit.readers import entries
from nlmodel.audit.readers.entry import printable
from nlmodel.errors import FileError


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def npy_header(shape, descr="<f8", version=(1, 0), extra=""):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}{extra}".encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text


def png(width, height, payload=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(payload)) + chunk(b"IEND", b"")


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def zipped(name, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def saved(x):
    buffer = io.BytesIO()
    np.save(buffer, x, allow_pickle=x.dtype == object)
    return buffer.getvalue()


GOOD = np.arange(12.0).reshape(4, 3)
ATTACKS = {
    "missing.npy": (None, "no such file"),
    "empty.npy": (b"", "empty"),
    "unknown.txt": (b"1 2 3", "(?s)unknown kind.*\\.npy"),
    "pickle.npy": (pickle.dumps([1, 2]), "cannot be read as a NumPy array"),
    "truncated.npy": (saved(GOOD)[:-5], "announces 96 bytes.*holds 91"),
    "longer.npy": (saved(GOOD) + b"x", "announces 96 bytes.*holds 97"),
    "header_only.npy": (npy_header((2**40,)), "too large"),
    "header_lies.npy": (npy_header((1000, 1000)) + b"\0" * 80, "announces 8000000 bytes"),
    "negative.npy": (npy_header((-4, -3)) + b"\0" * 96, "cannot be read"),
    "no_dict.npy": (npy_header("__import__('os').mkdir('ran')") + b"\0" * 8, "cannot be read"),
    "deep.npy": (npy_header("(" * 300 + ")" * 300), "cannot be read"),
    "version.npy": (npy_header((1,), version=(3, 0)) + b"\0" * 8, "version"),
    "long_header.npy": (npy_header((1,), extra=" " * 40_000), "cannot be read"),
    "not_zip.npz": (b"PK\x03\x04 nothing", "cannot be read as a NumPy archive"),
    "truncated.npz": (zipped("x.npy", saved(GOOD))[:-30], "cannot be read as a NumPy archive"),
    "no_array.npz": (zipped("readme.md", b"hello"), "no array"),
    "zip_bomb.npz": (zipped("x.npy", npy_header((2**27,)) + b"\0" * 2**20), "too large"),
    "zip_lie.npz": (zipped("x.npy", npy_header((2**20,)) + b"\0" * 2**20), "announces"),
    "truncated.png": (png(40, 40, b"\0" * 4840)[:60], "cannot be read as a PNG or JPEG image"),
    "pixels.png": (png(60_000, 60_000), "too many pixels"),
    "more_pixels.png": (png(2**31 - 1, 2**31 - 1), "too many pixels"),
    "gif.png": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "cannot be read as a PNG or JPEG image"),
    "noise.jpg": (bytes(range(256)), "cannot be read as a PNG or JPEG image"),
    "short.safetensors": (b"\x10", "cannot be read as a safetensors file"),
    "huge_header.safetensors": (struct.pack("<Q", 2**62) + b"{}", "cannot be read as a safetensors file"),
    "no_json.safetensors": (safetensors(b"__import__('os')"), "cannot be read as a safetensors file"),
    "overlap.safetensors": (
        safetensors({"x": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 8]}}, b"\0" * 8),
        "cannot be read as a safetensors file",
    ),
    "none.safetensors": (safetensors({}), "no array"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_file_is_refused_with_our_error(name, tmp_path):
    content, message = ATTACKS[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match=message):
        [entry.load() for entry in entries(path)]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickled_objects_are_refused_and_do_not_run(suffix, tmp_path):
    target, path = tmp_path / "ran", tmp_path / f"bomb{suffix}"
    payload = saved(np.array([Bomb(target)], dtype=object))
    path.write_bytes(payload if suffix == ".npy" else zipped("x.npy", payload))
    with pytest.raises(FileError, match="pickled Python objects"):
        entries(path)
    assert not target.exists()
    action, arguments = Bomb(target).__reduce__()  # the control: what unpickling would have called does leave a trace
    action(*arguments)
    assert target.exists()


def test_a_folder_a_pipe_and_a_locked_file_are_refused(tmp_path, monkeypatch):
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("folder.npy", "pipe.npy"):
        with pytest.raises(FileError, match="not a regular file"):
            entries(tmp_path / name)
    locked = tmp_path / "locked.npy"
    np.save(locked, GOOD)

    def refuse(self, mode="r", **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match=r"cannot be opened.*Permission denied"):
        entries(locked)


def test_good_files_are_read_exactly(tmp_path, rng):
    x, y = rng.standard_normal((5, 3)), np.asfortranarray(rng.standard_normal((4, 4))).astype(">f4")
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "xy.npz", x=x, y=y)
    save_file({"a.weight": x, "b": np.ones((2, 2), np.float16)}, tmp_path / "m.safetensors")
    (only,) = entries(tmp_path / "x.npy")
    assert (only.name, only.shape, only.dtype, only.image) == ("x", (5, 3), "float64", False)
    assert np.array_equal(only.load(), x)
    first, second = entries(tmp_path / "xy.npz")
    assert np.array_equal(first.load(), x)
    assert second.dtype == ">f4"
    assert np.array_equal(second.load(), y)
    named = {entry.name: entry for entry in entries(tmp_path / "m.safetensors")}
    assert np.array_equal(named["a.weight"].load(), x)
    assert named["b"].dtype == "float16"


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [
        ("L", (6, 7), "uint8"),
        ("RGB", (6, 7, 3), "uint8"),
        ("RGBA", (6, 7, 3), "uint8"),
        ("P", (6, 7, 3), "uint8"),
        ("LA", (6, 7), "uint8"),
        ("1", (6, 7), "uint8"),
        ("I;16", (6, 7), "uint16"),
    ],
)
def test_png_modes(mode, shape, dtype, tmp_path):
    Image.new(mode, (7, 6), 1).save(tmp_path / "x.png")
    (entry,) = entries(tmp_path / "x.png")
    assert (entry.shape, entry.dtype, entry.image) == (shape, dtype, True)
    pixels = entry.load()
    assert (pixels.shape, str(pixels.dtype)) == (shape, dtype)


def test_a_large_bfloat16_tensor_is_named_before_it_is_read(tmp_path):
    header = {"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    (tmp_path / "m.safetensors").write_bytes(safetensors(header, b"\0" * 8))
    (entry,) = entries(tmp_path / "m.safetensors")
    assert entry.dtype == "bf16"


def test_names_cannot_steer_the_terminal(tmp_path):
    save_file({"\x1b[2Jw": GOOD}, tmp_path / "m.safetensors")
    (entry,) = entries(tmp_path / "m.safetensors")
    assert "\x1b" not in entry.name
    assert printable("a\x07\u202eb") == "a\ufffd\ufffdb"
    assert printable("ω_Z") == "ω_Z"


def test_refusing_takes_little_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("header_only.npy", "zip_bomb.npz", "pixels.png", "overlap.safetensors"):
        (tmp_path / name).write_bytes(ATTACKS[name][0])
        with pytest.raises(FileError):
            entries(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024
