"""Section 3.1: what the symmetric part of the weight says about decay."""

from __future__ import annotations

import numpy as np
import sympy
from hypothesis import strategies as st
from scipy.linalg import expm

from nlmodel import NonlocalOperator, spectrum
from nlmodel.kernels import Gaussian
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, at_most, claim
from validation.claims.shared import asymmetry, matrices, symmetric_affinities
from validation.claims.weights_spectrum import SECTION
from validation.photograph import patches


AFFINITY = r"$\omega$ symmetric and $\ge 0$, $C_i$ its row sums (4)"
SHEAR = np.array([[0.5, 4.0], [0.0, 1.5]])


def rate(op: NonlocalOperator, Z: np.ndarray, W: np.ndarray, measure: np.ndarray) -> float:
    """d/dt (1/2) sum_i m_i |Z_i|^2 along Z' = L Z W^T."""
    return float(np.sum(measure[:, None] * Z * ((op @ Z) @ W.T)))


def antisymmetric_share(op: NonlocalOperator, Z: np.ndarray, W: np.ndarray, measure: np.ndarray) -> float:
    """How far the rate with W is from the rate with its symmetric part."""
    return abs(rate(op, Z, W, measure) - rate(op, Z, spectrum.symmetric_part(W), measure))


def row(omega: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_affinity(omega, "row")


@claim(
    "C3",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 3.1, eq. (7)",
    title=r"Decay is decided by the eigenvalues of $\widetilde{W}$",
    statement=r"""
        Whether $W$ makes the features decay or grow is decided by its quadratic form, hence by the eigenvalues of its symmetric
        part $\widetilde{W}$.
    """,
    formula=r"\widetilde{W} = \frac{W + W^\top}{2}, \qquad x^\top W x = x^\top \widetilde{W} x",
    assumptions=(AFFINITY,),
    proof=r"""
        Let $Z' = A Z W^\top$ with $A = K - I$ (proposed) or $A = K$ (original), $K$ frozen, and let $m$ be a measure in which
        $K$ is self-adjoint, $m_i K_{ij} = m_j K_{ji}$. With $\langle Y, Z \rangle_m = \sum_i m_i\, Y_i \cdot Z_i$ and
        $G = Z^\top \operatorname{diag}(m) A Z$, which is symmetric,
        $$\frac{d}{dt} \frac12 \lVert Z \rVert_m^2 = \operatorname{tr}(G W^\top) = \operatorname{tr}(G \widetilde{W}).$$
        For $A = K - I$, $-G \ge 0$ and the rate lies between $-\lambda_{\max}(\widetilde{W})\, E$ and
        $-\lambda_{\min}(\widetilde{W})\, E$ with $E = -\operatorname{tr} G$. So the claim holds for the *rate at one instant,
        in the measure* $m$. It fails beyond that in two ways.

        *In the plain norm* $G$ is not symmetric for $K = D^{-1}\omega$, unless $C$ is constant on components (C6), and the
        antisymmetric part of $W$ contributes.

        *Over time* the eigenvalues of $W$ decide, not those of $\widetilde{W}$: on a mode with $(I - K) v = s v$ the flow is
        $e^{-tsW}$, with $\lVert e^{-tsW} \rVert \to 0$ for $s > 0$ if and only if all eigenvalues of $W$ have positive real
        part. $W = \begin{pmatrix} 0.5 & 4 \\ 0 & 1.5 \end{pmatrix}$ has the eigenvalues $0.5$ and $1.5$, its symmetric part has
        $1 \pm \tfrac12 \sqrt{17}$, one of them negative: the flow of $W$ decays and that of $\widetilde{W}$, which has the same
        quadratic form, grows without bound. What a negative eigenvalue of $\widetilde{W}$ does predict is that *some* state
        grows at first.
    """,
)
def c3(ledger: Ledger) -> None:
    pair = np.array([[1.0, np.exp(-0.5)], [np.exp(-0.5), 1.0]])
    start = np.array([[1.0, 1.0], [-1.0, -1.0]])

    def final_norm(W: np.ndarray) -> float:
        return float(evolve(row(pair), start, step=12.0, steps=1, method="exponential", weight=W).norm[-1])

    def decades_apart(W: np.ndarray) -> float:
        return abs(np.log10(final_norm(W) / final_norm(spectrum.symmetric_part(W))))

    ledger.witness(
        r"two positions, $W$ and $\widetilde{W}$ with one quadratic form: decades between the norms at $t = 12$",
        satisfies={AFFINITY: at_most(asymmetry(pair), 0.0)},
        violates=at_most(decades_apart(SHEAR), 1.0),
        data={
            "omega": pair,
            "W": SHEAR,
            "Z(0)": start,
            "norm with W": final_norm(SHEAR),
            "norm with its symmetric part": final_norm(spectrum.symmetric_part(SHEAR)),
        },
        controls={"a symmetric $W$": at_most(decades_apart(spectrum.symmetric_part(SHEAR)), 1.0)},
    )
    ledger.headline(r"decades between the flows of $W$ and $\widetilde{W}$", decades_apart(SHEAR))
    _plain_norm(ledger)
    _instant(ledger)
    _long_time(ledger, pair, start)


def _plain_norm(ledger: Ledger) -> None:
    """The antisymmetric part counts in the plain norm, on patches of a photograph."""
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Gaussian(7.0), "row")
    A = ledger.rng.standard_normal((48, 48)) / np.sqrt(48)
    turn = A - A.T
    plain, own = np.ones(op.size), np.asarray(op.measure) / np.mean(np.asarray(op.measure))
    tol = tolerance("reduction", n=op.size * 48, scale=float(np.abs(X).max() ** 2))
    ledger.witness(
        rf"{op.size} patches of a photograph, antisymmetric $W$, $\widetilde{{W}} = 0$: rate of $\lVert Z \rVert^2 / 2$",
        satisfies={AFFINITY: at_most(asymmetry(Gaussian(7.0)(X)), 0.0)},
        violates=at_most(antisymmetric_share(op, X, turn, plain), tol),
        data={"W": turn},
        controls={"the same in the measure $C_i$": at_most(antisymmetric_share(op, X, turn, own), tol)},
    )


