"""Section 4.3: the Markov matrices of a mesh, forward and in reverse."""

from __future__ import annotations

import numpy as np

from nlmodel import NonlocalOperator, markov
from nlmodel.kernels import Gaussian
from nlmodel.testing import tolerance
from validation import Ledger, at_least, at_most, claim
from validation.claims.markov_jump import SECTION
from validation.claims.shared import asymmetry, midpoints


DOUBLY = "$K$ doubly stochastic (rows sum to one as well)"
COLUMNS, NONNEGATIVE = "columns of $K$ sum to 1", r"$K \ge 0$"


def step_difference(K: np.ndarray) -> float:
    """Between (23) Z <- K Z and (24) Z <- Z + sum_j K_ij (Z_j - Z_i), on all unit vectors at once."""
    op = NonlocalOperator.from_affinity(K, "none")
    unit = np.eye(len(K))
    return float(np.max(np.abs(op.average(unit) - (unit + op @ unit))))


def drift(step: np.ndarray) -> float:
    """Largest change of the total mass over all unit vectors."""
    return float(np.max(np.abs(step.sum(axis=0) - 1)))


@claim(
    "C14",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.3, eqs (22)-(24)",
    title="Column sums one make (23) and (24) the same",
    statement=r"""
        The entries $K_{ij}$, cell averages of $p(x_i, x')$, have column sums one; therefore (23) is the same as (24).
    """,
    formula=r"Z_i^{n+1} = \sum_j K_{ij} Z_j^n \quad\Longleftrightarrow\quad Z_i^{n+1} - Z_i^n = \sum_j K_{ij}(Z_j^n - Z_i^n)",
    assumptions=(COLUMNS, NONNEGATIVE),
    proof=r"""
        The difference of (23) and (24) is $Z_i \bigl( \sum_j K_{ij} - 1 \bigr)$: they agree for all $Z$ if and only if the
        *rows* sum to one. Column sums one say something else: (23) conserves $\sum_i Z_i$. With $K_{ij}$ the probability to
        move from $x_i$ to cell $j$, $\int p(x_i, x')\,dx' = 1$ makes the rows sum to one (if the average over the cell is
        multiplied by its volume, which the definition leaves out). Then (23) as written is the *backward* equation
        $f \mapsto Kf$ of observables; densities as in (22) need $K^{\mathsf T}$. The two are dual,
        $\langle K^{\mathsf T} z, f \rangle = \langle z, K f \rangle$. Both row and column sums are one exactly when $K$ is doubly
        stochastic, for example when $p$ is symmetric; then the four readings coincide.
    """,
)
def c14(ledger: Ledger) -> None:
    n = 9
    raw = ledger.rng.random((n, n)) + 0.1
    by_column = np.ascontiguousarray(NonlocalOperator.from_affinity(raw.T.copy(), "row").averaging.to_dense().T)
    symmetric = (raw + raw.T) / 2
    doubly = NonlocalOperator.from_affinity(symmetric, "sinkhorn").averaging.to_dense()
    tol = tolerance("solve", n=n)
    ledger.witness(
        "nine states, column-stochastic: largest difference between (23) and (24)",
        satisfies={
            COLUMNS: at_most(np.abs(by_column.sum(axis=0) - 1).max(), tolerance("reduction", n=n)),
            NONNEGATIVE: at_least(by_column.min(), 0.0),
        },
        violates=at_most(step_difference(by_column), tol),
        data={"K": by_column, "row sums": by_column.sum(axis=1)},
        controls={"row-stochastic instead": at_most(step_difference(by_column.T.copy()), tol)},
    )
    both = ledger.under(DOUBLY)
    both.evidence(
        "difference of (23) and (24)", step_difference, of=doubly, at_most=tol, controls={"column sums only": by_column}
    )
    both.evidence("mass drift of (23)", drift, of=doubly, at_most=tol, controls={"row sums only": by_column.T})

    def by_differences(K: np.ndarray) -> float:
        return drift(np.eye(n) + NonlocalOperator.from_affinity(K, "none").to_dense())

    both.evidence(
        "mass drift of (24)", by_differences, of=doubly, at_most=tol, controls={"column sums only": by_column}
    )
    _duality(ledger, raw, by_column)


def _duality(ledger: Ledger, raw: np.ndarray, by_column: np.ndarray) -> None:
    P = NonlocalOperator.from_affinity(raw, "row").averaging.to_dense()
    z, f = ledger.rng.random((2, len(raw)))
    dual = ledger.instead(r"Densities move by $P^{\mathsf T}$, observables by $P$, rows of $P$ summing to one")
    dual.equals(
        r"$\langle P^{\mathsf T} z, f \rangle$ against $\langle z, P f \rangle$",
        np.dot(markov.evolve_density(P, z), f),
        np.dot(z, markov.evolve_observable(P, f)),
        tolerance("reduction", n=2 * len(P), scale=float(len(P))),
        controls={"density moved by $P$": np.dot(P @ z, f)},
    )
    dual.evidence(
        "mass drift of the density equation",
        lambda step: abs(float(np.sum(step) - np.sum(z))),
        of=markov.evolve_density(P, z),
        at_most=tolerance("reduction", n=2 * len(P), scale=float(len(P))),
        controls={"(23) as written, with row sums one": P @ z},
    )


