"""When a run counts as diverged, and in which words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn


WEIGHTS = 1e3  # times the norm at start: no weight decay brings them back
FEATURES = 1e15  # mean square: the variances of a normalisation are about to overflow in float32
CHANCE = 0.98  # of log(classes): the loss of a network that knows nothing
PATIENCE, LEAST = 0.25, 5  # share of the planned epochs, and their least number, at chance


def weight_norm(network: nn.Module) -> Tensor:
    """The Euclidean norm of all weights, () float64 on their device."""
    return sum(p.detach().double().square().sum() for p in network.parameters()).sqrt()  # pyright: ignore


def stuck_at_chance(losses: Sequence[float], classes: int, planned: int) -> bool:
    """Whether the last quarter of the planned epochs, at least five, all ended with the loss of a guess or more.

    A slow start is not a divergence: deep networks at lr 0.1 may need some epochs before they leave it.
    """
    patience = max(LEAST, math.ceil(PATIENCE * planned))
    recent = losses[-patience:]
    return len(recent) == patience and min(recent) >= CHANCE * math.log(classes)


def verdict(
    losses: Sequence[float],
    *,
    classes: int,
    planned: int,
    norm: float,
    norm_at_start: float,
    features: Mapping[str, float],
) -> str | None:
    """Why the run has diverged, None when it has not.

    Parameters
    ----------
    losses : training loss of each epoch.
    planned : epochs of the whole run.
    norm, norm_at_start : of all weights.
    features : mean squares of the features at the places that are watched.
    """
    if losses and not math.isfinite(losses[-1]):
        return "the loss is not finite"
    if not math.isfinite(norm):
        return "weights are not finite"
    if norm > WEIGHTS * norm_at_start:
        return f"the norm of the weights has grown from {norm_at_start:.3g} to {norm:.3g}"
    for place, size in features.items():
        if not size <= FEATURES:
            return f"the features after {place} have the mean square {size:.3g}"
    if stuck_at_chance(losses, classes, planned):
        return f"the loss has stayed at that of a guess, {math.log(classes):.3g}, for a quarter of the run"
    return None


def with_context(reason: str, epoch: int, step: int, norm: float, norm_at_start: float, record: Mapping | None) -> str:
    """The reason with the time, the norm of the weights and the CFL limits last seen."""
    told = f"{reason} (epoch {epoch + 1}, step {step}; norm of the weights {norm:.3g}, at start {norm_at_start:.3g}"
    limits = {} if record is None else {f"{w['module']}[{w['number']}]": w["limit"] for w in record["weights"]}
    if record is not None and limits:
        known = ", ".join(f"{name} {_limit(value)}" for name, value in limits.items())
        told += f"; step limits after {record['epoch']} epochs, stable at 1 or more: {known}"
    return told + ")"


def _limit(value: float | str | None) -> str:
    return "none known" if value is None else value if isinstance(value, str) else f"{value:.3g}"
