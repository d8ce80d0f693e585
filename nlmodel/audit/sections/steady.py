"""Steady states of the original network's flow, eq. (28), and of the proposed one."""

from __future__ import annotations

import numpy as np

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding, Section
from nlmodel.audit.words import percent
from nlmodel.kernels import DotProduct


HARDLY = 1e-3  # a block with W = -I multiplies such a part by more than 0.999


def steady(x: Measured) -> tuple[Section, list[Finding]]:
    """Whether K(Z) Z = 0 has solutions besides 0, in theory and in double precision."""
    _, singular, right = np.linalg.svd(x.K)
    noise = x.size * x.op.eps * float(singular[0])
    rank = int(np.sum(singular > noise))
    facts = [
        Fact(
            "smallest_singular_value",
            "smallest singular value of $K$",
            float(singular[-1]),
            "0: some $Z \\ne 0$ is steady for the original network with this $K$",
        ),
        Fact("rank", "numerical rank of $K$", rank, f"of {x.size:,}"),
    ]
    findings = []
    if x.features is not None:
        Z = x.features
        slow = singular < HARDLY * singular[0]
        norm = float(np.linalg.norm(Z))
        kept = float(np.linalg.norm(right[slow] @ Z) / norm) ** 2 if norm else 1.0
        facts += [
            Fact(
                "residual",
                "$\\|K(Z) Z\\| / \\|Z\\|$",
                float(np.linalg.norm(x.K @ Z) / norm) if norm else 0.0,
                "0: these features are a steady state of the original network",
            ),
            Fact(
                "slow_share",
                f"share of $\\|Z\\|^2$ in directions with singular value below {HARDLY:g}",
                kept,
                "the original network hardly damps it",
            ),
            Fact(
                "duplicates",
                "duplicate positions",
                x.size - len(np.unique(Z, axis=0)),
                "equal features, equal rows of $K$",
            ),
            Fact(
                "one_signed_channels",
                "channels without a change of sign",
                int(np.sum(_one_signed(Z))),
                "one is enough for $K(Z) Z \\ne 0$ when $K > 0$",
            ),
        ]
        if x.op.reversible and "constants" in x.op.keeps:
            facts.append(_distance(x, Z))
        findings = [_theory(x, Z), _practice(x, kept, rank)]
    else:
        findings = [_matrix_only(x, rank)]
    section = Section(
        "Steady states",
        "The paper says that the original network's flow has the steady state 0 only. That is so exactly "
        "when no nonzero column of $Z$ lies in the kernel of $K(Z)$. The proposed flow keeps all constants.",
        tuple(facts),
        r"\tilde{L} Z = -K(Z)\, Z = 0 \qquad \text{against} \qquad L Z = (K - I)\, Z = 0",
    )
    return section, findings


def _one_signed(Z: np.ndarray) -> np.ndarray:
    return (np.all(Z >= 0, axis=0) | np.all(Z <= 0, axis=0)) & np.any(Z != 0, axis=0)


def _distance(x: Measured, Z: np.ndarray) -> Fact:
    norm = float(x.op.inner(Z, Z))
    return Fact(
        "energy",
        "Dirichlet energy over squared norm",
        float(x.op.energy(Z)) / norm if norm else 0.0,
        "0: constant on each component, steady for the proposed flow",
    )


def _theory(x: Measured, Z: np.ndarray) -> Finding:
    """Which sufficient condition applies, the strongest first."""
    if x.kernel is not None and x.kernel.strictly_positive_definite:
        why = f"the kernel {type(x.kernel).__name__} is strictly positive definite on distinct positions"
    elif isinstance(x.kernel, DotProduct):
        why = "for the scalar product $Z_i \\cdot (K Z)_i$ is at least $|Z_i|^4$ up to the normaliser"
    elif np.any(_one_signed(Z)) and np.all(x.K > 0):
        why = f"$K > 0$ and channel {int(np.argmax(_one_signed(Z)))} never changes its sign"
    else:
        return Finding(
            "watch",
            "Nothing guarantees that 0 is the only steady state of the original network here.",
            "A nonnegative kernel alone is not enough: the paper's argument for (28) has counterexamples.",
            "use a strictly positive definite kernel, such as the Gaussian, without a bottleneck in its embedding.",
        )
    return Finding(
        "good",
        f"In exact arithmetic 0 is the only steady state of the original network, because {why}.",
        "This does not follow from $\\omega \\ge 0$, as the paper argues, but from this stronger property.",
    )


def _practice(x: Measured, kept: float, rank: int) -> Finding:
    share = percent(kept).capitalize()
    if kept > 0.01:
        return Finding(
            "act" if kept > 0.1 else "watch",
            f"{share} of these features lie where $K$ is nearly zero (numerical rank {rank:,} of {x.size:,}).",
            "The original network with a negative weight does not damp that part: it is as good as steady, "
            "and stays as noise while the mean vanishes first.",
            "use the proposed form $K - I$, which damps exactly those modes, or a narrower kernel.",
        )
    return Finding(
        "good",
        f"{share} of these features lie where $K$ is nearly zero.",
        "The original network with a small negative weight would damp nearly all of them, constants first; "
        "the proposed one keeps the constants.",
    )


def _matrix_only(x: Measured, rank: int) -> Finding:
    if rank < x.size:
        return Finding(
            "watch",
            f"$K$ is singular in double precision: rank {rank:,} of {x.size:,}.",
            "With this $K$ frozen the original network has a space of steady states of dimension "
            f"{x.size - rank:,}, on which no weight acts.",
            "use the proposed form $K - I$, whose steady states are the constants.",
        )
    return Finding(
        "good",
        "$K$ is invertible: with this affinity frozen, 0 is the only steady state of the original network.",
        "A small negative weight damps every mode with $\\lambda > 0$, constants the fastest.",
    )
