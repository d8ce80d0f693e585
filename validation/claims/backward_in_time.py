"""Section 4.2: nonlocal diffusion backward in time, against local diffusion."""

from __future__ import annotations

import mpmath
import numpy as np

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian, TopHat
from nlmodel.plot import backward_growth
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.hilbert_schmidt import SECTION, on_interval
from validation.claims.shared import hollow, local_laplacian, symmetric_affinities
from validation.claims.well_posedness import SQUARE_INTEGRABLE, SYMMETRIC, backward_rate


UNIT = r"$\int \rho(x, y) \, dy = 1$ (11)"
HORIZON = 0.2


def top_hat(cells: int, normalize: str = "row") -> NonlocalOperator:
    """The top-hat kernel on the periodic unit interval."""
    return NonlocalOperator.on_grid(cells, TopHat(HORIZON), 1 / cells, normalize=normalize)


def nearest_neighbours(cells: int) -> NonlocalOperator:
    """The local Laplacian as a nonlocal operator: two neighbours with weight 1/h^2."""
    return NonlocalOperator.from_affinity(hollow(local_laplacian(cells)), "none")


@claim(
    "C11",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.2, after eq. (19)",
    title="Backward in time the growth is bounded, unlike for local diffusion",
    statement=r"""
        With (11), (12) and (19) the flow is stable in finite time in both directions of time; local diffusion is not stable
        backward in time.
    """,
    formula=r"z_t \pm \mathcal{L} z = 0, \qquad \lVert z(t) \rVert \le e^{c t} \lVert u \rVert",
    assumptions=(SYMMETRIC, UNIT, SQUARE_INTEGRABLE),
    proof=r"""
        With $C_i = 1$ and a symmetric kernel, $T_\rho$ is a self-adjoint contraction: its spectrum lies in $[-1, 1]$, that of
        $\mathcal{L} = T_\rho - I$ in $[-2, 0]$, and
        $$\lVert e^{t\mathcal{L}} \rVert \le 1, \qquad \lVert e^{-t\mathcal{L}} \rVert \le e^{2t},$$
        with $e^{t}$ instead of $e^{2t}$ if the kernel is positive semidefinite. The bound is the same for every mesh, and sharp:
        two positions that see only each other have the eigenvalue $-2$. Local diffusion on a mesh of width $h$ grows like
        $e^{4t/h^2}$ backward in time.

        *How to read it.* Stable in finite time means a bounded factor of growth, not decay: backward in time the maximum
        principle is lost. And the kernel is fixed. Scaled so that $\mathcal{L} \to \Delta$ as the horizon $\delta \to 0$, the
        top-hat kernel has
        $$-\min_k \widehat{\mathcal{L}}(k) = \frac{6}{\delta^2} \max_x \left( 1 - \frac{\sin x}{x} \right) =
          \frac{7.3034\dots}{\delta^2}, \qquad \tan x = x, \quad x = 4.4934\dots,$$
        which must be lost in the limit, as the local problem is ill-posed.
    """,
)
def c11(ledger: Ledger) -> None:
    cells = np.array((50, 100, 200, 400, 800))

    def worst(family: list[NonlocalOperator]) -> float:
        return max(backward_rate(op) for op in family)

    local = [nearest_neighbours(n) for n in cells]
    flat = [top_hat(n) for n in cells]
    ledger.evidence(
        "top-hat kernel: largest backward growth rate on any mesh",
        worst,
        of=flat,
        at_most=2.0,
        controls={
            "local Laplacian, $4/h^2$": local,
            "top-hat kernel without (11)": [top_hat(n, "none") for n in cells[:1]],
        },
    )
    ledger.evidence(
        "Gaussian kernel, which is positive definite: the same",
        worst,
        of=[on_interval(Gaussian(0.3), n, "row") for n in cells[:4]],
        at_most=1.0 + tolerance("solve", n=400),
        controls={"top-hat kernel, which is not": flat[:4]},
    )
    ledger.property(
        "random symmetric kernels without diagonal, row sums one: backward growth rate in their own measure",
        symmetric_affinities(4),
        lambda omega: backward_rate(NonlocalOperator.from_affinity(hollow(omega), "row")),
        at_most=2.0 + tolerance("solve", n=4),
        controls={"without (11)": lambda omega: backward_rate(NonlocalOperator.from_affinity(hollow(omega), "none"))},
    )
    pair = np.array([[0.0, 1.0], [1.0, 0.0]])
    ledger.equals(
        "two positions that see only each other: the rate 2 is attained",
        np.array(backward_rate(NonlocalOperator.from_affinity(pair, "row"))),
        np.array(2.0),
        tolerance("solve", n=2),
        controls={
            "with themselves as well": np.array(backward_rate(NonlocalOperator.from_affinity(pair + np.eye(2), "row")))
        },
    )
    _runs(ledger, flat)
    _continuum(ledger, cells)
    ledger.headline("backward growth rate, top-hat with $C_i = 1$, 800 cells", backward_rate(flat[-1]))
    speed = 6 / HORIZON**2
    rates = np.array([speed * backward_rate(op) for op in flat])
    ledger.figure(
        "backward",
        lambda: backward_growth(1 / cells, rates, 4.0 * cells**2.0, bound=2 * speed),
        r"Largest growth rate backward in time on finer and finer meshes: top-hat kernel of horizon $\delta = 0.2$ with row sums "
        r"one, times $6/\delta^2$ so that it tends to the Laplacian on smooth functions; and the local Laplacian. The line is "
        r"twice the exit rate $6/\delta^2$.",
    )