def _instant(ledger: Ledger) -> None:
    instant = ledger.under(r"at one instant, in the measure in which $K$ is self-adjoint")
    z, w, g = sympy.Matrix(2, 2, sympy.symbols("z:4")), sympy.Matrix(2, 2, sympy.symbols("w:4")), sympy.symbols("g:4")
    S, skewed = sympy.Matrix(2, 2, [g[0], g[1], g[1], g[2]]), sympy.Matrix(2, 2, g)

    def trace(S) -> sympy.Expr:
        return sympy.expand((z.T * S * z * w.T).trace())

    half = sympy.expand((z.T * S * z * (w + w.T) / 2).trace())
    instant.identity(
        r"$\operatorname{tr}(Z^\top S Z W^\top) = \operatorname{tr}(Z^\top S Z \widetilde{W})$ for symmetric $S$",
        trace(S),
        half,
        controls={"for an $S$ that is not symmetric": trace(skewed)},
    )
    cases = st.tuples(symmetric_affinities(3), matrices(3, 2), matrices(2, 2))

    def share(own: bool):
        def measure(case) -> float:
            omega, Z, W = case
            op = row(omega)
            return antisymmetric_share(op, Z, W, np.asarray(op.measure) if own else np.ones(3))

        return measure

    tol = tolerance("reduction", n=18, scale=36.0)
    instant.property(
        "contribution of the antisymmetric part to the rate",
        cases,
        share(own=True),
        at_most=tol,
        controls={"in the plain norm": share(own=False)},
    )

    def excess(values):
        """How far the rate leaves the interval that the extreme `values` of W give."""

        def measure(case) -> float:
            omega, Z, W = case
            op = row(omega)
            energy, change = float(op.energy(Z)), rate(op, Z, W, np.asarray(op.measure))
            low, high = np.min(values(W)), np.max(values(W))
            return max(change + low * energy, -high * energy - change)

        return measure

    instant.property(
        r"how far the rate leaves $[-\lambda_{\max}(\widetilde{W}) E, -\lambda_{\min}(\widetilde{W}) E]$",
        cases,
        excess(lambda W: np.linalg.eigvalsh(spectrum.symmetric_part(W))),
        at_most=tol,
        controls={"with the real parts of the eigenvalues of $W$": excess(lambda W: np.linalg.eigvals(W).real)},
    )
    _quotients(instant, ledger)


