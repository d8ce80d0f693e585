"""Properties of the nonlocal diffusion equation: the symbol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from nlmodel import NonlocalOperator
from nlmodel.kernels import Exponential, InverseDistance, Power, TopHat, TruncatedGaussian
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.diffusion_flow import SECTION, SOURCE, STANDING


def five_kernels(dim: int):
    return (
        TopHat(1.0, dim),
        TruncatedGaussian(1.0, 0.5, dim),
        Exponential(1.0, 0.3, dim),
        InverseDistance(1.0, dim),
        Power(1.0, dim - 0.5, dim),
    )


@claim(
    "P8",
    section=SECTION,
    paper=SOURCE,
    title="The symbol: like the Laplacian for smooth waves, bounded for rough ones",
    statement=r"""
        In the interior a plane wave is an eigenfunction, with the symbol $\widehat{\mathcal{L}}(k)$, which is real, not positive,
        close to $-|k|^2$ for $|k|\delta \ll 1$ and between $-2\sigma$ and $0$ for every $k$.
    """,
    formula=r"\mathcal{L} e^{ik \cdot x} = \widehat{\mathcal{L}}(k)\, e^{ik \cdot x}, \qquad \widehat{\mathcal{L}}(k) = "
    r"-\int \rho(\xi)\, (1 - \cos k \cdot \xi) \, d\xi",
    assumptions=(*STANDING, r"$\rho(x, y) = \rho(|x - y|)$", "$x$ farther than the horizon from the boundary"),
    proof=r"""
        $e^{ik \cdot (x + \xi)} - e^{ik \cdot x} = e^{ik \cdot x} (e^{ik \cdot \xi} - 1)$, and the odd part integrates to zero. The
        integrand of $-\widehat{\mathcal{L}}$ lies between $0$ and $2\rho$. By the lemma of Riemann and Lebesgue
        $\widehat{\mathcal{L}}(k) \to -\sigma$ as $|k| \to \infty$: all rough waves decay at the one rate $\sigma$, which is the
        cluster of eigenvalues of C9 and the persistence of jumps of P6. For $-|k|^2$ there is no bound.

        Near the boundary the integral is cut off and plane waves are no eigenfunctions. On a periodic grid they are; the
        eigenvalues are the discrete Fourier transform of the first row, by Poisson's summation formula
        $\sum_m \left( \widehat{\mathcal{L}}(k + 2\pi m/h) - \widehat{\mathcal{L}}(2\pi m/h) \right)$: the symbol and its aliases.
    """,
)
def p8(ledger: Ledger) -> None:
    _symbols(ledger)
    _interior(ledger)
    _grids(ledger)
    k = np.geomspace(1e-2, 2000, 400)

    def lowest(symbol) -> float:
        return float(min(np.min(symbol(kernel, k) / kernel.moment(0)) for kernel in _integrable()))

    ledger.evidence(
        r"four kernels, $d = 1, 2, 3$: smallest $\widehat{\mathcal{L}}(k) / \sigma$ for $k\delta$ up to 2000",
        lowest,
        of=lambda kernel, k: kernel.symbol(k),
        at_least=-2.0,
        controls={"$-k^2$": lambda kernel, k: -(k**2)},
    )
    rough = np.array([2000.0])
    ledger.evidence(
        r"the same kernels: largest $|\widehat{\mathcal{L}}(k)/\sigma + 1|$ at $k\delta = 2000$",
        lambda kernels: max(abs(float(kernel.symbol(rough)[0]) / kernel.moment(0) + 1) for kernel in kernels),
        of=_integrable(),
        at_most=0.05,
        controls={"$-k^2 + k^4/20$, two terms of the expansion": [_Expansion()]},
    )
    singular = InverseDistance(1.0)
    values = -singular.symbol(np.array([1e2, 1e4]))
    ledger.headline(
        r"smallest $\widehat{\mathcal{L}}(k) / \sigma$ of all", lowest(lambda kernel, k: kernel.symbol(k)), rel=1e-5
    )
    ledger.evidence(
        r"inverse distance in one dimension, $\sigma = \infty$: growth of $-\widehat{\mathcal{L}}$ from $k = 10^2$ to $10^4$ over "
        r"$4 \ln 100$",
        abs((values[1] - values[0]) / (4 * np.log(100)) - 1),
        at_most=0.01,
        controls={
            "a bounded symbol": abs(float(np.diff(TopHat(1.0).symbol(np.array([1e2, 1e4])))[0]) / (4 * np.log(100)) - 1)
        },
        note=r"Outside the assumptions: the symbol is $-4 \operatorname{Cin}(k)$ and grows like a logarithm.",
    )
    ledger.figure(
        "symbol",
        lambda: draw(np.linspace(0, 25, 500)),
        r"Symbols of kernels with second moment 2 and horizon $\delta = 1$ in one dimension, against $-k^2$. All agree for smooth "
        r"waves; integrable kernels are bounded and tend to $-\sigma$ (marks at the right), the inverse distance grows slowly.",
    )


class _Expansion:
    """Two terms of the symbol of the top-hat kernel, taken at their word."""

    def symbol(self, k: np.ndarray) -> np.ndarray:
        return -(k**2) + k**4 / 20

    def moment(self, order: float) -> float:
        return TopHat(1.0).moment(order)


def _integrable() -> list:
    return [
        kernel
        for dim in (1, 2, 3)
        for kernel in (
            TopHat(1.0, dim),
            TruncatedGaussian(1.0, 0.5, dim),
            Exponential(1.0, 0.3, dim),
            Power(1.0, dim - 0.5, dim),
        )
    ]


def _symbols(ledger: Ledger) -> None:
    """Library symbols against quadrature of the definition at 30 digits."""
    wave_numbers = np.array([0.5, 3.0, 12.0])
    for dim in (1, 2, 3):
        found = np.array([kernel.symbol(wave_numbers) for kernel in five_kernels(dim)])
        oracle = np.array([[_quadrature(shape, k, dim) for k in wave_numbers] for shape in _shapes(dim)])
        ledger.equals(
            f"five kernels, $d = {dim}$, $k\\delta = 0.5, 3, 12$: symbol over $k^2$ against quadrature at 30 digits",
            found / wave_numbers**2,
            oracle / wave_numbers**2,
            tolerance("reduction", n=64),
            controls={
                "the dimension one higher or lower": np.array(
                    [kernel.symbol(wave_numbers) for kernel in five_kernels(dim % 3 + 1)]
                )
                / wave_numbers**2,
            },
        )


def _shapes(dim: int):
    """phi of the kernels of `five_kernels`, by hand."""
    half = mpmath.mpf(1) / 2
    return (
        lambda r: mpmath.mpf(1),
        lambda r: mpmath.exp(-2 * r * r),
        lambda r: mpmath.exp(-r / mpmath.mpf(0.3)),
        lambda r: 1 / r,
        lambda r: r ** (half - dim),
    )


def _quadrature(shape: Callable[[Any], Any], k: float, dim: int) -> float:
    """-int rho (1 - cos k.xi), with rho = c phi on the unit ball and second moment 2 dim."""
    average = {
        1: mpmath.cos,
        2: lambda t: mpmath.besselj(0, t),
        3: mpmath.sinc,
    }[dim]
    with mpmath.workdps(30):
        ends = [0, *mpmath.linspace(mpmath.mpf("0.1"), 1, 4)]
        second: Any = mpmath.quad(lambda r: shape(r) * r ** (dim + 1), ends)
        value: Any = mpmath.quad(lambda r: shape(r) * r ** (dim - 1) * (1 - average(k * r)), ends)
        return float(-2 * dim * value / second)


def _interior(ledger: Ledger) -> None:
    cells, horizon, k = 80, 0.1, 9.0
    h = 1 / cells
    op = NonlocalOperator.on_grid(cells, TopHat(horizon), h, boundary="free")
    x = (np.arange(cells) + 0.5) * h
    inside = (x > horizon) & (x < 1 - horizon)
    offsets = np.arange(1, 9)
    discrete = -2 * 3 / horizon**3 * h * np.sum(1 - np.cos(k * h * offsets))

    def defect(part: np.ndarray) -> float:
        """Largest distance from an eigenfunction, over cos kx and sin kx."""
        return max(float(np.abs((op @ f(k * x) - discrete * f(k * x))[part]).max()) for f in (np.cos, np.sin))

    ledger.evidence(
        r"cosine and sine on 80 cells with a free boundary, farther than $\delta$ from it: distance from an eigenfunction",
        defect,
        of=inside,
        at_most=tolerance("reduction", n=16, scale=2 * float(op.exit_rate.max())),
        controls={"nearer than that": ~inside},
        note=r"The eigenvalue is $-\sum_j \rho(jh)\, h\, (1 - \cos kjh)$, summed by hand over $|j| \le \delta/h$.",
    )


def _grids(ledger: Ledger) -> None:
    cells, scale = 64, 0.05
    h = 1 / cells
    numbers = np.arange(cells // 2)
    k = 2 * np.pi * numbers
    first = np.eye(cells, 1)[:, 0]

    def eigenvalues(kernel) -> np.ndarray:
        return np.fft.fft(NonlocalOperator.on_grid(cells, kernel, h) @ first).real[: cells // 2]

    a = h / scale
    lattice = (a / 2 * np.sinh(a) / (np.cosh(a) - np.cos(k * h)) - a / 2 / np.tanh(a / 2)) / scale**2
    exponential = Exponential(np.inf, scale)
    ledger.equals(
        "exponential kernel on a periodic grid of 64 cells: all eigenvalues against their closed form",
        eigenvalues(exponential),
        lattice,
        tolerance("solve", n=cells, scale=1 / scale**2),
        controls={"the symbol of the continuum": exponential.symbol(k)},
        note=r"$\frac{1}{s^2} \left( \frac{a}{2} \frac{\sinh a}{\cosh a - \cos kh} - \frac{a}{2} \coth \frac{a}{2} \right)$, "
        r"$a = h/s$.",
    )
    gaussian = TruncatedGaussian(np.inf, scale)
    smooth = numbers <= 8
    ledger.equals(
        "Gaussian kernel on the same grid, $k \\le 16\\pi$: eigenvalues against the symbol of the continuum",
        eigenvalues(gaussian)[smooth],
        gaussian.symbol(k[smooth]),
        tolerance("solve", n=cells, scale=2 / scale**2),
        controls={"an off-by-one in the wave number": gaussian.symbol(k[:10])[1:]},
        note="Aliases are smaller than rounding here.",
    )


def draw(k: np.ndarray):
    figure, axes = canvas(height=3.0)
    kernels = {
        "top-hat": TopHat(1.0),
        "Gaussian": TruncatedGaussian(1.0, 0.5),
        "exponential": Exponential(1.0, 0.3),
        "inverse distance": InverseDistance(1.0),
    }
    for color, (words, kernel) in zip(("C0", "C1", "C2", "C3"), kernels.items(), strict=True):
        axes.plot(k, kernel.symbol(k), label=words, color=color)
        if np.isfinite(kernel.moment(0)):
            axes.plot(k[-1], -kernel.moment(0), "<", color=color, markersize=4, clip_on=False)
    axes.plot(k, -(k**2), color="#1b1b1b", linewidth=0.9, linestyle="--", label="$-k^2$")
    axes.set(xlabel=r"wave number $k$", ylabel=r"$\widehat{\mathcal{L}}(k)$", ylim=(-30, 1))
    axes.legend(loc="lower right")
    return figure
