"""What a layer of a checkpoint gives to the audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from nlmodel.audit.readers.entry import printable
from nlmodel.audit.words import literal
from nlmodel.nn.checkpoint.tensors import Tensors


@dataclass(frozen=True)
class Settings:
    """What a checkpoint does not say: the number of attention heads, the constant of its batch norms.

    `live` tells that a network said it, and nobody assumed it.
    """

    heads: int | None = None
    norm_eps: float = 1e-5
    live: bool = False


@dataclass(frozen=True, eq=False)
class Weight:
    """W, or its factors W_Z and W_g, and what the reader should know about them."""

    name: str
    arrays: tuple[np.ndarray, ...] = field(repr=False)
    assumed: tuple[str, ...]
    unit: float = float(np.finfo(np.float64).eps)


class Layer(Protocol):
    """A layer that was found: its name, the tensor that decides its place in the file, and its weights."""

    @property
    def name(self) -> str:
        """The module's name in the network."""
        ...

    @property
    def left(self) -> str:
        """The name of W_Z, which belongs to one layer only."""
        ...

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """The weights to audit; raises one of our errors where there are none."""
        ...


def quoted(*names: str) -> str:
    """Names from the file as prose."""
    return ", ".join(literal(printable(name)) for name in names)


def stored(tensors: Tensors, name: str) -> tuple[str, ...]:
    """A sentence about the precision, unless it is that of the analysis."""
    dtype = tensors.dtype(name)
    return () if dtype == "float64" else (f"Stored in {dtype}, analysed in float64.",)
