"""Checkpoints to named tensors, without running anything a file might contain."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nlmodel.audit.packages import require
from nlmodel.audit.readers import Entry, check_file
from nlmodel.audit.readers.entry import check_bytes, printable, refusing
from nlmodel.errors import FileError
from nlmodel.nn.checkpoint.tensors import Tensors


SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch.save before 1.6 begin
LARGEST_OLD = 2 * 2**30  # bytes of such a file, which is read whole; newer ones are mapped
DEPTH = 4  # of mappings inside mappings
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
SAFETENSORS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def tensor_sets(path: str | Path) -> list[Tensors]:
    """The sets of named tensors in a file: one for each mapping that holds some, such as "state_dict" and "ema".

    Raises   FileError: missing, damaged, too large, not a checkpoint, or in need of code to be read.
    """
    path = check_file(path, SUFFIXES)
    if path.suffix.lower() == ".safetensors":
        return [Tensors("", _unwrapped(_safetensors(path)))]
    found: list[Tensors] = []
    _collect(_loaded(path), (), found, set(), path)
    if not found:
        raise FileError("the file holds no named tensors", got=printable(path.name), fix="save model.state_dict()")
    return found


def _loaded(path: Path) -> Any:
    """What torch.save wrote, tensors and plain containers only."""
    with path.open("rb") as stream:
        start = stream.read(len(OLD_FORMAT))
    archive = start.startswith(b"PK\x03\x04")
    if archive:
        _check_archive(path)
    elif start != OLD_FORMAT:
        raise FileError(
            f"{printable(path.name)} is no checkpoint",
            got="a file that torch.save did not write",
            fix="save with torch.save(model.state_dict(), path), or as safetensors",
        )
    elif path.stat().st_size > LARGEST_OLD:
        raise FileError(
            f"{printable(path.name)} is too large for its format",
            got=f"{path.stat().st_size / 2**30:.1f} GiB",
            why=f"files of the old format are read whole, at most {LARGEST_OLD // 2**30} GiB",
            fix="save it again with a newer torch, or as safetensors",
        )
    with refusing(path, "a checkpoint"):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
        except Exception as error:
            if not str(error).startswith("Weights only load failed"):
                raise
            named = re.search(r"GLOBAL ([\w.]+)", str(error))
            raise FileError(
                f"{printable(path.name)} holds more than tensors",
                got=f"an object that needs {named[1]}" if named else "an object that tensors do not need",
                why="to build it would be to run code from the file: nothing was run, and nothing was read",
                fix="where the file is trusted, save its tensors alone: torch.save(model.state_dict(), path)",
            ) from None


def _check_archive(path: Path) -> None:
    """Refuse programs, and archives that unpack to more than they are."""
    with refusing(path, "a checkpoint"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(Path(member.filename).name == "constants.pkl" for member in members):
        raise FileError(
            f"{printable(path.name)} is a TorchScript program",
            got="an archive with code",
            why="code from a file is never loaded",
            fix="save the weights alone: torch.save(model.state_dict(), path)",
        )
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise FileError(
            f"{printable(path.name)} is no checkpoint",
            got="an archive with compressed members",
            why="torch.save compresses nothing, and a small file could unpack to a large one",
        )


def _collect(x: Any, where: tuple[str, ...], found: list[Tensors], seen: set[int], path: Path) -> None:
    """Every mapping with tensors under names, down to `DEPTH`, each once."""
    if not isinstance(x, Mapping) or len(where) > DEPTH or id(x) in seen:
        return
    seen.add(id(x))
    named = {key: value for key, value in x.items() if isinstance(key, str)}
    tensors = {key: _entry(path, key, value) for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        found.append(Tensors(printable(".".join(where)), _unwrapped(tensors)))
    for key, value in named.items():
        _collect(value, (*where, key), found, seen, path)


def _entry(path: Path, key: str, value: Tensor) -> Entry:
    plain = value.layout == torch.strided and not value.is_quantized and not value.is_meta
    dtype = str(value.dtype).removeprefix("torch.") if plain else "not stored as plain numbers"
    return _made(path, key, tuple(value.shape), dtype, value.element_size(), lambda: value)


def _safetensors(path: Path) -> dict[str, Entry]:
    safetensors = require("safetensors")
    entries = {}
    with refusing(path, "a safetensors file"), safetensors.safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  (a safetensors handle is not a mapping)
            part = file.get_slice(key)
            kind = str(part.get_dtype())
            entries[key] = _made(
                path, key, tuple(part.get_shape()), SAFETENSORS.get(kind, kind.lower()), 8, _reader(path, key)
            )
    return entries


def _reader(path: Path, key: str) -> Callable[[], Tensor]:
    def read() -> Tensor:
        with refusing(path, "a safetensors file"), require("safetensors").safe_open(path, framework="pt") as file:
            return file.get_tensor(key)

    return read


def _made(path: Path, key: str, shape: tuple[int, ...], dtype: str, itemsize: int, read: Callable[[], Tensor]) -> Entry:
    name = printable(key)

    def load() -> np.ndarray:
        check_bytes(path, name, math.prod(shape) * itemsize)
        return read().detach().to(torch.float64).numpy()

    return Entry(name, shape, dtype, load)


def _unwrapped(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Without what wrappers put before every name."""
    for start in WRAPPERS * 2:  # in either order
        if entries and all(name.startswith(start) for name in entries):
            entries = {name.removeprefix(start): entry for name, entry in entries.items()}
    return entries
