"""How many positions each average listens to, and the scale that would make it a sensible number."""

from __future__ import annotations

import math

import numpy as np

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Finding
from nlmodel.audit.words import number
from nlmodel.kernels import ExpDot, Gaussian


NARROW, WIDE = 1.5, 0.8  # positions; share of all positions
ROWS = 1000  # beyond so many positions a sample of them gives the median for the advice


def neighbours(K: np.ndarray) -> np.ndarray:
    """exp of the entropy of each row, as a law: the number of positions that it averages over."""
    weight = np.abs(K)
    law = weight / np.maximum(np.sum(weight, axis=1, keepdims=True), np.finfo(float).tiny)
    logs = np.log(law, where=law > 0, out=np.zeros_like(law))
    return np.exp(-np.sum(law * logs, axis=1))


def scale_for(x: Measured, target: float) -> float | None:
    """The bandwidth or temperature at which the median position listens to `target` others, by bisection."""
    if x.features is None or not isinstance(x.kernel, (Gaussian, ExpDot)):
        return None
    rows = x.features[:: max(1, x.size // ROWS)]
    logits = x.kernel.log(rows, x.features)
    logits = logits - np.max(logits, axis=1, keepdims=True)

    def listen(power: float) -> float:
        return float(np.median(neighbours(np.exp(power * logits))))

    low, high = 1e-6, 1e6
    if not listen(high) < target < listen(low):
        return None
    for _ in range(48):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if listen(middle) > target else (low, middle)
    return x.kernel.scale / math.sqrt(high) if isinstance(x.kernel, Gaussian) else x.kernel.temperature / high


def width(x: Measured) -> Finding:
    """Whether averages are too narrow, too wide, or neither; with a scale that would do."""
    listen = float(np.median(neighbours(x.K)))
    if x.components > 1:
        return Finding(
            "watch",
            f"The affinity falls apart into {x.components:,} components that exchange nothing.",
            "Each keeps its own mean for ever; there is no single equilibrium and no spectral gap.",
            "enlarge the bandwidth, or audit the components one by one if the split is meant.",
        )
    if listen < NARROW and float(np.median(np.diag(x.K))) < 0.5:
        return Finding(
            "watch",
            f"The median position copies another one: it listens to {number(listen)} "
            f"position{'s' * (listen != 1)}, not to itself.",
            "$K$ moves features around and hardly averages them.",
            "check that rows of the affinity are receivers and columns senders.",
        )
    if listen < NARROW:
        return Finding(
            "act",
            f"Averages are too narrow: the median position listens to {number(listen)} positions in all.",
            "$K$ is almost the identity, so a nonlocal block with any weight changes almost nothing.",
            _advice(x, "enlarge"),
        )
    if listen > WIDE * x.size:
        return Finding(
            "watch",
            f"Averages are nearly global: the median position listens to {number(listen)} of {x.size:,} positions.",
            "$K$ is close to one mean for all positions; the block sees hardly any structure.",
            _advice(x, "reduce"),
        )
    return Finding(
        "good",
        f"The median position listens to {number(listen)} of {x.size:,} positions.",
        "Averages are neither the identity nor the global mean.",
    )


def _advice(x: Measured, verb: str) -> str:
    target = max(5.0, x.size / 8)
    scale = scale_for(x, target)
    if scale is None:
        return f"{verb} the range of the affinity, or scale the features before it is computed."
    return f"{verb} the scale: with `--scale {scale:.4g}` the median position listens to {target:.0f}."
