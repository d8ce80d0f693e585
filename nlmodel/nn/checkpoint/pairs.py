"""Nonlocal blocks with one weight W = W_Z W_g: ours, mmcv's, timm's and Non-local_pytorch's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel.errors import DomainError, ShapeError
from nlmodel.nn.checkpoint.layers import Settings, Weight, quoted, stored
from nlmodel.nn.checkpoint.tensors import Tensors


@dataclass(frozen=True)
class Family:
    """The names by which one kind of block is known; the first of several that is there counts."""

    kind: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    norms: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


FAMILIES = (
    Family("NonlocalBlock", ("w_z.weight",), ("g.weight",), ("norm",), never=("theta.weight",)),
    Family("DoubleAttention", ("increment.w_z.weight",), ("g.weight",), ("increment.norm",), ("gather.weight",)),
    Family(
        "nonlocal block of mmcv",
        ("conv_out.conv.weight",),
        ("g.conv.weight", "g.0.conv.weight"),
        ("conv_out.bn", "conv_out.gn", "conv_out.in", "conv_out.ln"),
    ),
    Family("NonLocalAttn of timm", ("z.weight",), ("g.weight",), ("norm",), ("t.weight", "p.weight")),
    Family("nonlocal block of Non-local_pytorch", ("W.weight", "W.0.weight"), ("g.weight", "g.0.weight"), ("W.1",)),
)


@dataclass(frozen=True)
class Pair:
    """A block with the names of its W_Z and W_g, and of the norm after W_Z."""

    name: str
    kind: str
    left: str
    right: str
    norm: str | None

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """W_Z with the norm folded in, and W_g."""
        W_Z, W_g = tensors.values(self.left, 2), tensors.values(self.right, 2)
        if W_Z.shape != W_g.shape[::-1]:
            raise ShapeError(
                "W_Z and W_g must be (C, r) and (r, C)",
                got=f"{quoted(self.left)} {W_Z.shape} and {quoted(self.right)} {W_g.shape}",
            )
        said = f"{self.kind}, $W = W_Z W_g$ with $W_Z$ = {quoted(self.left)}, $W_g$ = {quoted(self.right)}."
        folded, about = (1.0, ()) if self.norm is None else folding(tensors, self.norm, len(W_Z), settings)
        return [Weight(self.name, (folded * W_Z, W_g), (f"Read as {said}", *about, *stored(tensors, self.left)))]


def pairs(tensors: Tensors) -> list[Pair]:
    """The blocks of all families."""
    found = []
    for family in FAMILIES:
        for ending in family.left:
            for prefix in tensors.prefixes(ending):
                right = tensors.first(prefix, family.right)
                beside = all(prefix + other in tensors for other in family.beside)
                if right is not None and beside and tensors.first(prefix, family.never) is None:
                    norm = next((prefix + n for n in family.norms if _norm_parts(tensors, prefix + n)), None)
                    found.append(Pair(prefix.removesuffix("."), family.kind, prefix + ending, right, norm))
    return found


def folding(
    tensors: Tensors, norm: str, channels: int, settings: Settings
) -> tuple[np.ndarray | float, tuple[str, ...]]:
    """The factor of each row of W_Z by which a batch norm acts in evaluation, gamma / sqrt(var + eps), and words."""
    if f"{norm}.running_var" not in tensors:
        return 1.0, (
            f"The norm after $W_Z$ ({quoted(norm)}) has no running statistics: its factors depend on the input, and "
            "could not be folded in. $W$ is what stands before it, and after it the signs may be others.",
        )
    variance = tensors.values(f"{norm}.running_var", 1)
    gamma = tensors.values(f"{norm}.weight", 1) if f"{norm}.weight" in tensors else np.ones(channels)
    if variance.shape != (channels,) or gamma.shape != (channels,):
        raise ShapeError("a norm must have one number a channel", got=f"{quoted(norm)} beside {channels} channels")
    if not np.all(variance >= 0):
        raise DomainError("running variances must not be negative or NaN", got=quoted(f"{norm}.running_var"))
    eps = settings.norm_eps
    known = (
        f"its eps is {eps:g}" if settings.live else f"its eps, which a checkpoint does not hold, is taken to be {eps:g}"
    )
    said = f"The batch norm after $W_Z$ ({quoted(norm)}) is folded in by its running statistics; {known}."
    return (gamma / np.sqrt(variance + eps))[:, None], (said,)


def _norm_parts(tensors: Tensors, norm: str) -> bool:
    return any(f"{norm}.{part}" in tensors for part in ("weight", "running_var"))
