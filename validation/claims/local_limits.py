"""Beyond the paper: what feature kernels tend to as their bandwidth shrinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.testing import tolerance
from validation import Ledger, Section, canvas, claim


SECTION = Section(
    "B",
    "Limits of discretisations",
    "What the operators of a stage tend to when the bandwidth shrinks, the mesh is refined, or time is stepped by better "
    "methods than Euler's.",
)
CELLS, EDGE, INSIDE = 600, 1.2, 0.3
ONE = sp.Integer(1)
BANDWIDTHS = 4e-3 / 2.0 ** np.arange(5)  # eps in exp(-(u - v)^2 / (4 eps))
x = sp.symbols("x", real=True)
POSITIONS = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * EDGE
AWAY_FROM_EDGES = np.abs(POSITIONS) < INSIDE
FIELD: Any = sp.sin(2 * x) + sp.Rational(1, 2) * x**2
FEATURE: Any = x + sp.Rational(1, 5) * sp.sin(2 * x)
DENSITY: Any = 1 + sp.Rational(2, 5) * sp.sin(2 * x)


def values(expression: sp.Expr) -> np.ndarray:
    return np.broadcast_to(np.asarray(sp.lambdify(x, expression, "numpy")(POSITIONS), dtype=float), CELLS).copy()


def generator(
    feature: np.ndarray, eps: float, how: str, density: np.ndarray, power: float = 0.0
) -> Callable[[np.ndarray], np.ndarray]:
    """z -> (K z - z) / eps for the kernel exp(-(u(x) - u(y))^2 / (4 eps)) and quadrature weights density * h."""
    weights = density * (2 * EDGE / CELLS)
    op = NonlocalOperator.from_points(feature[:, None], Gaussian(np.sqrt(2 * eps)), how, weights=weights, alpha=power)
    return lambda z: (op @ z) / eps


def errors(
    how: str, *limits: sp.Expr, feature: sp.Expr = x, density: sp.Expr = ONE, power: float = 0.0
) -> list[list[float]]:
    """Largest distance from each of the limits away from the edges, for each bandwidth."""
    z = values(FIELD)
    found = [generator(values(feature), eps, how, values(density), power)(z) for eps in BANDWIDTHS]
    return [[float(np.max(np.abs(Lz - values(limit))[AWAY_FROM_EDGES])) for Lz in found] for limit in limits]


@claim(
    "4.5",
    section=SECTION,
    paper="standard; Coifman and Lafon 2006, Marshall and Coifman 2019, Cheng and Landa 2022; (i) derived here",
    title="Local limits of feature kernels are weighted Laplacians",
    statement=r"""
        The kernel $\rho(x, y) = \omega(u(x), u(y))$ sees features, not positions. With $\omega = e^{-(u - v)^2 / (4\varepsilon)}$ and row sums one,
        $(K - I)/\varepsilon$ tends to (i) $u'\,\partial_x (u'^{-3} \partial_x z)$ for monotone $u$: edges of $u$ are preserved as in
        Perona-Malik diffusion; (ii) where $u$ is not injective $K$ tends to the projection $E[z \mid u]$ and nothing localises;
        (iii) with samples of density $q$ and the $\alpha$-normalisation, to $z'' + 2(1 - \alpha)(q'/q) z'$; (iv) the Sinkhorn form
        has the limit of $\alpha = \tfrac12$. The error is $O(\varepsilon)$.
    """,
    formula=r"\frac{K z - z}{\varepsilon} = z'' + 2(1 - \alpha) \frac{q'}{q} z' + O(\varepsilon)",
    proof=r"""
        With $G_\varepsilon f = (4\pi\varepsilon)^{-1/2} \int e^{-(v-w)^2/(4\varepsilon)} f(w)\,dw = f + \varepsilon f'' + O(\varepsilon^2)$ and density
        $q$: $C = G_\varepsilon q$, and $G_\varepsilon(qf)/G_\varepsilon q = f + \varepsilon \bigl( (qf)'' - f q'' \bigr)/q + O(\varepsilon^2) = f + \varepsilon (f'' + 2 f' q'/q)$.
        The $\alpha$-normalisation replaces $q$ by $q\,C^{-\alpha} = q^{1-\alpha} (1 + O(\varepsilon))$. *Sinkhorn:* $d\,G_\varepsilon(q d) = 1$ gives
        $d = q^{-1/2}(1 + O(\varepsilon))$, so it acts like $\alpha = \tfrac12$. *(i)* In the variable $v = u(x)$ a uniform mesh has density
        $q = 1/u'$, and $f_{vv} + 2 (q_v/q) f_v$ with $f_v = z_x/u'$ is $z_{xx}/u'^2 - 3 u'' z_x/u'^3 = u'\,\partial_x(u'^{-3} z_x)$.
        *(ii)* $G_\varepsilon$ averages over all $y$ with $u(y) \approx u(x)$, wherever they are.
    """,
)
def c4_5(ledger: Ledger) -> None:
    z, u, q = FIELD, FEATURE, DENSITY
    du = sp.diff(u, x)
    perona_malik = du * sp.diff(sp.diff(z, x) / du**3, x)
    plain = sp.diff(z, x, 2)
    cases = {r"(i) monotone feature $u$, rows": (*errors("row", perona_malik, plain, feature=u), "the plain Laplacian")}
    for a in (0.0, 0.5, 1.0):
        limit = plain + 2 * (1 - sp.Rational(a)) * sp.diff(q, x) / q * sp.diff(z, x)
        wrong = plain + (1 - sp.Rational(a) + sp.Rational(1, 4)) * sp.diff(q, x) / q * sp.diff(z, x)
        found = errors("alpha", limit, wrong, density=q, power=a)
        cases[rf"(iii) density $q$, $\alpha = {a:g}$"] = (*found, "the drift without its factor 2")
    half = plain + sp.diff(q, x) / q * sp.diff(z, x)
    cases["(iv) density $q$, Sinkhorn"] = (*errors("sinkhorn", half, plain, density=q), r"the limit of $\alpha = 1$")
    for words, (right, wrong, twin) in cases.items():
        ledger.order(f"{words}: error by $\\varepsilon$", BANDWIDTHS, right, 1.0, controls={f"against {twin}": wrong})
    _change_of_variable(ledger)
    _projection(ledger)
    ledger.headline(
        r"error of (iii), $\alpha = 0$, at the smallest $\varepsilon$", cases[r"(iii) density $q$, $\alpha = 0$"][0][-1]
    )
    ledger.figure(
        "limits", lambda: draw({words: right for words, (right, _, _) in cases.items()}), "Distance from the limits."
    )


def _change_of_variable(ledger: Ledger) -> None:
    u, z = sp.Function("u")(x), sp.Function("z")(x)
    du = sp.diff(u, x)

    def by_feature(f: sp.Expr) -> sp.Expr:
        return sp.diff(f, x) / du

    in_feature = by_feature(by_feature(z)) + 2 * by_feature(1 / du) * du * by_feature(z)
    substitute: Any = {u: sp.exp(x), z: sp.sin(x)}
    ledger.identity(
        r"$f_{vv} + 2 (q_v/q) f_v$ with $q = 1/u'$, for $u = e^x$, $z = \sin x$",
        in_feature.subs(substitute).doit(),
        (du * sp.diff(sp.diff(z, x) / du**3, x)).subs(substitute).doit(),
        controls={
            "with $q = u'$": (by_feature(by_feature(z)) + 2 * by_feature(du) / du * by_feature(z))
            .subs(substitute)
            .doit()
        },
    )


def _projection(ledger: Ledger) -> None:
    """(ii) u = x^2: the limit is the even part, where u' is not small."""
    z = values(FIELD)
    even = (z + z[::-1]) / 2
    away = (np.abs(POSITIONS) > 0.4) & (np.abs(POSITIONS) < 0.75)
    averaged = []
    for eps in BANDWIDTHS / 4:
        apply = generator(values(x**2), eps, "row", np.ones(CELLS))
        averaged.append(z + eps * apply(z))
    ledger.order(
        r"(ii) $u = x^2$: distance of $Kz$ from $E[z \mid u]$, the even part",
        BANDWIDTHS,
        [float(np.max(np.abs(Kz - even)[away])) for Kz in averaged],
        1.0,
        controls={"distance from $z$ itself": [float(np.max(np.abs(Kz - z)[away])) for Kz in averaged]},
    )
    ledger.evidence(
        "(ii) odd part of $Kz$: none is left at any bandwidth",
        lambda field: float(np.max(np.abs(field - field[::-1]))),
        of=averaged[0],
        at_most=tolerance("reduction", n=CELLS),
        controls={"of $z$": z},
    )


def draw(curves: dict[str, list[float]]):
    figure, axes = canvas(height=2.8)
    for words, curve in curves.items():
        axes.loglog(BANDWIDTHS, curve, "o-", label=words)
    axes.loglog(BANDWIDTHS, 8 * BANDWIDTHS, "k--", linewidth=0.8, label=r"order 1")
    axes.set(xlabel=r"$\varepsilon$", ylabel="largest error")
    axes.legend(fontsize=7)
    return figure
