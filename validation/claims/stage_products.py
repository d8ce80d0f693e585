"""Section 4.4: products of different sub-blocks."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import strategies as st

from nlmodel.network import stage
from nlmodel.stability import certify, cfl_limit, joint_spectral_radius_bounds, tied_weight
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import FLIP, largest_s, row, update
from validation.claims.shared import matrices, symmetric_affinities


FACTOR = np.array([[0.5, 3.0], [0.0, 0.5]])


@claim(
    "S-4",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4, with a weight for each sub-block (8)",
    title="Products of stable sub-blocks can be unstable",
    statement=r"""
        With different weights $W^n$ the spectral stability of every sub-block does not make the stage stable. A norm that no
        sub-block increases does, and products in any order decay if and only if the joint spectral radius is below one.
    """,
    formula=r"A_1 = \begin{pmatrix} 1/2 & 3 \\ 0 & 1/2 \end{pmatrix}, \quad A_2 = A_1^{\mathsf T}: \qquad \rho(A_1) = \rho(A_2) = \tfrac12, \quad \rho(A_1 A_2) = \tfrac14 (19 + 6\sqrt{10})",
    proof=r"""
        $A_1 A_1^{\mathsf T}$ has trace $19/2$ and determinant $1/16$, so its larger eigenvalue is $\frac14(19 + 6\sqrt{10}) = 9.493$. In a mode
        $s > 0$ these are the sub-blocks with $W^n = (I - A_n)/s$. Smaller weights do not repair it: $\varepsilon (W^1 + W^2)$
        keeps a negative eigenvalue (C16). The joint spectral radius is the largest growth rate of products; it lies
        between $\rho(A_w)^{1/k}$ for every word $w$ of length $k$ and $\max_{|w| = k} \lVert A_w \rVert^{1/k}$. Here both are
        $\lVert A_1 \rVert = \frac12 (3 + \sqrt{10})$, already for $k = 2$. Symmetric weights with $0 \le W^n \le 2/s_{\max}$ are
        contractions of one norm, and so are all their products.
    """,
)
def s_4(ledger: Ledger) -> None:
    op = row(FLIP + 0.5 * np.eye(2))
    s = 4.0 / 3.0  # of I - K, rows (1, 2)/3
    weights = [(np.eye(2) - A) / s for A in (FACTOR, FACTOR.T)]
    rate = (19 + 6 * np.sqrt(10)) / 4
    tol = tolerance("solve", n=2, scale=20.0)
    ledger.evidence(
        "smallest spectral step limit of the two sub-blocks",
        lambda factors: min(cfl_limit(op, W).value for W in factors),
        of=weights,
        at_least=1.0,
        controls={"their product as one sub-block": [(np.eye(2) - FACTOR @ FACTOR.T) / s]},
    )
    ledger.equals(
        "growth rate of the stage of two",
        np.float64(certify(op, weights).radius),
        np.float64(rate),
        tol,
        controls={"of one of them, twice": np.float64(certify(op, [weights[0]] * 2).radius)},
    )
    ledger.evidence(
        "the library names an unstable product of stable sub-blocks",
        lambda factors: float(certify(op, factors).unstable_product),
        of=weights,
        at_least=1.0,
        controls={"one of them, twice": [weights[0]] * 2, "tied weights": [tied_weight(W) for W in weights]},
    )
    Z = np.array([[1.0, 1.0], [-1.0, -1.0]])

    def sizes(order: list[np.ndarray], passes: int = 12) -> np.ndarray:
        every = stage(Z, op, order * passes, every=True)
        return np.array([np.linalg.norm(z) for z in every]) / np.linalg.norm(Z)

    ledger.evidence(
        "features through twelve stages: growth of the last one, minus the rate",
        lambda order: abs(sizes(order)[-1] / sizes(order)[-3] - rate),
        of=weights,
        at_most=tolerance("reduction", n=48, scale=20.0),
        controls={"one of them, repeated": [weights[0]] * 2},
    )
    _order(ledger)
    joint = joint_spectral_radius_bounds([FACTOR, FACTOR.T], depth=4)
    ledger.equals(
        "bounds of the joint spectral radius",
        np.array([joint.lower, joint.upper]),
        np.full(2, (3 + np.sqrt(10)) / 2),
        tol,
        controls={"spectral radii of the factors": np.full(2, 0.5)},
    )
    _words(ledger)
    _contractions(ledger)
    ledger.headline("growth of a stage of two stable sub-blocks", certify(op, weights).radius)
    curves = {r"$A_1, A_1, \ldots$": sizes([weights[0]] * 2), r"$A_1, A_2, A_1, \ldots$": sizes(weights)}
    ledger.figure(
        "products",
        lambda: draw_products(curves, float(np.sqrt(rate))),
        "Features of two positions through sub-blocks of spectral radius one half: the same one again and again, and the two in turn.",
    )


def _order(ledger: Ledger) -> None:
    """The library's norm of a stage against the product of full matrices."""
    omega = np.exp(-0.5 * (np.arange(4.0)[:, None] - np.arange(4.0)) ** 2)
    pair = list(ledger.rng.standard_normal((2, 2, 2)))
    root = np.sqrt(omega.sum(axis=1)).repeat(2)
    full = root[:, None] * update(omega, pair[1], 1.0) @ update(omega, pair[0], 1.0) / root
    ledger.equals(
        "norm of a stage of two random sub-blocks, against the product of the full matrices",
        np.float64(certify(row(omega), pair).norm),
        np.float64(np.linalg.norm(full, 2)),
        tolerance("solve", n=8, scale=8.0),
        controls={
            "in the other order": np.float64(certify(row(omega), pair[::-1]).norm),
            "product of their norms": np.prod([certify(row(omega), [W]).norm for W in pair]),
        },
    )