def _quotients(instant, ledger: Ledger) -> None:
    """The rate against difference quotients along the library's own flow."""
    X = ledger.rng.standard_normal((8, 2))
    op = NonlocalOperator.from_points(X, Gaussian(1.0), "row")
    times = 0.1 * 0.5 ** np.arange(6)
    norms = [evolve(op, X, step=t, steps=1, method="exponential", weight=SHEAR).norm for t in times]
    quotients = np.array([(n[1] ** 2 - n[0] ** 2) / (2 * t) for n, t in zip(norms, times, strict=True)])
    exact, plain = (rate(op, X, SHEAR, m) for m in (np.asarray(op.measure), np.ones(8)))
    instant.order(
        r"difference quotients of $\frac12 \lVert Z(t) \rVert_m^2$ against $\operatorname{tr}(G \widetilde{W})$",
        times,
        np.abs(quotients - exact),
        1.0,
        controls={"against the rate of the plain norm": np.abs(quotients - plain)},
    )


def _long_time(ledger: Ledger, pair: np.ndarray, start: np.ndarray) -> None:
    later = ledger.instead("Over long times the eigenvalues of $W$ decide")
    s, T = 2 * pair[0, 1] / (1 + pair[0, 1]), 15.0

    def slope(W: np.ndarray) -> float:
        norm = evolve(row(pair), start, step=T, steps=2, method="exponential", weight=W, growth_limit=1e15).norm
        return float(np.log(norm[2] / norm[1]) / T)

    later.equals(
        r"two positions: $Z(2)$ against $e^{-2sW}$ on the difference of both",
        evolve(row(pair), start, step=2.0, steps=1, method="exponential", weight=SHEAR).final,
        start @ expm(-2.0 * s * SHEAR).T,
        tolerance("solve", n=2, scale=float(np.exp(2 * s * np.linalg.norm(SHEAR, 2)))),
        controls={"with $W^\\top$": start @ expm(-2.0 * s * SHEAR)},
    )
    later.evidence(
        r"logarithmic slope of $\lVert Z(t) \rVert$ between $t = 15$ and $30$, minus $-s \min \operatorname{Re} \mu(W)$",
        lambda W: abs(slope(W) + 0.5 * s),
        of=SHEAR,
        at_most=8 * np.exp(-s * T),
        controls={r"the flow of $\widetilde{W}$": spectrum.symmetric_part(SHEAR)},
        note=r"The second mode of $W$ is smaller by $e^{-st}$, which bounds the difference.",
    )
    later.evidence(
        r"largest $\lVert e^{-\tau W} v \rVert$ at first: the state grows while $\widetilde{W}$ has a negative eigenvalue",
        lambda W: _largest_growth(row(pair), W),
        of=SHEAR,
        at_least=1.05,
        controls={"the identity as weight": np.eye(2)},
    )


def _largest_growth(op: NonlocalOperator, W: np.ndarray) -> float:
    """Growth of the state along the eigenvector of the smallest eigenvalue of the symmetric part."""
    v = np.linalg.eigh(spectrum.symmetric_part(W))[1][:, 0]
    run = evolve(op, np.array([v, -v]), step=0.05, steps=60, method="exponential", weight=W)
    return float(run.norm.max() / run.norm[0])
