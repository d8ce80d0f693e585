"""Section 4.4: what eigenvalues do not show, growth before decay and products of different sub-blocks."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.spectrum import kreiss_constant, numerical_radius, numerical_range, transient_peak
from nlmodel.stability import amplification, certify, cfl_limit, joint_spectral_radius_bounds, tied_weight
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.cfl import FLIP, SECTION, row, update
from validation.claims.shared import matrices, symmetric_affinities
from validation.photograph import patches


KREISS = 1e-8  # relative: the library's constant is the best of its search, to about 1e-9
STEEP = np.array([[0.5, 20.0], [0.0, 0.5]])
SLOW = np.array([[0.1, 2.0], [0.0, 0.1]])
CONSTANT = np.ones((3, 3))  # omega = 1: I - K has the eigenvalues 0 and 1


def shear_kreiss(eigenvalue: float, coupling: float) -> float:
    """Kreiss constant of [[a, b], [0, a]] by maximising along z = 1 + t at 30 digits; a in [0, 1)."""
    a, b = mpmath.mpf(eigenvalue), mpmath.mpf(coupling)

    def quotient(t):
        d = t + 1 - a
        return t * (b + mpmath.sqrt(b**2 + 4 * d**2)) / (2 * d**2)

    with mpmath.workdps(30):
        return float(quotient(mpmath.findroot(lambda t: mpmath.diff(quotient, t), 1 - a)))


def contraction(A: np.ndarray) -> np.ndarray:
    """A scaled to spectral radius at most 0.9."""
    return A * 0.9 / max(0.9, np.max(np.abs(np.linalg.eigvals(A))))


@claim(
    "S-3",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4; Kreiss 1962, Spijker 1991",
    title="Growth before decay, up to the Kreiss constant",
    statement=r"""
        A sub-block whose eigenvalues are stable may still amplify, when $W$ is not normal. With
        $\mathcal{K}(G) = \sup_{|z| > 1} (|z| - 1) \lVert (zI - G)^{-1} \rVert$ and $G$ of size $N$, the powers have a
        largest norm between $\mathcal{K}(G)$ and $e N \mathcal{K}(G)$; for a sub-block with self-adjoint $K$, $\mathcal{K}$ is the largest
        over the modes, so that $N$ is the number of channels alone.
    """,
    formula=r"\mathcal{K}(I - sW) \le \sup_n \lVert (I - sW)^n \rVert \le e\, C\, \mathcal{K}(I - sW)",
    proof=r"""
        *Lower.* $\lVert (zI - G)^{-1} \rVert \le \sum_n |z|^{-n-1} \lVert G^n \rVert \le \sup_n \lVert G^n \rVert / (|z| - 1)$.
        *Upper.* $G^n$ is a contour integral of $z^n (zI - G)^{-1}$ over $|z| = 1 + 1/n$; an integration by parts and
        Spijker's bound for the arc length of a rational function on a circle give $eN$. *Modes.* In an orthonormal basis of
        eigenvectors of $I - K$ the resolvent is block diagonal, and its norm the largest of the blocks'.

        *A shear.* For $\begin{pmatrix} a & b \\ 0 & a \end{pmatrix}$ with $0 \le a < 1$ the best $z$ is real. Put $d = z - a =
        \tfrac b2 \sinh y$: the quotient is $(\sinh y - 1/\beta)/(\cosh y - 1)$ with $\beta = b / (2(1 - a))$, largest at
        $\coth \tfrac y2 = \beta$, hence
        $$\mathcal{K} = \tfrac12 (\beta + 1/\beta) \quad (\beta \ge 1), \qquad \mathcal{K} = 1 \quad (\beta \le 1).$$
        $W = \begin{pmatrix} 1/2 & 20 \\ 0 & 1/2 \end{pmatrix}$ at $s = 1$ has $\beta = 20$, $\mathcal{K} = 10.025$, and powers up to
        $\tfrac12(20 + \sqrt{401}) = 20.0125$, at once. The numerical radius $a + b/2$ exceeds one exactly when
        $\beta > 1$: $\mathcal{K} = 1$ if and only if the numerical range lies in the unit disc.
    """,
)
def s_3(ledger: Ledger) -> None:
    shears = [(0.5, 20.0), (0.9, 2.0), (0.0, 3.0), (0.7, 0.9), (0.99, 1.0)]
    found = np.array([kreiss_constant(np.array([[a, b], [0.0, a]])).value for a, b in shears])
    beta = np.array([b / (2 * (1 - a)) for a, b in shears])
    ledger.equals(
        r"five shears: relative to $\frac12(\beta + 1/\beta)$",
        found / ((beta + 1 / beta) / 2),
        np.ones(5),
        KREISS,
        controls={r"$\beta / 2$": beta / (beta + 1 / beta), "numerical radius": np.array([a + b / 2 for a, b in shears]) / found},
    )
    ledger.equals(
        "the same at 30 digits, by maximising along the real axis",
        np.array([shear_kreiss(a, b) for a, b in shears]) / found,
        np.ones(5),
        KREISS,
        controls={"with half the coupling": np.array([shear_kreiss(a, b / 2) for a, b in shears]) / found},
    )
    op = row(CONSTANT)
    G = np.eye(2) - STEEP
    ledger.equals(
        "the example: largest norm of its powers, of one sub-block, and numerical radius, in closed form",
        np.array([transient_peak(G).value, amplification(op, [STEEP]).norms.max(), numerical_radius(G)]),
        np.array([(20 + np.sqrt(401)) / 2, (20 + np.sqrt(401)) / 2, 10.5]),
        tolerance("solve", n=2, scale=20.0),
        controls={"spectral radius": np.full(3, 0.5)},
    )
    ledger.evidence(
        "the example: spectral limit of the step, at which nothing warns of the growth",
        lambda norm: cfl_limit(op, STEEP, norm).value,
        of="spectral",
        at_least=1.0,
        controls={"limit in the energy norm": "energy"},
    )
    _bracket(ledger)
    _modes(ledger)
    ledger.headline("Kreiss constant of the example", found[0])
    ledger.figure(
        "transient",
        lambda: draw_transient(np.eye(2) - SLOW),
        r"The sub-block with $W = \begin{pmatrix} 0.1 & 2 \\ 0 & 0.1 \end{pmatrix}$ at $s = 1$. Left: its numerical range reaches far "
        "beyond the unit disc, its eigenvalue (dot) lies inside. Right: its powers, and the bracket that the Kreiss constant gives.",
    )


def _bracket(ledger: Ledger) -> None:
    def outside(A: np.ndarray, upper: float = 3 * np.e, lower: float = 1.0) -> float:
        """How far the largest norm of the powers lies outside the bracket, relative."""
        G = contraction(A)
        kreiss, peak = kreiss_constant(G).value, transient_peak(G).value
        return max(lower * kreiss / peak - 1, peak / (upper * kreiss) - 1)

    ledger.property(
        "random $3 \\times 3$ contractions of eigenvalues: how far the powers leave the bracket",
        matrices(3, 3, -6, 6),
        outside,
        at_most=KREISS,
        examples=60,
        controls={
            "$1$ for $eN$": lambda A: outside(A, upper=1.0),
            r"$2\mathcal{K}$ for the lower end": lambda A: outside(A, lower=2.0),
        },
    )


def _modes(ledger: Ledger) -> None:
    omega = np.exp(-0.5 * (np.arange(4.0)[:, None] - np.arange(4.0)) ** 2)
    root = np.sqrt(omega.sum(axis=1)).repeat(2)
    W = np.array([[0.5, 5.0], [0.0, 1.0]])
    full = root[:, None] * update(omega, W, 1.0) / root
    stages = amplification(row(omega), [W])
    by_mode = [kreiss_constant(stages.matrix(k)).value for k in range(4)]
    whole = kreiss_constant(full).value
    ledger.evidence(
        "full matrix of four positions and two channels, in the measure: its Kreiss constant over the largest of a mode, minus one",
        lambda values: abs(whole / max(values) - 1),
        of=by_mode,
        at_most=KREISS,
        controls={"without the worst mode": sorted(by_mode)[:-1]},
    )
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Gaussian(5.0), "row")
    kreiss = certify(op, [SLOW]).kreiss

    def peak(W: np.ndarray) -> float:
        """Largest norm over that at the start, of two channels off their mean, through 40 sub-blocks."""
        start = X[:, :2] - op.mean(X[:, :2])
        return max(float(op.inner(Z, Z)) ** 0.5 for Z in stage(start, op, [W] * 40, every=True)) / float(
            op.inner(start, start) ** 0.5
        )

    ledger.evidence(
        f"two channels of {len(X)} patches of a photograph, 40 sub-blocks of Kreiss constant {kreiss:.3g}: largest size over the first",
        peak,
        of=SLOW,
        at_least=1.5,
        at_most=2 * np.e * kreiss,
        controls={"the weight without its coupling": np.diag(np.diag(SLOW))},
    )


FACTOR = np.array([[0.5, 3.0], [0.0, 0.5]])


@claim(
    "S-4",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4, with a weight for each sub-block (8)",
    title="Products of stable sub-blocks can be unstable",
    statement=r"""
        With different weights $W^n$ the spectral stability of every sub-block does not make the stage stable. A norm that all
        sub-blocks do not increase does, and products in any order decay if and only if the joint spectral radius is below one.
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
            "bounds of the first factor alone": lambda pair: outside(pair, lambda p: joint_spectral_radius_bounds(p[:1], depth=3))
        },
        note="Roots of rounding errors, since defective products are among the examples.",
    )


