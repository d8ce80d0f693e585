"""`.safetensors`: a header in JSON and raw numbers, nothing that could run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from nlmodel.audit.packages import require
from nlmodel.audit.readers.entry import Entry, check_bytes, printable, refusing


NUMPY_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16"}
BYTES = {"F64": 8, "F32": 4, "F16": 2}


def safetensors_entries(path: Path) -> list[Entry]:
    """The tensors of a `.safetensors` file by name; only those that are audited are read."""
    safetensors = require("safetensors")
    with refusing(path, "a safetensors file"), safetensors.safe_open(path, framework="numpy") as file:
        found = []
        for key in file.keys():  # noqa: SIM118  (a safetensors handle is not a mapping)
            part = file.get_slice(key)
            shape, kind = tuple(part.get_shape()), str(part.get_dtype())
            dtype = NUMPY_NAMES.get(kind) or kind.lower()
            found.append(Entry(printable(key), shape, dtype, _loader(path, key, shape, kind)))
        return found


def _loader(path: Path, key: str, shape: tuple[int, ...], kind: str):
    def load() -> np.ndarray:
        check_bytes(path, printable(key), math.prod(shape) * BYTES.get(kind, 8))
        with (
            refusing(path, "a safetensors file"),
            require("safetensors").safe_open(path, framework="numpy") as file,
        ):
            return file.get_tensor(key)

    return load
