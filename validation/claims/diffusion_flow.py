"""Properties of the nonlocal diffusion equation: the flow, its mass, its bounds."""

from __future__ import annotations

import numpy as np
import sympy
from hypothesis import strategies as st
from scipy.linalg import expm

from nlmodel import NonlocalOperator
from nlmodel.kernels import FunctionKernel, Gaussian
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, Section, claim
from validation.claims.hilbert_schmidt import on_interval
from validation.claims.shared import hollow, local_laplacian, matrices, midpoints, symmetric_affinities


SECTION = Section(
    "A",
    "Properties of the nonlocal diffusion equation",
    r"The paper defers the properties of the nonlocal diffusion equation (16) to a supplement that is not available. P1 to P8 are "
    r"*our own standard list, not the authors'*: what one would expect to find there, after Du, Gunzburger, Lehoucq and Zhou "
    r"(2012) and Andreu, Mazón, Rossi and Toledo (2010). Throughout, $\rho$ is symmetric and non-negative with "
    r"$\sigma(x) = \int \rho(x, y) \, dy \le \sigma_0 < \infty$, and $z_t = \mathcal{L} z$, $z(\cdot, 0) = u$.",
)
SOURCE = "our own list, for eq. (16) of Tao et al. 2018"
SYMMETRIC = r"$\rho$ symmetric"
NONNEGATIVE = r"$\rho \ge 0$"
BOUNDED = r"$\sup_x \int \rho(x, y) \, dy \le \sigma_0 < \infty$"
STANDING = (SYMMETRIC, NONNEGATIVE, BOUNDED)
VOLUMES = np.array([0.2, 0.5, 0.3])


def unnormalised(omega: np.ndarray) -> NonlocalOperator:
    """L on three cells of unequal volumes."""
    return NonlocalOperator.from_affinity(omega, "none", weights=VOLUMES)


def flow(op: NonlocalOperator, u: np.ndarray, t: float = 1.0, weight: float = 1.0) -> np.ndarray:
    """z(t), by the library's exponential scheme."""
    return evolve(op, u, step=t, steps=1, method="exponential", weight=weight).final


