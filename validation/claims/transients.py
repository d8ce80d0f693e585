"""Section 4.4: growth before decay, which eigenvalues do not show."""

from __future__ import annotations

import mpmath
import numpy as np

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.spectrum import kreiss_constant, numerical_radius, numerical_range, transient_peak
from nlmodel.stability import amplification, certify, cfl_limit
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import row, update
from validation.claims.shared import matrices
from validation.photograph import patches


KREISS = 1e-8  # relative: the library's constant is the best of its search, to about 1e-9
STEEP = np.array([[0.5, 20.0], [0.0, 0.5]])
SLOW = np.array([[0.1, 2.0], [0.0, 0.1]])
CONSTANT = np.ones((3, 3))  # omega = 1: I - K has the eigenvalues 0 and 1


def shear_kreiss(eigenvalue: float, coupling: float) -> float:
    """Kreiss constant > 1 of [[a, b], [0, a]], 0 <= a < 1, by maximising along z = 1 + e^u at 30 digits."""
    with mpmath.workdps(30):
        a, b = mpmath.mpf(eigenvalue), mpmath.mpf(coupling)

        def quotient(u):
            t = mpmath.exp(u)
            d = t + 1 - a
            return t * (b + mpmath.sqrt(b**2 + 4 * d**2)) / (2 * d**2)

        ends = (mpmath.log((1 - a) / 10), mpmath.log(1000))
        top = mpmath.findroot(lambda u: mpmath.diff(quotient, u), ends, solver="anderson", tol=1e-20)
        return float(quotient(top))


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
        over the modes: that of $s_{\max}$, with the number $C$ of channels for $N$.
    """,
    formula=r"\mathcal{K}(I - sW) \le \sup_n \lVert (I - sW)^n \rVert \le e\, C\, \mathcal{K}(I - sW)",
    proof=r"""
        *Lower.* $\lVert (zI - G)^{-1} \rVert \le \sum_n |z|^{-n-1} \lVert G^n \rVert \le \sup_n \lVert G^n \rVert / (|z| - 1)$.
        *Upper.* $G^n$ is a contour integral of $z^n (zI - G)^{-1}$ over $|z| = 1 + 1/n$; an integration by parts and
        Spijker's bound for the arc length of a rational function on a circle give $eN$. *Modes.* In an orthonormal basis of
        eigenvectors of $I - K$ the resolvent is block diagonal, and its norm the largest of the blocks'. Put $z = 1 + s\zeta$:
        $$\mathcal{K}(I - sW) = \max \Bigl( 1, \sup_\zeta \frac{|1 + s\zeta| - 1}{s} \lVert (\zeta I + W)^{-1} \rVert \Bigr),$$
        and the quotient does not decrease in $s$, since $|1 + s\zeta|$ is convex in $s$ and equals one at $s = 0$. So the
        mode of $s_{\max}$ decides. Where the best $\zeta$ is real, as for a shear, all modes agree.

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
        controls={
            r"$\beta / 2$": beta / (beta + 1 / beta),
            "numerical radius": np.array([a + b / 2 for a, b in shears]) / found,
        },
    )
    ledger.equals(
        "the same at 30 digits, by maximising along the real axis",
        np.array([shear_kreiss(a, b) for a, b in shears]) / found,
        np.ones(5),
        KREISS,
        controls={"with twice the coupling": np.array([shear_kreiss(a, 2 * b) for a, b in shears]) / found},
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
    W = 0.5 * np.array([[1.0, 4.0], [-0.5, 1.0]])
    full = root[:, None] * update(omega, W, 1.0) / root
    stages = amplification(row(omega), [W])
    by_mode = [kreiss_constant(stages.matrix(k)).value for k in range(4)]
    whole = kreiss_constant(full).value
    ledger.evidence(
        r"full matrix of four positions and two channels, in the measure: its Kreiss constant over that of $s_{\max}$, minus one",
        lambda value: abs(whole / value - 1),
        of=by_mode[-1],
        at_most=KREISS,
        controls={"over that of the next mode": by_mode[-2]},
    )

    def fall(A: np.ndarray) -> float:
        """Relative excess of the constant at s = 1/2 over that at s = 1."""
        G = contraction(A)
        return kreiss_constant((np.eye(2) + G) / 2).value / kreiss_constant(G).value - 1

    ledger.property(
        r"random $2 \times 2$ contractions of eigenvalues: $\mathcal{K}$ at $s = \frac12$ over that at $s = 1$, minus one",
        matrices(2, 2, -6, 6),
        fall,
        at_most=KREISS,
        examples=40,
        controls={"the other way round": lambda A: -fall(A)},
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


def draw_transient(G: np.ndarray):
    figure, (left, right) = canvas(1, 2, height=2.6)
    angle = np.linspace(0, 2 * np.pi, 181)
    boundary = numerical_range(G)
    left.fill(np.real(boundary), np.imag(boundary), alpha=0.2, label="numerical range")
    left.plot(np.cos(angle), np.sin(angle), linewidth=0.8, label="unit circle")
    values = np.linalg.eigvals(G)
    left.plot(np.real(values), np.imag(values), "o", markersize=4)
    left.set(aspect="equal", xlabel="real part", ylabel="imaginary part")
    left.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    kreiss, n = kreiss_constant(G).value, np.arange(81)
    right.semilogy(n, [np.linalg.norm(np.linalg.matrix_power(G, int(k)), 2) for k in n], label=r"$\|G^n\|$")
    right.axhline(kreiss, linewidth=0.8, linestyle="--", color="gray")
    right.axhline(2 * np.e * kreiss, linewidth=0.8, linestyle="--", color="gray")
    right.annotate(r"$\mathcal{K}$", (80, kreiss), ha="right", va="bottom", fontsize=8)
    right.annotate(r"$e\,C\,\mathcal{K}$", (80, 2 * np.e * kreiss), ha="right", va="bottom", fontsize=8)
    right.set(xlabel="$n$", ylabel="norm of the powers", ylim=(1e-2, 1e2))
    return figure