def _runs(ledger: Ledger, flat: list[NonlocalOperator]) -> None:
    """The same with the library's own time stepping."""
    time = 0.01

    def rate_of_run(op: NonlocalOperator) -> float:
        start = np.random.default_rng(7).standard_normal(op.size)
        start -= start.mean()
        end = evolve(op, start, step=time, steps=1, method="exponential", weight=-1.0).final
        return float(np.log(np.linalg.norm(end) / np.linalg.norm(start)) / time)

    ledger.evidence(
        "rough initial data run backward to $t = 0.01$ on 200 cells: logarithm of the growth over $t$",
        rate_of_run,
        of=flat[2],
        at_most=2.0,
        controls={"local Laplacian on 12 cells": nearest_neighbours(12)},
    )
    step = np.where(np.arange(200) < 100, 0.0, 1.0)

    def overshoot(weight: float) -> float:
        return float(evolve(flat[2], step, step=1.0, steps=1, method="exponential", weight=weight).final.max())

    ledger.evidence(
        "stable is not decaying: largest value of a step function with values 0 and 1 after $t = 1$ backward",
        overshoot,
        of=-1.0,
        at_least=1.5,
        controls={"forward in time": 1.0},
    )


def _continuum(ledger: Ledger, cells: np.ndarray) -> None:
    """The locally scaled top-hat kernel: the symbol of the continuum, and the meshes on the way to it."""
    with mpmath.workdps(50):
        x = mpmath.findroot(lambda t: mpmath.tan(t) - t, 4.4934)
        bound = float(6 * (1 - mpmath.sin(x) / x))
        turn = [2 * mpmath.pi * mpmath.mpf(m) / 5 for m in range(1, 20)]
        limit = float(max(150 * (1 - mpmath.sin(a) / a) for a in turn))
        x = float(x)
    horizons = np.array((0.4, 0.2, 0.1, 0.05))
    ledger.equals(
        r"$-\delta^2 \min_k \widehat{\mathcal{L}}(k)$ for $\delta = 0.4, \dots, 0.05$ against $7.3034\dots$",
        np.array([-TopHat(d).symbol(np.array([x / d]))[0] * d**2 for d in horizons]),
        np.full(4, bound),
        tolerance("reduction", n=8, scale=bound),
        controls={
            r"$-\delta \min_k \widehat{\mathcal{L}}(k)$": np.array(
                [-TopHat(d).symbol(np.array([x / d]))[0] * d for d in horizons]
            )
        },
    )
    rates = np.array([backward_rate(top_hat(n, "none")) for n in cells])
    finer = np.append(rates[1:], _fft_rate(1600))
    ledger.order(
        r"$-\lambda_{\min}(L_h)$ of the scaled kernel, $\delta = 0.2$, tends to its limit $178.37\dots$",
        1 / np.append(cells[1:], 1600),
        np.abs(finer - limit),
        1.0,
        controls={"to the bound over all $k$, not only those of the torus": np.abs(finer - bound / HORIZON**2)},
    )


def _fft_rate(cells: int) -> float:
    """Backward rate of a circulant operator, from one column."""
    op = top_hat(cells, "none")
    return -float(np.fft.fft(op @ np.eye(cells, 1)[:, 0]).real.min())