def step_function(cells: int) -> np.ndarray:
    """0 on the left half, 1 on the right half."""
    return np.where(np.arange(cells) < cells // 2, 0.0, 1.0)


@claim(
    "P1",
    section=SECTION,
    paper=SOURCE,
    title="One solution in both directions of time, smooth in time",
    statement=r"""
        For $u \in L^p$, $1 \le p \le \infty$, (16) has exactly one solution in $L^p$ for all $t \in \mathbb{R}$; it is $C^\infty$
        in $t$, without any smoothness of $u$.
    """,
    formula=r"z(t) = e^{t\mathcal{L}} u, \qquad \lVert e^{\pm t\mathcal{L}} \rVert_p \le e^{2\sigma_0 |t|}, \qquad "
    r"\lVert \partial_t^n z(t) \rVert_p \le (2\sigma_0)^n\, \lVert z(t) \rVert_p",
    assumptions=STANDING,
    proof=r"""
        By Schur's test $\lVert T_\rho \rVert_p \le \sigma_0$, so $\mathcal{L} = T_\rho - M_\sigma$ is bounded on every $L^p$ with
        $\lVert \mathcal{L} \rVert_p \le 2\sigma_0$. The series $e^{t\mathcal{L}} = \sum_n t^n \mathcal{L}^n / n!$ converges in
        norm for every real $t$, is a group, and solves (16); uniqueness is Gronwall's lemma. $\partial_t^n z = \mathcal{L}^n z$,
        so $z$ is even real analytic in $t$. None of the constants knows about a mesh; for the local Laplacian
        $\lVert \mathcal{L}_h \rVert \sim 4/h^2$ does.
    """,
)
def p1(ledger: Ledger) -> None:
    ledger.property(
        r"$\max_{p, \pm} \lVert e^{\pm L} \rVert_p\, e^{-2\sigma_0}$ for $p = 1, 2, \infty$",
        symmetric_affinities(3, low=0),
        lambda omega: _largest_norm(omega, 2.0),
        at_most=1 + tolerance("solve", n=3, scale=10.0),
        controls={r"with $e^{\sigma_0}$ in place of $e^{2\sigma_0}$": lambda omega: _largest_norm(hollow(omega), 1.0)},
    )
    cells = (25, 50, 100, 200, 400)
    ledger.evidence(
        r"step function on 25 to 400 cells: largest $\lVert L_h^n u \rVert_\infty^{1/n} / 2\sigma_0$, $n \le 20$",
        lambda family: max(_derivatives(L, sigma) for L, sigma in family),
        of=[(op.to_dense(), float(op.exit_rate.max())) for op in (on_interval(Gaussian(0.3), n) for n in cells)],
        at_most=1.0,
        controls={"local Laplacian on the same meshes": [(local_laplacian(n), 1.0) for n in cells]},
    )
    op, u = on_interval(Gaussian(0.3), 100), step_function(100)
    there = flow(op, u, 2.0)
    ledger.equals(
        "a step function run to $t = 2$ and back",
        flow(op, there, 2.0, -1.0),
        u,
        tolerance("solve", n=100, cond=float(np.exp(4 * op.exit_rate.max()))),
        controls={"run on instead of back": flow(op, there, 2.0)},
    )
    exact = expm(op.to_dense()) @ u
    steps = 1.0 / 2.0 ** np.arange(2, 7)
    errors = {method: np.array([_error(op, u, s, method, exact) for s in steps]) for method in ("rk4", "forward_euler")}
    ledger.order(
        "RK4 reaches the solution with its full order, for data that jump in space",
        steps,
        errors["rk4"],
        4.0,
        controls={"forward Euler": errors["forward_euler"]},
    )
    ledger.headline(r"order of RK4 on data that jump", np.log2(errors["rk4"][-2] / errors["rk4"][-1]), rel=1e-3)


def _largest_norm(omega: np.ndarray, factor: float) -> float:
    op, root = unnormalised(omega), np.sqrt(VOLUMES)
    norms = []
    for sign in (1, -1):
        E = expm(sign * op.to_dense())
        norms += [np.abs(E).sum(1).max(), (VOLUMES[:, None] * np.abs(E) / VOLUMES).sum(0).max()]
        norms += [np.linalg.norm(root[:, None] * E / root, 2)]
    return float(max(norms) * np.exp(-factor * op.exit_rate.max()))


def _derivatives(L: np.ndarray, sigma: float) -> float:
    v, largest = step_function(len(L)), 0.0
    for n in range(1, 21):
        v = L @ v
        largest = max(largest, float(np.abs(v).max()) ** (1 / n))
    return largest / (2 * sigma)


def _error(op: NonlocalOperator, u: np.ndarray, step: float, method: str, exact: np.ndarray) -> float:
    return float(np.abs(evolve(op, u, step=step, steps=round(1 / step), method=method).final - exact).max())


@claim(
    "P2",
    section=SECTION,
    paper=SOURCE,
    title="Mass is conserved",
    statement=r"The integral $\int_\Omega z(x, t) \, dx$ does not depend on $t$.",
    formula=r"\frac{d}{dt} \int_\Omega z \, dx = \iint \rho(x, y) \, (z(y) - z(x)) \, dy \, dx = 0",
    assumptions=STANDING,
    proof=r"""
        The integrand is antisymmetric under $x \leftrightarrow y$ because $\rho$ is symmetric, and absolutely integrable because
        $\sigma \le \sigma_0$. No boundary condition is imposed: an integral over $\Omega$ alone *is* the no-flux problem.

        With row sums one, $K = D^{-1}\omega$, what is conserved is $\sum_i C_i Z_i$ instead, see C6.
    """,
)
def p2(ledger: Ledger) -> None:
    z, w = sympy.symbols("z:3"), sympy.symbols("w:3")
    r = {(i, j): sympy.Symbol(f"r{min(i, j)}{max(i, j)}") for i in range(3) for j in range(3)}
    lopsided = {(i, j): sympy.Symbol(f"q{i}{j}") for i in range(3) for j in range(3)}

    def rate(rho) -> sympy.Expr:
        return sympy.expand(sum(w[i] * w[j] * rho[i, j] * (z[j] - z[i]) for i in range(3) for j in range(3)))

    ledger.identity(
        r"$\sum_{ij} w_i w_j \rho_{ij} (z_j - z_i) = 0$ on three cells",
        rate(r),
        sympy.Integer(0),
        controls={r"$\rho$ not symmetric": rate(lopsided)},
    )

    def change(kernel) -> float:
        op = NonlocalOperator.from_points(midpoints(60), kernel, "none", weights=1 / 60)
        u = np.exp(3 * midpoints(60))
        return float(abs(np.mean(flow(op, u, 3.0)) - np.mean(u)))

    ledger.evidence(
        "Gaussian kernel on 60 cells: change of the mass until $t = 3$",
        change,
        of=Gaussian(0.3),
        at_most=tolerance("reduction", n=60, scale=float(np.exp(3))),
        controls={
            r"$\rho(x, y) = e^{-(x-y)^2} (1 + x)$, not symmetric": FunctionKernel(
                lambda X, Y: np.exp(-((X - np.swapaxes(Y, -1, -2)) ** 2)) * (1 + X), nonnegative=True
            )
        },
    )

    def drift(case, own: bool = True) -> float:
        omega, u = case
        op = NonlocalOperator.from_affinity(omega, "row")
        m = np.asarray(op.measure) if own else np.ones(3)
        return float(np.max(np.abs(m @ (flow(op, u, 1.0, -1.0) - u))))

    ledger.property(
        r"row sums one, backward in time: change of $\sum_i C_i Z_i$",
        st.tuples(symmetric_affinities(3), matrices(3, 1)),
        drift,
        at_most=tolerance("solve", n=3, scale=float(6 * np.e**2)),
        controls={r"of $\sum_i Z_i$": lambda case: drift(case, own=False)},
    )


@claim(
    "P3",
    section=SECTION,
    paper=SOURCE,
    title="Maximum principle, order, contraction in every norm",
    statement=r"""
        For $t \ge 0$: $\min u \le z(x, t) \le \max u$; $u \le v$ implies that the solutions keep this order; and
        $\lVert z - w \rVert_p$ does not increase for two solutions and any $1 \le p \le \infty$.
    """,
    formula=r"\frac{d}{dt} \int \varphi(z) \, dx = -\frac12 \iint \rho\, (\varphi'(z(x)) - \varphi'(z(y)))\, (z(x) - z(y)) "
    r"\, dy \, dx \le 0",
    assumptions=STANDING,
    proof=r"""
        Duhamel's formula for $z_t + \sigma z = T_\rho z$ has the positive factor $e^{-\sigma t}$ and the positive operator
        $T_\rho$, so $e^{t\mathcal{L}} \ge 0$. As $\mathcal{L} 1 = 0$ it keeps constants. Positivity and constants give the bounds;
        positivity and linearity give the order.

        For convex $\varphi$ multiply (16) by $\varphi'(z)$, integrate, and symmetrise with the symmetry of $\rho$: this gives the
        formula, and its integrand is non-negative because $\varphi'$ increases. $\varphi = |\cdot|^p$ gives contraction in $L^p$,
        and $p \to \infty$ the last case. Backward in time all three fail, and so they do for a kernel with negative values.
    """,
)
def p3(ledger: Ledger) -> None:
    cases = st.tuples(symmetric_affinities(3, low=0), matrices(3, 2))
    tol = tolerance("solve", n=3, scale=2.0)

    def with_weight(defect, weight: float = 1.0):
        def measure(case) -> float:
            omega, Z = case
            return defect(Z, flow(unnormalised(omega), Z, 1.0, weight))

        return measure

    def escape(u: np.ndarray, z: np.ndarray) -> float:
        return float(max(np.max(z.max(0) - u.max(0)), np.max(u.min(0) - z.min(0))))

    def disorder(u: np.ndarray, z: np.ndarray) -> float:
        """u holds two fields; the smaller of both starts below each, and has to stay there."""
        return float(np.max(z[:, 0] - z[:, 1])) if np.all(u[:, 0] <= u[:, 1]) else 0.0

    def expansion(u: np.ndarray, z: np.ndarray) -> float:
        before, after = u[:, 0] - u[:, 1], z[:, 0] - z[:, 1]
        return max(_norm(after, p) - _norm(before, p) for p in (1.0, 1.5, 2.0, 4.0, np.inf))

    for words, defect in (
        ("how far the solution leaves the range of its data", escape),
        (r"growth of $\lVert z - w \rVert_p$, largest over $p = 1, 1.5, 2, 4, \infty$", expansion),
    ):
        ledger.property(
            words, cases, with_weight(defect), at_most=tol, controls={"backward in time": with_weight(defect, -1.0)}
        )
    ordered = st.tuples(symmetric_affinities(3, low=0), matrices(3, 2).map(lambda Z: np.sort(Z, axis=1)))
    ledger.property(
        r"how far two solutions with $u \le v$ cross",
        ordered,
        with_weight(disorder),
        at_most=tol,
        controls={"backward in time": with_weight(disorder, -1.0)},
    )
    signed = np.array([[0.0, 1.0, -0.6], [1.0, 0.0, 1.0], [-0.6, 1.0, 0.0]])
    peak = np.array([[0.0], [0.0], [1.0]])
    ledger.evidence(
        "three cells, data 0, 0, 1: how far below zero the solution falls",
        lambda omega: -float(flow(unnormalised(omega), peak, 0.2).min()),
        of=np.abs(signed),
        at_most=0.0,
        controls={"one negative affinity": signed},
    )
    _convex(ledger)


def _norm(v: np.ndarray, p: float) -> float:
    return float(np.abs(v).max() if np.isinf(p) else np.sum(VOLUMES * np.abs(v) ** p) ** (1 / p))


def _convex(ledger: Ledger) -> None:
    z, w = sympy.symbols("z:3", real=True), sympy.symbols("w:3", positive=True)
    r = {(i, j): sympy.Symbol(f"r{min(i, j)}{max(i, j)}") for i in range(3) for j in range(3)}
    cells = [(i, j) for i in range(3) for j in range(3)]
    slope = [4 * x**3 for x in z]
    rate = sympy.expand(sum(w[i] * slope[i] * w[j] * r[i, j] * (z[j] - z[i]) for i, j in cells))
    pairs = sympy.expand(sum(w[i] * w[j] * r[i, j] * (slope[i] - slope[j]) * (z[i] - z[j]) for i, j in cells))
    ledger.identity(
        r"$\frac{d}{dt} \sum_i w_i \varphi(z_i) = -\frac12 \sum_{ij} w_i w_j \rho_{ij} (\varphi'_i - \varphi'_j)(z_i - z_j)$, "
        r"$\varphi = z^4$, three cells",
        -pairs / 2,
        rate,
        controls={r"without the factor $\frac12$": -pairs},
    )
