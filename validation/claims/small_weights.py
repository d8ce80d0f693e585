"""Section 4.4: whether weights that are small enough make the stage stable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stability import amplification, certify, cfl_limit, tied_weight
from nlmodel.testing import tolerance
from validation import Ledger, at_most, canvas, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import row
from validation.claims.shared import asymmetry, matrices, symmetric_affinities
from validation.photograph import patches


KERNEL = r"$K$ symmetric, $K \ge 0$, rows summing to one (11)-(12)"
SMALL = r"weights $\varepsilon W^n$ with $\varepsilon$ as small as one likes: $0.1, 0.01, 10^{-3}, 10^{-4}$"
SCALES = (1e-1, 1e-2, 1e-3, 1e-4)
SHEAR = np.array([[0.5, -3.0], [0.0, 0.5]])
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
ONE_WEIGHT = (
    r"$W^n = \varepsilon W$, one weight, each of its eigenvalues $\mu \ne 0$ with $\operatorname{Re} \mu > 0$, and $\mu = 0$, if it "
    "occurs, semisimple: bounded under repetition"
)
DISSIPATIVE = (
    r"$W^n + W^{n\mathsf T} \ge 0$, with the null space of $W^n$ and no larger one, for every $n$: no field grows, whatever the "
    "order of the $W^n$"
)


def growth(op: NonlocalOperator, weights: Sequence[np.ndarray], scale: float) -> float:
    """Spectral radius of the stage with the weights times `scale`, minus one: growth under repetition."""
    return float(np.max(amplification(op, [scale * W for W in weights]).radii)) - 1


def swelling(op: NonlocalOperator, weights: Sequence[np.ndarray], scale: float) -> float:
    """Norm of the stage in the measure of K, minus one: growth in one pass."""
    return float(np.max(amplification(op, [scale * W for W in weights]).norms)) - 1


def least(measure, op: NonlocalOperator, *weights: np.ndarray) -> float:
    """min over the scales of growth / scale^2; the statement promises a scale without growth."""
    return min(measure(op, weights, scale) / scale**2 for scale in SCALES)


@claim(
    "C16",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.4, with eq. (8)",
    title="Small weights satisfy a CFL condition",
    statement=r"""
        The stability of the stage depends on the weights $W^n$ too, and it holds when they are small enough to satisfy a CFL
        condition.
    """,
    formula=r"Z^{n+1} = Z^n + (K - I) Z^n (\varepsilon W^n)^{\mathsf T} \quad \text{stable for all small } \varepsilon > 0",
    assumptions=(KERNEL, SMALL),
    proof=r"""
        *One weight.* $|1 - \varepsilon\mu s|^2 = 1 - 2 \varepsilon s \operatorname{Re} \mu + \varepsilon^2 s^2 |\mu|^2$: the sign of
        $\operatorname{Re} \mu$ decides, not the size. With $\operatorname{Re}\mu < 0$ the mode grows by $\varepsilon s |\operatorname{Re} \mu|$
        in each sub-block, with $\operatorname{Re}\mu = 0 \ne \mu$ by $\tfrac12 \varepsilon^2 s^2 |\mu|^2$, however small
        $\varepsilon$. If all $\mu \ne 0$ have $\operatorname{Re} \mu > 0$, every $\varepsilon < 2 \operatorname{Re}(1/\mu)/s_{\max}$ gives
        $|1 - \varepsilon\mu s| < 1$ for $s > 0$, $\mu \ne 0$, and what has modulus one is the eigenvalue one; it is semisimple, so powers
        are bounded, when $\mu = 0$ is.

        *Different weights.* $\prod_n (I - \varepsilon s W^n) = I - \varepsilon s \sum_n W^n + O(\varepsilon^2)$: the *sum* decides.
        $W^1 = \begin{pmatrix} 1/2 & -3 \\ 0 & 1/2 \end{pmatrix}$ and $W^2 = W^{1\mathsf T}$ have the eigenvalue $\tfrac12$ alone,
        their sum has $4$ and $-2$. So even $\operatorname{Re} \mu > 0$ for every weight is not enough.

        *In norm.* $\lVert I - \varepsilon s W \rVert \le 1$ means $\varepsilon s\, W^{\mathsf T} W \le W + W^{\mathsf T}$ in the order of
        symmetric matrices. Some $\varepsilon > 0$ exists if and only if $W + W^{\mathsf T} \ge 0$ and $(W + W^{\mathsf T})x = 0$ implies
        $Wx = 0$: on the complement of that null space the right side is positive definite. A bottleneck
        $W = W_Z W_g$ of rank $r < C$ in general position fails this, since $W + W^{\mathsf T}$ then has $\min(r, C - r)$ negative
        eigenvalues (C2), even when those of $W$ that are not zero are positive. Tied factors
        $W_g = W_Z^{\mathsf T}$ pass. Contractions in one norm compose, so here the order of different weights is of no matter.

        *Kernels that are not symmetric* have complex $s$, and then $\operatorname{Re}(\mu s) > 0$ is needed at every pair, which
        small weights with complex $\mu$ may violate too.
    """,
)
def c16(ledger: Ledger) -> None:
    op = row(np.array([[2.0, 1.0], [1.0, 2.0]]))
    tol = tolerance("solve", n=op.size * 2, scale=SCALES[-1] ** -2)
    small = at_most(SCALES[-1], 1e-4)
    for words, weights in (
        (r"$W = -I$: $\operatorname{Re}\mu < 0$", [-np.eye(2)]),
        (r"$W$ a rotation by a right angle: $\operatorname{Re}\mu = 0$", [TURN]),
        (r"two weights, each with the eigenvalue $\frac12$ alone and stable alone", [SHEAR, SHEAR.T]),
    ):
        ledger.witness(
            f"{words}; least growth over $\\varepsilon^2$ at four scales $\\varepsilon$",
            satisfies={KERNEL: _is_markov(op), SMALL: small},
            violates=at_most(least(growth, op, *weights), tol),
            data={
                "K": op.averaging.to_dense(),
                **{f"W {n}": W for n, W in enumerate(weights, 1)},
                "scales": np.array(SCALES),
                "growth": np.array([growth(op, weights, e) for e in SCALES]),
            },
            controls={"$W = I$": at_most(least(growth, op, np.eye(2)), tol)},
        )
    ledger.headline(r"growth per sub-block with $W = -I$, over $\varepsilon$", growth(op, [-np.eye(2)], 1e-3) / 1e-3)
    _bottleneck(ledger, small)
    _rates(ledger, op)
    _one_weight(ledger)
    _dissipative(ledger)


def _is_markov(op: NonlocalOperator):
    K = op.averaging.to_dense()
    defect = max(asymmetry(K), float(np.max(np.abs(K.sum(axis=1) - 1))), -float(K.min()))
    return at_most(defect, tolerance("solve", n=op.size))


def _bottleneck(ledger: Ledger, small) -> None:
    """Positive nonzero eigenvalues, and still some field grows at every scale."""
    X = patches(stride=80)
    camera = NonlocalOperator.from_points(X, Gaussian(5.0), "sinkhorn")
    W_Z = ledger.rng.standard_normal((48, 24)) / np.sqrt(48)
    W = W_Z @ (W_Z.T + 0.3 * ledger.rng.standard_normal((24, 48)) / np.sqrt(48))
    tol = tolerance("solve", n=48, scale=SCALES[-1] ** -2)
    ledger.witness(
        f"{camera.size} patches of a photograph, a bottleneck $W_Z W_g$ of rank 24 on 48 channels with $\\operatorname{{Re}} \\mu > 0$: "
        r"least (norm of one sub-block $-\,1$)$/\varepsilon^2$",
        satisfies={KERNEL: _is_markov(camera), SMALL: small},
        violates=at_most(least(swelling, camera, W), tol),
        data={"W": W, "spectral limit": cfl_limit(camera, W).value, "norm limit": cfl_limit(camera, W, "energy").value},
        controls={"tied factors": at_most(least(swelling, camera, tied_weight(W_Z)), tol)},
    )


def _rates(ledger: Ledger, op: NonlocalOperator) -> None:
    small = ledger.instead(
        r"The first power of $\varepsilon$ in the growth is decided by $-\operatorname{Re}\mu$, or by the sum of the weights"
    )
    scales = 0.02 * 0.5 ** np.arange(6)
    against, turned, pair = (
        [growth(op, weights, float(e)) for e in scales] for weights in ([-np.eye(2)], [TURN], [SHEAR, SHEAR.T])
    )
    small.order(r"growth by $\varepsilon$, $W = -I$", scales, against, 1.0, controls={"the rotation": turned})
    small.order(r"growth by $\varepsilon$, the rotation", scales, turned, 2.0, controls={"$W = -I$": against})
    small.order(r"growth by $\varepsilon$, the two weights", scales, pair, 1.0, controls={"the rotation": turned})
    e, s = sympy.symbols("e s", real=True)
    W = sympy.Matrix([[sympy.Rational(1, 2), -3], [0, sympy.Rational(1, 2)]])

    def first_order(second: sympy.Matrix) -> list:
        product = (sympy.eye(2) - e * s * second) * (sympy.eye(2) - e * s * W)
        return sorted((-product.diff(e).subs(e, 0) / s).applyfunc(sympy.simplify).eigenvals())

    small.identity(
        r"eigenvalues of $W^1 + W^2$, from the product to first order in $\varepsilon$",
        first_order(W.T),
        [-2, 4],
        controls={"$W^1$ twice": first_order(W) * 2},
    )
    figure = {"$-I$": against, "rotation": turned, "two weights": pair}
    ledger.figure(
        "scales",
        lambda: draw(scales, figure),
        r"Growth of the spectral radius above one as the weights are scaled down: it vanishes like $\varepsilon$ or "
        r"$\varepsilon^2$, but at no scale.",
    )


def _one_weight(ledger: Ledger) -> None:
    one = ledger.under(ONE_WEIGHT)

    def damage(case, least: float = 1e-2) -> float:
        """Growth at 0.999 of the limit (one, when that is zero) of weights with Re mu >= least; of others at 0.1."""
        omega, A = case
        W = A + np.eye(2)
        op = row(omega)
        if np.min(np.linalg.eigvals(W).real) < least:
            return 0.0
        limit = cfl_limit(op, W).value if least > 0 else 0.1
        return growth(op, [W], 0.999 * limit) if limit > 0 else 1.0

    tol = tolerance("solve", n=8, cond=16.0)
    one.property(
        r"growth under repetition at 0.999 of the limit, which is positive",
        st.tuples(symmetric_affinities(4), matrices(2, 2, -6, 6)),
        damage,
        at_most=tol,
        controls={r"eigenvalues of either sign": lambda case: damage(case, -9.0)},
    )
    Z = ledger.rng.standard_normal((4, 2))
    op = row(np.exp(-0.5 * (Z[:, :1] - Z[:, :1].T) ** 2))

    def late(W: np.ndarray) -> float:
        """Size after 2000 sub-blocks over that after 1000."""
        every = stage(Z, op, [0.5 * W] * 2000, every=True)
        return float(np.linalg.norm(every[2000]) / np.linalg.norm(every[1000]))

    one.evidence(
        r"features after 2000 sub-blocks over those after 1000, $W$ singular with $\mu = 0$ semisimple",
        late,
        of=np.array([[1.0, 1.0], [0.0, 0.0]]),
        at_most=1.1,
        controls={r"$\mu = 0$ in a Jordan block": np.array([[0.0, 1.0], [0.0, 0.0]]), "$-I/1000$": -np.eye(2) / 1000},
    )


def _dissipative(ledger: Ledger) -> None:
    together = ledger.under(DISSIPATIVE)
    op = NonlocalOperator.from_points(patches(stride=80), Gaussian(5.0), "sinkhorn")
    B = ledger.rng.standard_normal((5, 8, 4)) / np.sqrt(8)
    A = ledger.rng.standard_normal((5, 4, 4))
    raw = B @ (np.eye(4) + A - np.swapaxes(A, 1, 2)) @ np.swapaxes(B, 1, 2)
    untied = B @ np.swapaxes(ledger.rng.standard_normal((5, 8, 4)) / np.sqrt(8), 1, 2)
    limits = [cfl_limit(op, W, "energy").value for W in raw]
    together.evidence(
        "smallest limit in norm of five weights of rank 4 on 8 channels, none of them symmetric",
        lambda family: min(cfl_limit(op, W, "energy").value for W in family),
        of=raw,
        at_least=1e-3,
        controls={"factors drawn independently": untied},
    )
    scaled = [limit * W for limit, W in zip(limits, raw, strict=True)]
    tol = tolerance("solve", n=8 * 5)

    def largest(factor: float) -> float:
        return certify(op, [factor * W for W in scaled]).transient - 1

    together.evidence(
        "largest norm at any point of the stage of all five, each at its limit, minus one",
        largest,
        of=1.0,
        at_most=tol,
        controls={"each at four times its limit": 4.0, "each times $-1$": -1.0},
    )


def draw(scales: np.ndarray, curves: dict[str, list[float]]):
    figure, axes = canvas(height=2.5)
    for (label, values), marker in zip(curves.items(), "os^", strict=True):
        axes.loglog(scales, values, marker=marker, markersize=4, label=label)
    axes.set(xlabel=r"scale $\varepsilon$ of the weights", ylabel="spectral radius $-$ 1")
    axes.legend()
    return figure
