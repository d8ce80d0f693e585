"""Beyond the paper: the stage with its kernel found anew in every sub-block."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Embedded, ExpDot, FunctionKernel, Gaussian, Kernel
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, Section, canvas, claim
from validation.claims.shared import matrices
from validation.photograph import patches


SECTION = Section(
    "D",
    "Stages that are stable by construction",
    "Two ways to make every stage stable, whatever the data: weights between zero and one, which make each output an average of "
    "inputs even when the kernel moves with the features; and tied weights, which make a stage with frozen kernel a contraction.",
)
SKEWED = Embedded(ExpDot(), np.eye(2), np.array([[0.5, 1.0], [-1.0, 0.5]]))
DIRECTIONS = np.stack([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)])


def run(Z: np.ndarray, kernel: Kernel, mu: float, blocks: int, normalize: str = "row") -> tuple[np.ndarray, ...]:
    """All states of Z <- Z + mu (K(Z) - I) Z, the kernel found anew each time."""
    path = evolve(
        lambda Y: NonlocalOperator.from_points(Y, kernel, normalize), Z, step=mu, steps=blocks, on_unstable="ignore"
    )
    return path.states


def diameter(Z: np.ndarray) -> float:
    """Largest distance of two rows."""
    return float(np.sqrt(np.max(np.sum((Z[:, None] - Z[None]) ** 2, axis=-1))))


def protrusion(inner: np.ndarray, outer: np.ndarray) -> float:
    """How far the points `inner` in the plane reach beyond the convex hull of `outer`, in 24 directions."""
    return float(np.max(np.max(inner @ DIRECTIONS, axis=0) - np.max(outer @ DIRECTIONS, axis=0)))


def two_points(d: float, mu: float) -> float:
    """Distance of two points after a sub-block, when it was d before."""
    return d * (1 - mu + mu * np.tanh(d**2 / 4))


@claim(
    "4.7",
    section=SECTION,
    paper="standard; Krause 2000, Motsch and Tadmor 2014; for Tao et al. 2018, eq. (8) with $K(Z^n)$",
    title="A kernel that moves: hull, diameter, consensus",
    statement=r"""
        Let the kernel be found anew in every sub-block, $K(Z^n)$ non-negative with row sums one, and $W = \mu I$ with $\mu \in [0, 1]$.
        Then the convex hull of the features shrinks, and their diameter $d$ does not grow. For $e^{-|x - y|^2/2}$ and
        $e^{x \cdot y}$ it obeys the bound below, with equality for two positions $\pm z$, so that all features meet. A symmetric kernel
        without normalisation keeps the plain mean.
    """,
    formula=r"d(Z^{n+1}) \le \bigl( 1 - \mu + \mu \tanh \tfrac14 d(Z^n)^2 \bigr)\, d(Z^n)",
    proof=r"""
        $Z_i^{n+1} = (1 - \mu) Z_i^n + \mu \sum_j K_{ij} Z_j^n$ is an average of points of the hull. For the difference of two
        outputs only $\tfrac12 \sum_k |K_{ik} - K_{jk}| \le \tau$ of the mass has to move, over at most $d$: $d^+ \le (1 - \mu + \mu\tau) d$. By
        Birkhoff $\tau \le \tanh(\Delta/4)$ with $\Delta$ the largest logarithmic cross ratio. The two kernels have the same
        one, as they differ by factors of rows and columns, $\log \frac{K_{ik} K_{jl}}{K_{il} K_{jk}} = (Z_i - Z_j) \cdot (Z_k - Z_l) \le d^2$.
        The right side increases with $d$, so by induction any features meet at least as fast as two points at their
        initial distance: at least at the rate $1 - \mu + \mu \tanh(d_0^2/4)$, in the end at $1 - \mu$; and for $\mu = 1$ at third order,
        $d^+ \le d^3/4$.

        Averages need $\mu \le 1/(1 - \min_i K_{ii})$ (S-5). Positivity is needed for consensus: a kernel of bounded reach leaves clusters.
        Without normalisation $\sum_i \sum_j \omega_{ij} (Z_j - Z_i) = 0$ by symmetry, and outputs are averages while
        $\mu \max_i \sum_{j \ne i} \omega_{ij} \le 1$; with row sums one the weights $C_i$ of the conserved mean move with the features, and
        the plain mean drifts.
    """,
)
def c4_7(ledger: Ledger) -> None:
    tol = tolerance("reduction", n=8, scale=2.0)
    kernels = st.sampled_from([Gaussian(), ExpDot(), SKEWED])
    cases = st.tuples(matrices(4, 2), kernels, st.sampled_from([0.3, 1.0]))

    def bulge(case, factor: float = 1.0, normalize: str = "row") -> float:
        Z, kernel, mu = case
        states = run(Z, kernel, factor * mu, 2, normalize)
        return max(protrusion(after, before) for before, after in pairwise(states))

    ledger.property(
        "how far two sub-blocks leave the convex hull; Gaussian, softmax, softmax with skewed embedding",
        cases,
        bulge,
        at_most=tol,
        examples=100,
        controls={
            r"with $1.5 \mu$": lambda case: bulge(case, factor=1.5),
            "affinities without normalisation": lambda case: bulge(case, normalize="none"),
        },
    )

    def excess(case, share: float = 0.25) -> float:
        Z, kernel, mu = case
        before, after = run(Z, kernel, mu, 1)
        d = diameter(before)
        return diameter(after) - d * (1 - mu + mu * np.tanh(share * d**2))

    ledger.property(
        "diameter after a sub-block, minus the bound; Gaussian and softmax",
        st.tuples(matrices(4, 2), st.sampled_from([Gaussian(), ExpDot()]), st.sampled_from([0.3, 1.0])),
        excess,
        at_most=tol,
        examples=100,
        controls={r"with $\tanh \frac18 d^2$": lambda case: excess(case, 0.125)},
    )
    _two_positions(ledger)
    _mean(ledger, tol)
    _consensus(ledger)
    _photograph(ledger)


def _two_positions(ledger: Ledger) -> None:
    pair, mu = np.array([[0.9], [-0.9]]), 0.4
    with mpmath.workdps(30):
        d = mpmath.mpf("1.8")
        for _ in range(12):
            d = d * (1 - mpmath.mpf("0.4") + mpmath.mpf("0.4") * mpmath.tanh(d**2 / 4))
    for words, kernel in (("Gaussian", Gaussian()), ("softmax", ExpDot())):
        ledger.equals(
            f"two positions, {words}, twelve sub-blocks with $\\mu = 0.4$: distance",
            np.float64(diameter(run(pair, kernel, mu, 12)[-1])),
            np.float64(d),
            tolerance("elementwise", scale=24.0),
            controls={"kernel of the input frozen": np.float64(1.8 * (two_points(1.8, mu) / 1.8) ** 12)},
        )
    small = 0.8 * 0.5 ** np.arange(5)
    shape = ledger.rng.standard_normal((7, 2))
    shape /= diameter(shape)

    def once(mu: float) -> list[float]:
        return [diameter(run(d * shape, Gaussian(), mu, 1)[-1]) for d in small]

    ledger.order(
        r"seven positions, $\mu = 1$: diameter after one sub-block, by the diameter before",
        small,
        once(1.0),
        3.0,
        controls={r"$\mu = 0.9$": once(0.9)},
    )


def _mean(ledger: Ledger, tol: float) -> None:
    def drift(normalize: str):
        def measure(Z: np.ndarray) -> float:
            return float(np.max(np.abs(run(Z, Gaussian(), 0.3, 2, normalize)[-1].mean(axis=0) - Z.mean(axis=0))))

        return measure

    for words, normalize, slack in (
        ("without normalisation", "none", tol),
        ("symmetric Sinkhorn", "sinkhorn", 4 * tol),
    ):
        ledger.property(
            f"drift of the plain mean, Gaussian {words}",
            matrices(4, 2),
            drift(normalize),
            at_most=slack,
            examples=60,
            controls={"normalised by rows": drift("row")},
        )


def _consensus(ledger: Ledger) -> None:
    X = np.concatenate([ledger.rng.standard_normal((5, 2)), ledger.rng.standard_normal((5, 2)) + 4.0]) / 2
    reach = FunctionKernel(
        lambda X, Y: 1.0 * (np.sum((X[:, None] - Y[None]) ** 2, axis=-1) < 0.49), symmetric=True, nonnegative=True
    )

    def remaining(kernel: Kernel) -> float:
        return diameter(run(X, kernel, 0.5, 60)[-1]) / diameter(X)

    for words, kernel in (("Gaussian", Gaussian()), ("softmax", ExpDot())):
        ledger.evidence(
            f"two clouds of five points, {words}, 60 sub-blocks with $\\mu = \\frac12$: share of the diameter left",
            remaining,
            of=kernel,
            at_most=1e-6,
            controls={"kernel of reach 0.7": reach},
        )


def _photograph(ledger: Ledger) -> None:
    X, mu, blocks = patches(stride=80) / 10.0, 0.5, 30
    sizes = np.array([diameter(Z) for Z in run(X, Gaussian(), mu, blocks)])
    bound = [sizes[0]]
    for _ in range(blocks):
        bound.append(two_points(bound[-1], mu))
    bound = np.array(bound)
    ledger.evidence(
        f"{len(X)} patches of a photograph, {blocks} sub-blocks with $\\mu = \\frac12$: largest diameter over that of two points, minus one",
        lambda bound: float(np.max(sizes / bound)) - 1,
        of=bound,
        at_most=tolerance("reduction", n=len(X)),
        controls={r"over the final rate alone, $(1 - \mu)^n$": sizes[0] * (1 - mu) ** np.arange(blocks + 1)},
    )
    ledger.headline("diameter of the patches after 30 sub-blocks, over the first", sizes[-1] / sizes[0], rel=1e-6)
    ledger.figure(
        "diameter",
        lambda: draw(sizes / sizes[0], bound / bound[0], mu),
        f"Diameter of {len(X)} patches of a photograph under sub-blocks whose kernel is found anew, and the bound: two points at the "
        "same distance.",
    )


def draw(sizes: np.ndarray, bound: np.ndarray, mu: float):
    figure, axes = canvas(height=2.4)
    n = np.arange(len(sizes))
    axes.semilogy(n, bound, label="two points (bound)")
    axes.semilogy(n, sizes, "o", markersize=3, label="patches")
    axes.semilogy(
        n, sizes[-1] * (1 - mu) ** (n - n[-1]), linewidth=0.7, linestyle="--", color="gray", label=r"$(1 - \mu)^n$"
    )
    axes.set(xlabel="sub-block $n$", ylabel=r"$d(Z^n) / d(Z^0)$", ylim=(sizes[-1] / 3, 3))
    axes.legend()
    return figure
