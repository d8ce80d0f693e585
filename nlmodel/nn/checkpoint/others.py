"""Layers of ours that are no single pair: stages, spectral blocks, criss-cross attention, global context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nlmodel.errors import DomainError, ShapeError
from nlmodel.nn.checkpoint.layers import Settings, Weight, quoted, stored
from nlmodel.nn.checkpoint.pairs import folding
from nlmodel.nn.checkpoint.tensors import Tensors


@dataclass(frozen=True)
class Stage:
    """A NonlocalStage: one weight for each sub-block."""

    name: str
    left: str

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """W^n = W_Z^n W_g^n, or W_Z^n (W_Z^n)^T where there is no W_g."""
        W_Z, right = tensors.values(self.left, 3), self.left.removesuffix("w_z") + "w_g"
        W_g = tensors.values(right, 3) if right in tensors else W_Z.transpose(0, 2, 1)
        if W_Z.shape != (len(W_g), *W_g.shape[:0:-1]):
            raise ShapeError(
                "W_Z and W_g of a stage must be (N, C, r) and (N, r, C)", got=f"{W_Z.shape} and {W_g.shape}"
            )
        how = "W_Z^n W_g^n" if right in tensors else r"W_Z^n (W_Z^n)^\top"
        said = (
            f"Read as sub-block of a NonlocalStage, $W^n = {how}$ with $W_Z$ = {quoted(self.left)}; its step, which a "
            "checkpoint does not hold, is taken to be 1.",
            *stored(tensors, self.left),
        )
        return [Weight(f"{self.name} sub-block {n}", pair, said) for n, pair in enumerate(zip(W_Z, W_g, strict=True))]


@dataclass(frozen=True)
class Spectral:
    """A SpectralNonlocalBlock: the weight on A X, of two or three terms."""

    name: str
    left: str

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """W = W_2 W_g, generalised (W_2 + 2 W_3) W_g: what multiplies A X."""
        prefix = self.left.removesuffix("increment.w_z.weight")
        W_Z, W_g = tensors.values(self.left, 2), tensors.values(prefix + "g.weight", 2)
        terms = W_Z.shape[1] // len(W_g)
        if W_Z.shape != (W_g.shape[1], terms * len(W_g)) or terms not in (2, 3):
            raise ShapeError("W_Z must be (C, 2 r) or (C, 3 r) beside W_g (r, C)", got=f"{W_Z.shape} and {W_g.shape}")
        parts = np.split(W_Z, terms, axis=1)
        norm = prefix + "increment.norm"
        folded, about = 1.0, ()
        if f"{norm}.weight" in tensors:
            folded, about = folding(tensors, norm, len(W_Z), settings)
        formula = r"W = W_2 W_g" if terms == 2 else r"W = (W_2 + 2 W_3) W_g"
        said = f"Read as SpectralNonlocalBlock, ${formula}$, which multiplies $A X$; what does not average is left out."
        left = folded * (parts[1] if terms == 2 else parts[1] + 2 * parts[2])
        return [Weight(self.name, (left, W_g), (said, *about, *stored(tensors, self.left)))]


@dataclass(frozen=True)
class Square:
    """A layer with one square weight, times gamma where there is one."""

    name: str
    kind: str
    left: str
    gamma: str | None = None

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """W, or gamma W."""
        W, factor = tensors.values(self.left, 2), 1.0
        if self.gamma is not None:
            factor = float(tensors.values(self.gamma, 1)[0])
        formula = "$W$ =" if self.gamma is None else f"$W$ = {quoted(self.gamma)} times"
        said = f"Read as {self.kind}, {formula} {quoted(self.left)}."
        unit = torch.finfo(getattr(torch, tensors.dtype(self.left))).eps
        return [Weight(self.name, (factor * W,), (said, *stored(tensors, self.left)), unit)]


@dataclass(frozen=True)
class Beyond:
    """A layer that has no weight W of this kind, and why."""

    name: str
    left: str
    why: str

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """Raises DomainError."""
        raise DomainError(self.why)


BOTTLENECK = "a global context with a bottleneck acts by a ReLU on one mean, which no weight W describes"
BEYOND = {
    "parametrizations.w_z.original": "a certified stage computes its weights from others by rules that a checkpoint "
    "does not hold; remove the parametrisations before you save, or ask the stage for its certificate",
    "transform.3.weight": BOTTLENECK,
    "channel_add_conv.3.weight": BOTTLENECK,
    "mlp_add.fc2.weight": BOTTLENECK,
    "mlp_scale.fc2.weight": "a global context that scales channels by its mean adds no average, which W would describe",
    "w_z.weight": "in a compact generalised block channels are averaged with the positions, by no weight W alone",
}
BESIDE = {
    "parametrizations.w_z.original": "",
    "transform.3.weight": "key.weight",
    "w_z.weight": "theta.weight",
    "channel_add_conv.3.weight": "conv_mask.weight",
    "mlp_add.fc2.weight": "conv_attn.weight",
    "mlp_scale.fc2.weight": "conv_attn.weight",
}


def others(tensors: Tensors) -> list[Stage | Spectral | Square | Beyond]:
    """The layers that are there."""
    found: list[Stage | Spectral | Square | Beyond] = []
    for prefix in tensors.prefixes("w_z"):
        if len(tensors.shape(prefix + "w_z")) == 3:
            found.append(Stage(prefix.removesuffix("."), prefix + "w_z"))
    for prefix in tensors.prefixes("increment.w_z.weight"):
        spectral = prefix + "theta.weight" in tensors and prefix + "g.weight" in tensors
        widths = [tensors.shape(prefix + name) for name in ("increment.w_z.weight", "g.weight")] if spectral else []
        if widths and all(len(w) == 2 for w in widths) and widths[0][1] > widths[1][0]:
            found.append(Spectral(prefix.removesuffix("."), prefix + "increment.w_z.weight"))
    for prefix in tensors.prefixes("gamma"):
        if prefix + "theta.weight" in tensors and prefix + "g.weight" in tensors:
            name = prefix.removesuffix(".")
            found.append(Square(name, "one pass of CrissCross", prefix + "g.weight", prefix + "gamma"))
    for prefix in tensors.prefixes("transform.0.weight"):
        if prefix + "key.weight" in tensors and prefix + "transform.3.weight" not in tensors:
            found.append(Square(prefix.removesuffix("."), "GlobalContext", prefix + "transform.0.weight"))
    for ending, why in BEYOND.items():
        for prefix in tensors.prefixes(ending):
            if not BESIDE[ending] or prefix + BESIDE[ending] in tensors:
                found.append(Beyond(prefix.removesuffix("."), prefix + ending, why))
    return found