def _words(ledger: Ledger) -> None:
    pairs = st.tuples(matrices(2, 2), matrices(2, 2))

    def outside(pair, joint=lambda pair: joint_spectral_radius_bounds(pair, depth=3)) -> float:
        """How far a word of length six leaves the bounds: its radius above the upper, or all norms below the lower."""
        bounds = joint(pair)
        words = [np.linalg.multi_dot([pair[i] for i in word]) for word in product((0, 1), repeat=6)]
        radius = max(np.max(np.abs(np.linalg.eigvals(P))) for P in words) ** (1 / 6)
        norm = max(np.linalg.norm(P, 2) for P in words) ** (1 / 6)
        return max(float(radius) - bounds.upper, bounds.lower - float(norm))

    ledger.property(
        "random pairs: how far the products of six factors leave the bounds found from three",
        pairs,
        outside,
        at_most=float(tolerance("solve", n=12) ** 0.5),
        examples=60,
        controls={
            "bounds of the first factor alone": lambda pair: outside(
                pair, lambda p: joint_spectral_radius_bounds(p[:1], depth=3)
            )
        },
        note="Roots of rounding errors, since defective products are among the examples.",
    )


def _contractions(ledger: Ledger) -> None:
    stages = st.tuples(symmetric_affinities(3), matrices(2, 2), matrices(2, 2))

    def growth(case, tie=lambda B, s_max: tied_weight(B, s_max)) -> float:
        omega, *factors = case
        s_max = max(largest_s(omega), 1e-3)
        return certify(row(omega), [tie(3 * B, s_max) for B in factors]).transient - 1

    ledger.property(
        r"symmetric weights with $0 \le W^n \le 2/s_{\max}$: growth at any point of a stage of two",
        stages,
        growth,
        at_most=tolerance("solve", n=6),
        examples=60,
        controls={"weights that are not tied": lambda case: growth(case, lambda B, s_max: B / s_max)},
    )


def draw_products(curves: dict[str, np.ndarray], rate: float):
    figure, axes = canvas(height=2.3)
    for (label, sizes), marker in zip(curves.items(), "os", strict=True):
        axes.semilogy(sizes, marker=marker, markersize=3, label=label)
    n = np.arange(max(map(len, curves.values())))
    axes.semilogy(n, rate**n, linewidth=0.7, linestyle="--", color="gray", label="joint spectral radius$^n$")
    axes.set(xlabel="sub-block $n$", ylabel="size of the features")
    axes.legend()
    return figure