ANTI_DIFFUSION = "reverse in the sense of a negative weight, $2I - K$ in place of $K$"
FROBENIUS, MARKOV = r"$\lVert K \rVert_F^2 < \infty$ (25)", "$K \\ge 0$ with row sums 1, symmetric $p$"


@claim(
    "C15",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.3, eq. (25)",
    title="The process and its reverse are both stable",
    statement=r"""
        Under (25) both the Markov process (23) and its reverse are stable, so that weights of either sign are allowed.
    """,
    formula=r"\lVert K \rVert_F^2 = \sum_{ij} |K_{ij}|^2 < \infty",
    assumptions=(FROBENIUS, MARKOV),
    proof=r"""
        "Reverse" has three meanings, and only the first is what a negative weight does.

        *Anti-diffusion.* $Z \mapsto Z - (K - I)Z = (2I - K)Z$, or the flow $e^{-tL}$. For symmetric $K$ the eigenvalues are
        $2 - \lambda \in [1, 3]$, and in $[1, 2]$ when $K \ge 0$ in the sense of quadratic forms: growth of at most 3 a step
        whatever the mesh, $e^{2t}$ for the flow. Bounded growth, not decay, and positivity is lost.

        *The exact inverse* $K^{-1}$. A smooth kernel gives a compact averaging operator, whose inverse is unbounded: on a
        mesh $\lVert K^{-1} \rVert$ grows without bound. Undoing a step of the process is ill-posed. (25) is
        what makes the operator compact, so it works against this reading.

        *Bayes' time reversal* $\hat P_{ij} = \pi_j P_{ji} / \pi_i$ is a transition matrix again, and equals $P$ when detailed
        balance holds.
    """,
)
def c15(ledger: Ledger) -> None:
    meshes = (10, 20, 40, 60)
    chains = [chain(n) for n in meshes]
    P = chains[-1]
    blow_up = np.array([markov.inverse_condition(K) for K in chains])
    ledger.witness(
        "Gaussian chain of bandwidth 0.1 on 60 cells: norm of the exact inverse, against the bound 3 of one anti-diffusion step",
        satisfies={
            FROBENIUS: at_most(np.sum(P**2), float(len(P))),
            MARKOV: at_most(max(asymmetry(P), np.abs(P.sum(axis=1) - 1).max(), -P.min()), tolerance("solve", n=len(P))),
        },
        violates=at_most(blow_up[-1], 3.0),
        data={"cells": np.array(meshes), "norm of the inverse": blow_up},
        controls={"the lazy chain $(3I + K)/4$": at_most(markov.inverse_condition(markov.lazy(P, 0.25)), 3.0)},
    )
    ledger.headline("norm of the exact inverse on 10 cells (one anti-diffusion step: at most 3)", blow_up[0])
    under = ledger.under(ANTI_DIFFUSION)
    slack = tolerance("solve", n=len(P))

    def growth(step: np.ndarray) -> float:
        return float(np.linalg.norm(step, 2))

    for n, K in zip(meshes, chains, strict=True):
        under.evidence(
            f"norm of one step $2I - K$, {n} cells, Gaussian kernel (positive definite)",
            growth,
            of=markov.backward_step_matrix(K),
            at_most=2.0 + slack,
            controls={"two steps at once, $3I - 2K$": 3 * np.eye(n) - 2 * K},
        )
    flip = np.array([[0.0, 1.0], [1.0, 0.0]])
    under.equals(
        "norm of $2I - K$ for the flip of two states: the bound 3 is attained",
        np.float64(growth(markov.backward_step_matrix(flip))),
        np.float64(3.0),
        tolerance("solve", n=2, scale=3.0),
        controls={
            "the two-state chain with equal entries": np.float64(
                growth(markov.backward_step_matrix(np.full((2, 2), 0.5)))
            )
        },
    )
    ring = np.roll(np.eye(5), 1, axis=1) * 0.8 + np.roll(np.eye(5), -1, axis=1) * 0.2
    reversal = ledger.instead("The time reversal is a Markov chain again, the same one when detailed balance holds")
    reversal.evidence(
        "$|\\hat P - P|$ for the Gaussian chain",
        lambda K: float(np.abs(markov.time_reversal(K) - K).max()),
        of=P,
        at_most=slack,
        controls={"a ring that turns one way, 0.8 against 0.2": ring},
    )
    reversal.evidence(
        "row sums of the reversal of the turning ring",
        lambda K: float(np.abs(K.sum(axis=1) - 1).max()),
        of=markov.time_reversal(ring),
        at_most=slack,
        controls={"its matrix inverse, halved": np.linalg.inv(ring) / 2},
    )


def chain(cells: int) -> np.ndarray:
    """The doubly stochastic Gaussian chain of bandwidth 0.1 on the unit interval."""
    op = NonlocalOperator.from_points(midpoints(cells), Gaussian(0.1), "sinkhorn")
    return op.averaging.to_dense()
