"""Properties of the nonlocal diffusion equation: the local limit and the symbol."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from nlmodel import NonlocalOperator
from nlmodel.kernels import TopHat, TruncatedGaussian
from nlmodel.plot import convergence
from validation import Ledger, claim
from validation.claims.diffusion_flow import SECTION, SOURCE, STANDING, flow
from validation.claims.diffusion_symbol import five_kernels


SCALED = r"$\rho_\delta(x, y) = \delta^{-d-2} \varphi(|x-y|/\delta)$ with $\int |\xi|^2 \varphi(|\xi|) \, d\xi = 2d$"
SMOOTH = r"$u \in C^4$"
CELLS = 1000
WIDTHS = np.array((0.04, 0.02, 0.01, 0.005, 0.0025))


def torus(width: float) -> NonlocalOperator:
    """Gaussian kernel on the periodic unit interval, fine enough that the quadrature error is rounding."""
    return NonlocalOperator.on_grid(CELLS, TruncatedGaussian(np.inf, width), 1 / CELLS)


def wave(numbers: np.ndarray, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """A smooth periodic function with a few Fourier modes, and its second derivative."""
    x = np.arange(CELLS) / CELLS
    a = np.random.default_rng(seed).standard_normal(len(numbers)) / (1.0 + numbers**2)
    k = 2 * np.pi * numbers
    return np.cos(np.outer(x, k)) @ a, -np.cos(np.outer(x, k)) @ (a * k**2)


@claim(
    "P7",
    section=SECTION,
    paper=SOURCE,
    title="The local limit",
    statement=r"""
        With kernels scaled to the second moment $2d$ and horizon $\delta \to 0$, $\mathcal{L}_\delta u \to \Delta u$ with error
        $O(\delta^2)$ for smooth $u$, and the solutions tend to those of the heat equation with error $O(\delta^2 t)$.
    """,
    formula=r"\mathcal{L}_\delta u = \Delta u + \frac{m_4}{8 d (d+2)}\, \Delta^2 u + O(\delta^4), \qquad m_4 = \int |\xi|^4 "
    r"\rho_\delta(|\xi|) \, d\xi = O(\delta^2)",
    assumptions=(*STANDING, SCALED, SMOOTH),
    proof=r"""
        Expand $u(x + \xi) - u(x)$; odd terms integrate to zero. With $\int \rho\, \xi_1^2 = 2$ and
        $\int \rho\, \xi_1^4 = \frac{3}{d(d+2)} m_4$ the symbol is
        $$\widehat{\mathcal{L}}(k) = -\int \rho\, (1 - \cos k \cdot \xi) \, d\xi = -|k|^2 + \frac{m_4}{8 d (d+2)} |k|^4 - \dots,$$
        and the top-hat kernel, $m_4 = 2d \frac{d+2}{d+4} \delta^2$, has the coefficient $\delta^2 / (4(d+4))$:
        $\frac{1}{20}, \frac{1}{24}, \frac{1}{28}$ times $\delta^2$ for $d = 1, 2, 3$.

        For solutions, $w = z_\delta - z$ solves $w_t = \mathcal{L}_\delta w + (\mathcal{L}_\delta - \Delta) z$, $w(0) = 0$, and
        $e^{t\mathcal{L}_\delta}$ is a contraction (P3), so $\lVert w(t) \rVert_\infty \le t \max_{s \le t}
        \lVert (\mathcal{L}_\delta - \Delta) z(s) \rVert_\infty = O(\delta^2 t)$.

        The order needs the smoothness: for $u = |x|^3$, which is $C^2$ but not $C^3$, the error at $0$ is of first order in
        $\delta$.
    """,
)
def p7(ledger: Ledger) -> None:
    u, second = wave(np.arange(1, 5))
    k = np.fft.fftfreq(CELLS, 1 / CELLS) * 2 * np.pi
    time = 0.002
    cooled = np.fft.ifft(np.exp(-(k**2) * time) * np.fft.fft(u)).real
    operators = [torus(width) for width in WIDTHS]
    consistency = np.array([np.abs(op @ u - second).max() for op in operators])
    solution = np.array([np.abs(flow(op, u, time) - cooled).max() for op in operators])
    ledger.order(
        r"$\lVert \mathcal{L}_\delta u - u'' \rVert_\infty$, Gaussian kernel, $u$ of four Fourier modes",
        WIDTHS,
        consistency,
        2.0,
        controls={
            "second moment 1 in place of 2": np.array([np.abs(0.5 * (op @ u) - second).max() for op in operators])
        },
    )
    ledger.order(
        r"solutions at $t = 0.002$ against the heat equation",
        WIDTHS,
        solution,
        2.0,
        controls={
            "against heat at half the time": np.array(
                [
                    np.abs(flow(op, u, time) - np.fft.ifft(np.exp(-(k**2) * time / 2) * np.fft.fft(u)).real).max()
                    for op in operators
                ]
            )
        },
    )
    times = 1e-4 * 0.5 ** np.arange(5)
    growth = np.array(
        [np.abs(flow(operators[1], u, t) - np.fft.ifft(np.exp(-(k**2) * t) * np.fft.fft(u)).real).max() for t in times]
    )
    ledger.order(
        r"the same error against $t$ at $\delta = 0.02$",
        times,
        growth,
        1.0,
        controls={"without the initial data in common": growth + 1e-3 * np.abs(u).max()},
    )
    x = np.arange(CELLS) / CELLS - 0.5
    cubic = np.abs(x) ** 3
    kink = np.array([abs((op @ cubic)[CELLS // 2]) for op in operators])
    ledger.control.order(r"order two at $0$ for $u = |x|^3$, which is not $C^4$", WIDTHS, kink, 2.0)
    _polynomials(ledger)
    _coefficients(ledger)
    ledger.headline(
        r"observed order of $\mathcal{L}_\delta \to \Delta$", np.log2(consistency[-2] / consistency[-1]), rel=1e-4
    )
    ledger.figure(
        "local-limit",
        lambda: draw(consistency / np.abs(second).max(), solution / np.abs(cooled).max()),
        r"From nonlocal to local: relative errors in the maximum norm, Gaussian kernel on the periodic unit interval, $t = 0.002$.",
    )


def draw(consistency: np.ndarray, solution: np.ndarray):
    errors = {r"$\mathcal{L}_\delta u - u''$": consistency, "solutions": solution}
    figure = convergence(WIDTHS, errors, 0, xlabel=r"width $\delta$ of the kernel")
    axes = figure.axes[0]
    line = 0.4 * solution[0] * (WIDTHS / WIDTHS[0]) ** 2
    axes.plot(WIDTHS, line, color="#1b1b1b", linewidth=0.8, linestyle="--", alpha=0.6)
    axes.annotate(r"$\delta^2$", (WIDTHS[2], line[2]), (4, -10), textcoords="offset points", fontsize=8)
    return figure


def _polynomials(ledger: Ledger) -> None:
    """The top-hat kernel on powers of x, exactly."""
    x, xi = sympy.symbols("x xi", real=True)
    delta = sympy.Symbol("delta", positive=True)

    def image(power: int, constant: Any = 3) -> sympy.Expr:
        return sympy.expand(sympy.integrate(constant / delta**3 * ((x + xi) ** power - x**power), (xi, -delta, delta)))

    exact = {
        4: 12 * x**2 + sympy.Rational(6, 5) * delta**2,
        6: 30 * x**4 + 18 * x**2 * delta**2 + sympy.Rational(6, 7) * delta**4,
    }
    ledger.identity(
        r"top-hat kernel: $\mathcal{L}_\delta x^2 = 2$, $\mathcal{L}_\delta x^4 = 12x^2 + \frac65 \delta^2$, "
        r"$\mathcal{L}_\delta x^6 = 30x^4 + 18x^2\delta^2 + \frac67 \delta^4$",
        [[image(2)], [image(4)], [image(6)]],
        [[2], [exact[4]], [exact[6]]],
        controls={r"constant $3/(2\delta^3)$": [[image(p, sympy.Rational(3, 2))] for p in (2, 4, 6)]},
    )
    a = sympy.Symbol("a", positive=True)
    series = sympy.series(6 * (1 - sympy.sin(a) / a), a, 0, 8).removeO()
    ledger.identity(
        r"$6 (1 - \frac{\sin a}{a}) = a^2 - \frac{a^4}{20} + \frac{a^6}{840} - \dots$",
        series,
        a**2 - a**4 / 20 + a**6 / 840,
        controls={r"$\frac{a^4}{24}$, the coefficient of two dimensions": a**2 - a**4 / 24 + a**6 / 840},
    )


def _coefficients(ledger: Ledger) -> None:
    """(symbol + k^2) / (delta^2 k^4) for shrinking k delta, in one to three dimensions, for five kernels."""
    a = 0.4 * 0.5 ** np.arange(5)
    for dim in (1, 2, 3):
        found = (TopHat(1.0, dim).symbol(a) + a**2) / a**4
        ledger.order(
            rf"top-hat kernel, $d = {dim}$: $(\widehat{{\mathcal{{L}}}}(k) + k^2) / (\delta^2 k^4) \to \frac{{1}}{{{4 * (dim + 4)}}}$",
            a,
            np.abs(found - 1 / (4 * (dim + 4))),
            2.0,
            controls={"the coefficient of the next dimension": np.abs(found - 1 / (4 * (dim + 5)))},
        )
    k = np.array([0.02])

    def mismatch(factor: float) -> float:
        """Largest relative distance of the fourth-order coefficient from its moment, over kernels and dimensions."""
        worst = 0.0
        for dim in (1, 2, 3):
            for kernel in five_kernels(dim):
                coefficient = factor * kernel.moment(4) / (8 * dim * (dim + 2))
                worst = max(worst, abs(float(((kernel.symbol(k) + k**2) / k**4)[0]) / coefficient - 1))
        return worst

    ledger.evidence(
        r"five kernels, $d = 1, 2, 3$, $k\delta = 0.02$: coefficient of $k^4$ over $m_4 / (8d(d+2))$, largest deviation from 1",
        mismatch,
        of=1.0,
        at_most=float(k[0] ** 2),
        controls={"without the factor 3 of the fourth moment": 1 / 3},
    )
