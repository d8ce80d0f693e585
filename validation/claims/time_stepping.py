"""Beyond the paper: stability limits of Runge-Kutta stages, and jumps that persist."""

from __future__ import annotations

import mpmath
import numpy as np
import sympy as sp

from nlmodel import NonlocalOperator, evolve
from nlmodel.kernels import Gaussian
from nlmodel.stepping import METHODS
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.local_limits import SECTION


FLIP = np.array([[0.0, 1.0], [1.0, 0.0]])  # K with lambda = -1: s = 0 and 2
ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])  # mu = +-i
z = sp.symbols("z")


def taylor(order: int) -> sp.Expr:
    """The amplification factor of a Runge-Kutta method with as many stages as its order, on exp(-z)."""
    return sum(((-z) ** k / sp.factorial(k) for k in range(order + 1)), sp.Integer(0))


def first_positive_root(polynomial: sp.Expr) -> float:
    """The smallest root > 0 of odd multiplicity, with multiple roots divided out before the search."""
    odd = [sp.Poly(factor, z) for factor, power in sp.factor_list(polynomial, z)[1] if power % 2]
    roots = [complex(root) for factor in odd for root in factor.nroots(n=20)]
    return min(root.real for root in roots if root.real > 0 and abs(root.imag) < 1e-15)


def real_limit(order: int) -> float:
    """Where |p(x)|^2 - 1 first changes sign for x > 0."""
    return first_positive_root(taylor(order) ** 2 - 1)


def imaginary_limit(order: int) -> float:
    """Where |p(iy)|^2 - 1 first changes sign for y > 0; 0 where it is positive from the start."""
    excess = taylor(order).subs(z, sp.I * z) * taylor(order).subs(z, -sp.I * z) - 1
    return 0.0 if excess.subs(z, sp.Rational(1, 1000)) > 0 else first_positive_root(sp.expand(excess))


def growth(method: str, step: float, weight: np.ndarray | float, steps: int = 1500) -> float:
    """Norm after many steps over norm at the start, on the flip of two states."""
    op = NonlocalOperator.from_affinity(FLIP, "row")
    Z0 = np.array([[1.0, 0.2], [-1.0, -0.2]])
    run = evolve(op, Z0, step=step, steps=steps, method=method, weight=weight, on_unstable="ignore", save_every=steps)
    return float(run.norm[-1] / run.norm[0])


@claim(
    "4.8",
    section=SECTION,
    paper="standard; Hairer and Wanner 1996, chapter IV.2",
    title="Runge-Kutta stages: how far the step may go",
    statement=r"""
        With a Runge-Kutta method in place of Euler's a stage is stable while $\tau \mu s_{\max}$ stays below 2, 2, 2.5127, 2.7853
        (orders 1 to 4, real $\mu$). For skew $W$, $\mu$ imaginary, the limits are 0, 0, $\sqrt3$, $2\sqrt2$: Euler and
        second-order methods are never stable, the fourth-order one is.
    """,
    formula=r"p(z) = \sum_{k \le p} \frac{(-z)^k}{k!}, \qquad |p(z)| \le 1",
    proof=r"""
        On the mode $(\mu, s)$ a step multiplies by $p(z)$, $z = \tau\mu s$. On the real axis $p = \pm 1$ gives
        $z = 2$; $z^2 = 2z$; the root of $z^3 - 3z^2 + 6z - 12$; and that of $z^3 - 4z^2 + 12z - 24$. On the imaginary axis
        $|p(iy)|^2 - 1$ is $y^2$; $y^4/4$; $y^4 (y^2 - 3)/36$; and $y^6 (y^2 - 8)/576$.
    """,
)
def c4_8(ledger: Ledger) -> None:
    y = sp.symbols("y", real=True)
    for order, expected in {1: y**2, 2: y**4 / 4, 3: y**4 * (y**2 - 3) / 36, 4: y**6 * (y**2 - 8) / 576}.items():
        p = sp.expand(taylor(order).subs(z, sp.I * y))
        ledger.identity(
            f"$|p(iy)|^2 - 1$ at order {order}",
            sp.expand(p * sp.conjugate(p)) - 1,
            expected,
            controls={"of the next order": _excess(order + 1, y)},
        )
    for order, value in {1: 2.0, 2: 2.0, 3: 2.5127, 4: 2.7853}.items():
        ledger.equals(
            f"real limit at order {order}, to the digits given",
            np.float64(real_limit(order)),
            np.float64(value),
            5e-5,
            controls={"imaginary limit": np.float64(imaginary_limit(order))},
        )
    for name, order in (("forward_euler", 1), ("rk2", 2), ("rk4", 4)):
        method = METHODS[name]()
        ledger.equals(
            f"library's limits of {name}: real, imaginary",
            np.array([method.real_limit, method.imaginary_limit]),
            np.array([real_limit(order), imaginary_limit(order)]),
            tolerance("elementwise", n=2, scale=4.0),
            controls={"exchanged": np.array([method.imaginary_limit, method.real_limit])},
        )
        _both_sides(ledger, name, method.real_limit / 2)
    limit = METHODS["rk4"]().imaginary_limit / 2
    ledger.evidence(
        "rk4 with a rotation for $W$: growth over 1500 steps at 0.999 of the limit",
        lambda step: growth("rk4", step, ROTATION),
        of=0.999 * limit,
        at_most=1.0,
        controls={"at 1.01 of it": 1.01 * limit, "rk4 at the real limit": METHODS["rk4"]().real_limit / 2 * 1.03},
    )
    ledger.evidence(
        "forward Euler with the same rotation at a hundredth of its real limit: it grows all the same",
        lambda weight: growth("forward_euler", 0.01, weight),
        of=ROTATION,
        at_least=1.0,
        controls={"with $W = I$": np.eye(2)},
    )
    ledger.headline("real limit of the fourth-order method", real_limit(4), rel=1e-12)


