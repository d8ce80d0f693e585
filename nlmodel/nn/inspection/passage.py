"""What the features are before and after a layer: their energy in its affinity, and how many directions they fill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel.audit.report import Fact, Section
from nlmodel.nn.inspection.affinities import Averages


@dataclass(frozen=True)
class Passage:
    """Dirichlet energy, variance and effective rank of the features at the input and the output of a layer."""

    energy: tuple[float, float]
    variance: tuple[float, float]
    rank: tuple[float, float]


def dirichlet_energy(K: np.ndarray, Z: np.ndarray) -> float:
    """(1/2M) sum_ij |K_ij| |Z_i - Z_j|^2, K (heads, M, M) averaged over the heads; the measure is uniform."""
    weight = np.abs(K).mean(axis=0)
    square = np.sum(Z * Z, axis=1)
    cross = np.sum((weight @ Z) * Z)
    total = weight.sum(axis=1) @ square + weight.sum(axis=0) @ square - 2 * cross
    return max(float(total) / (2 * len(Z)), 0.0)


def effective_rank(Z: np.ndarray) -> float:
    """exp of the entropy of the singular values over their sum (Roy and Vetterli 2007); 0 for Z = 0."""
    values = np.linalg.svd(Z, compute_uv=False)
    law = values / values.sum() if values.sum() else values
    law = law[law > 0]
    return float(np.exp(-np.sum(law * np.log(law)))) if law.size else 0.0


def passage(seen: Averages) -> Passage:
    """The three measures at both ends."""
    before, after = seen.before, seen.after
    return Passage(
        (dirichlet_energy(seen.K, before), dirichlet_energy(seen.K, after)),
        (float(before.var(axis=0).sum()), float(after.var(axis=0).sum())),
        (effective_rank(before), effective_rank(after)),
    )


def passage_section(found: Passage) -> Section:
    """Before and after, side by side."""
    rows = (
        ("energy", "Dirichlet energy", found.energy, "of differences that the affinity sees"),
        ("variance", "variance over positions", found.variance, "summed over channels"),
        ("effective_rank", "effective rank", found.rank, "directions that the features fill; 1: all alike"),
    )
    facts = []
    for key, label, (before, after), meaning in rows:
        facts.append(Fact(f"{key}_before", f"{label}, before", before, meaning))
        facts.append(Fact(f"{key}_after", f"{label}, after", after))
    return Section(
        "The features of this sample",
        "Measured at the input and at the output of the layer, in the affinity of its input.",
        tuple(facts),
        r"E(Z) = \frac{1}{2M} \sum_{ij} K_{ij}\, |Z_i - Z_j|^2",
    )