def _contractions(ledger: Ledger) -> None:
    stages = st.tuples(symmetric_affinities(3), matrices(2, 2), matrices(2, 2))

    def growth(case, tie=lambda B, s_max: tied_weight(B, s_max)) -> float:
        omega, *factors = case
        op = row(omega)
        s_max = max(cfl_limit(op).critical[1].real, 1e-3)
        return certify(op, [tie(3 * B, s_max) for B in factors]).transient - 1

    ledger.property(
        r"symmetric weights with $0 \le W^n \le 2/s_{\max}$: growth at any point of a stage of two",
        stages,
        growth,
        at_most=tolerance("solve", n=6),
        examples=60,
        controls={"weights that are not tied": lambda case: growth(case, lambda B, s_max: B / s_max)},
    )


def draw_transient(G: np.ndarray):
    figure, (left, right) = canvas(1, 2, height=2.6)
    angle = np.linspace(0, 2 * np.pi, 181)
    boundary = numerical_range(G)
    left.fill(boundary.real, boundary.imag, alpha=0.2, label="numerical range")
    left.plot(np.cos(angle), np.sin(angle), linewidth=0.8, label="unit circle")
    left.plot(np.linalg.eigvals(G).real, np.linalg.eigvals(G).imag, "o", markersize=4)
    left.set(aspect="equal", xlabel="real part", ylabel="imaginary part")
    left.legend(fontsize=7)
    kreiss, n = kreiss_constant(G).value, np.arange(81)
    right.semilogy(n, [np.linalg.norm(np.linalg.matrix_power(G, int(k)), 2) for k in n], label=r"$\|G^n\|$")
    right.axhline(kreiss, linewidth=0.8, linestyle="--", color="gray")
    right.axhline(2 * np.e * kreiss, linewidth=0.8, linestyle="--", color="gray")
    right.annotate(r"$\mathcal{K}$", (80, kreiss), ha="right", va="bottom", fontsize=8)
    right.annotate(r"$e\,C\,\mathcal{K}$", (80, 2 * np.e * kreiss), ha="right", va="bottom", fontsize=8)
    right.set(xlabel="$n$", ylabel="norm of the powers", ylim=(1e-2, 1e2))
    return figure


def draw_products(curves: dict[str, np.ndarray], rate: float):
    figure, axes = canvas(height=2.3)
    for (label, sizes), marker in zip(curves.items(), "os", strict=True):
        axes.semilogy(sizes, marker=marker, markersize=3, label=label)
    n = np.arange(len(sizes))
    axes.semilogy(n, rate**n, linewidth=0.7, linestyle="--", color="gray", label="joint spectral radius$^n$")
    axes.set(xlabel="sub-block $n$", ylabel="size of the features")
    axes.legend()
    return figure