def _excess(order: int, y: sp.Symbol) -> sp.Expr:
    p = sp.expand(taylor(order).subs(z, sp.I * y))
    return sp.expand(p * sp.conjugate(p)) - 1


def _both_sides(ledger: Ledger, name: str, limit: float) -> None:
    ledger.evidence(
        f"{name}, $W = I$: growth over 1500 steps at 0.999 of the limit",
        lambda step: growth(name, step, 1.0),
        of=0.999 * limit,
        at_most=1.0,
        controls={"at 1.01 of it": 1.01 * limit},
    )


TIME, AT = 1.0, 0.1


def jump_after(cells: int) -> tuple[float, np.ndarray, np.ndarray]:
    """The jump left at x = 0.1 of a step function there, by the exact flow on a mesh of (0, 1); positions, solution."""
    h = 1.0 / cells
    centres = (np.arange(cells) + 0.5) * h
    op = NonlocalOperator.from_points(centres[:, None], Gaussian(0.2), "none", weights=h)
    u = np.where(centres < AT, 1.0, 0.0)
    found = evolve(op, u, step=TIME, steps=1, method="exponential").final
    edge = round(AT * cells)
    return float(found[edge - 1] - found[edge]), centres, found


def exit_rate(position: float) -> float:
    """sigma(x) = int_0^1 exp(-(x - y)^2 / (2 0.2^2)) dy."""
    root = mpmath.sqrt(2) * mpmath.mpf("0.2")
    ends = mpmath.erf((1 - position) / root) + mpmath.erf(position / root)
    return float(mpmath.sqrt(mpmath.pi) / 2 * root * ends)


@claim(
    "4.12",
    section=SECTION,
    paper="standard; Andreu, Mazon, Rossi, Toledo 2010",
    title="Jumps persist under nonlocal diffusion",
    statement=r"""
        A jump of the initial value at $x_0$ stays at $x_0$ for all time, with height $e^{-\sigma(x_0) t}$, $\sigma(x) = \int \rho(x, y)\,dy$.
    """,
    formula=r"[z](x_0, t) = e^{-\sigma(x_0)\, t}\, [u](x_0)",
    assumptions=(),
    proof=r"""
        Duhamel: $z(x, t) = e^{-\sigma(x) t} u(x) + \int_0^t e^{-\sigma(x)(t - s)} (T_\rho z)(x, s)\,ds$. For continuous $\rho$ the
        integral operator $T_\rho$ maps bounded functions to continuous ones, so the second term has no jump, and $\sigma$ is continuous.
        The heat equation makes every jump disappear at once.
    """,
)
def c4_12(ledger: Ledger) -> None:
    meshes = 50 * 2 ** np.arange(5)
    exact = float(np.exp(-exit_rate(AT) * TIME))
    found = np.array([jump_after(int(n))[0] for n in meshes])
    middle = float(np.exp(-exit_rate(0.5) * TIME))
    ledger.order(
        r"distance of the remaining jump at $x_0 = 0.1$, $t = 1$, from $e^{-\sigma(x_0) t}$, by mesh size",
        1.0 / meshes,
        np.abs(found - exact),
        1.0,
        controls={r"from $e^{-\sigma t}$ with $\sigma$ of the middle of the interval": np.abs(found - middle)},
        note="The rest is the difference of the smooth part between the two neighbouring cells.",
    )
    ledger.evidence(
        "the jump left on the finest mesh, against a quarter of the original",
        lambda jump: jump,
        of=float(found[-1]),
        at_least=0.25,
        controls={"under the heat equation at the same time and mesh": _heat_jump(int(meshes[-1]))},
    )
    ledger.headline("jump left at $t = 1$ on 800 cells", float(found[-1]), rel=1e-8)

    def draw():
        _, centres, solution = jump_after(400)
        figure, axes = canvas(height=2.4)
        edge = round(AT * 400)
        for part in (slice(None, edge), slice(edge, None)):
            axes.plot(centres[part], solution[part], color="C0")
        axes.axhline(0, color="k", linewidth=0.5)
        axes.vlines(AT, *solution[[edge, edge - 1]], linestyles="dotted", color="C0")
        axes.set(xlabel="$x$", ylabel="$z(x, 1)$")
        return figure

    ledger.figure("jump", draw, f"The step function at $x_0 = 0.1$ after unit time: a jump of {found[-1]:.3f} is left.")


def _heat_jump(cells: int) -> float:
    """The same by the local Neumann Laplacian, from its cosine modes."""
    h = 1.0 / cells
    laplacian = (np.diag(np.ones(cells - 1), 1) + np.diag(np.ones(cells - 1), -1) - 2 * np.eye(cells)) / h**2
    laplacian[0, 0] = laplacian[-1, -1] = -1 / h**2
    rates, modes = np.linalg.eigh(laplacian)
    u = np.where((np.arange(cells) + 0.5) * h < AT, 1.0, 0.0)
    final = modes @ (np.exp(rates * TIME) * (modes.T @ u))
    edge = round(AT * cells)
    return float(final[edge - 1] - final[edge])
