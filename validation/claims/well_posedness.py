"""Section 4.2: nonlocal diffusion forward and backward in time."""

from __future__ import annotations

import mpmath
import numpy as np
from scipy.optimize import brentq

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian, TopHat
from nlmodel.plot import backward_growth
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, at_least, at_most, canvas, claim
from validation.claims.hilbert_schmidt import MESHES, RANK_ONE, SECTION, averaging_norms, on_interval
from validation.claims.shared import asymmetry, exponent, hollow, local_laplacian, symmetric_affinities


SYMMETRIC, SQUARE_INTEGRABLE, UNIT = (
    r"$\rho$ symmetric and $\ge 0$ (12)",
    r"$\iint |\rho|^2 < \infty$ (19)",
    r"$\int \rho(x, y) \, dy = 1$ (11)",
)
HORIZON = 0.2


def backward_rate(op: NonlocalOperator) -> float:
    """Largest growth rate of z_t = -L z: minus the smallest eigenvalue of L in its own measure."""
    root = np.sqrt(op.measure)
    return -float(np.linalg.eigvalsh(root[:, None] * op.to_dense() / root)[0])


def forward_rate(op: NonlocalOperator) -> float:
    """Largest growth rate of z_t = L z."""
    root = np.sqrt(op.measure)
    return float(np.linalg.eigvalsh(root[:, None] * op.to_dense() / root)[-1])


@claim(
    "C10",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.2, after eq. (19)",
    title="Square integrability makes both directions of time well-posed",
    statement=r"""
        With (19) the operator $\mathcal{L}$ is bounded, so that (16) and the same equation backward in time are both
        well-posed and stable in finite time.
    """,
    formula=r"\iint |\rho|^2 < \infty \quad\Longrightarrow\quad \lVert e^{\pm t\mathcal{L}} \rVert < \infty",
    assumptions=(SYMMETRIC, SQUARE_INTEGRABLE),
    proof=r"""
        *Counterexample.* $\rho(x, y) = (xy)^{-1/4}$ on $(0, 1)^2$ is symmetric, positive, and
        $\lVert \rho \rVert_{L^2} = \int_0^1 x^{-1/2} \, dx = 2$. But $\sigma(x) = \int_0^1 \rho(x, y) \, dy = \tfrac43 x^{-1/4}$
        is unbounded. $T_\rho$ is bounded, $M_\sigma$ is not, so $\mathcal{L} = T_\rho - M_\sigma$ is unbounded below and
        $e^{-t\mathcal{L}}$ is not defined on all of $L^2$: on functions concentrated near $x$ it grows like $e^{t\sigma(x)}$.
        On $n$ cells the smallest eigenvalue is that of a rank-one matrix minus a diagonal one, the lowest root of
        $$1 = \sum_i \frac{h f_i^2}{d_i + \lambda}, \qquad f_i = x_i^{-1/4}, \quad d_i = f_i\, h \sum_j f_j,$$
        and $-\lambda_{\min} \sim \tfrac43 (h/2)^{-1/4}$, which has no bound.

        *Half of the claim survives.* $\mathcal{L}$ is self-adjoint on the domain of $M_\sigma$ and
        $\langle z, \mathcal{L} z \rangle = -\tfrac12 \iint \rho\, (z(x) - z(y))^2 \le 0$, so forward in time $e^{t\mathcal{L}}$
        is a semigroup of contractions with no condition on $\sigma$.

        *What makes both directions well-posed* is $\bar\sigma = \sup_x \int |\rho(x, y)| \, dy < \infty$. By Schur's test
        $\lVert T_\rho \rVert_p \le \bar\sigma$ for symmetric $\rho$ and every $1 \le p \le \infty$, hence
        $\lVert \mathcal{L} \rVert_p \le 2\bar\sigma$ and $\lVert e^{\pm t \mathcal{L}} \rVert_p \le e^{2\bar\sigma t}$. (11)
        supplies it with $\bar\sigma = 1$. Boundedness is what is used; square integrability is neither sufficient nor
        necessary for it.
    """,
)
def c10(ledger: Ledger) -> None:
    cells = MESHES[1:]
    operators = [on_interval(RANK_ONE, n) for n in cells]
    rates = np.array([backward_rate(op) for op in operators])
    gaussian = np.array([backward_rate(on_interval(Gaussian(0.3), n)) for n in cells])
    finest = operators[-1]
    ledger.witness(
        r"$\rho = (xy)^{-1/4}$ on $(0, 1)$: the exponent $p$ in $-\lambda_{\min}(L_h) \sim h^p$, which boundedness makes $0$",
        satisfies={
            SYMMETRIC: at_most(asymmetry(finest.to_dense()), tolerance("elementwise", scale=float(rates[-1]))),
            SQUARE_INTEGRABLE: at_most(averaging_norms(RANK_ONE, cells).max(), 4.0),
        },
        violates=at_least(exponent(cells, rates), -0.05),
        data={
            "cells": np.array(cells),
            "smallest eigenvalues": -rates,
            "exit rates on 50 cells": operators[0].exit_rate,
        },
        controls={"Gaussian kernel": at_least(exponent(cells, gaussian), -0.05)},
    )
    ledger.headline("smallest eigenvalue on 800 cells", -rates[-1])
    ledger.evidence(
        "forward in time: largest growth rate on any mesh",
        lambda family: max(forward_rate(op) for op in family),
        of=operators[:4],
        at_most=tolerance("solve", n=MESHES[4], scale=float(rates[3])),
        controls={"a kernel of negative sign": [_negated(n) for n in cells[:4]]},
    )

    grows = ledger.instead(r"Backward in time there is no bound: $-\lambda_{\min}(L_h) \sim \tfrac43 (h/2)^{-1/4}$")
    grows.order(
        r"$-\lambda_{\min}(L_h)$ against $h$", 1 / np.array(cells), rates, -0.25, controls={"Gaussian kernel": gaussian}
    )
    grows.equals(
        "smallest eigenvalues against the roots of the secular equation",
        -rates,
        np.array([_secular(n) for n in cells]),
        tolerance("solve", n=MESHES[-1], scale=float(rates[-1])),
        controls={"exit rates alone": -np.array([op.exit_rate.max() for op in operators])},
    )

    schur = ledger.under(r"$\sup_x \int |\rho(x, y)| \, dy < \infty$, as (11) supplies it")
    schur.property(
        r"$\max_p \lVert L \rVert_p - 2 \max_i \sigma_i$ for $p = 1, 2, \infty$",
        symmetric_affinities(4, low=0),
        lambda omega: _norms(omega) - 2 * _exit(omega),
        at_most=tolerance("solve", n=4, scale=4.0),
        controls={r"$\max_i \sigma_i$ without the factor 2": lambda omega: _norms(omega) - _exit(omega)},
    )
    schur.evidence(
        r"the same kernel with $C_i = 1$: backward growth rate, largest on any mesh",
        lambda normalize: max(backward_rate(on_interval(RANK_ONE, n, normalize)) for n in cells[:4]),
        of="row",
        at_most=1.0 + tolerance("solve", n=MESHES[4]),
        controls={"as it is": "none"},
    )
    ledger.figure(
        "growth",
        lambda: draw(np.array(cells), rates, gaussian),
        r"Largest growth rate backward in time. Both kernels are square integrable; only the one with bounded $\sigma$ is "
        r"well-posed in both directions.",
    )


def _negated(cells: int) -> NonlocalOperator:
    omega = RANK_ONE(((np.arange(cells) + 0.5) / cells)[:, None])
    return NonlocalOperator.from_affinity(-omega, "none", weights=1 / cells)


def _secular(cells: int) -> float:
    """Lowest eigenvalue of h f f^T - diag(d), between the two largest d."""
    h = 1 / cells
    f = ((np.arange(cells) + 0.5) * h) ** -0.25
    d = f * h * f.sum()
    gap = 1e-13 * d[0]
    return brentq(lambda x: 1 - np.sum(h * f * f / (d + x)), -d[0] + gap, -d[1] - gap, xtol=1e-14, rtol=1e-14)


VOLUMES = np.array([0.1, 0.2, 0.3, 0.4])


def _operator(omega: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_affinity(omega, "none", weights=VOLUMES)


def _exit(omega: np.ndarray) -> float:
    return float(_operator(omega).exit_rate.max())


def _norms(omega: np.ndarray) -> float:
    """Largest operator norm of L on l^1, l^2, l^infinity with the cell volumes as measure."""
    L, root = _operator(omega).to_dense(), np.sqrt(VOLUMES)
    weighted = VOLUMES[:, None] * np.abs(L) / VOLUMES
    in_l2 = float(np.linalg.norm(root[:, None] * L / root, 2))
    return max(float(np.abs(L).sum(axis=1).max()), float(weighted.sum(axis=0).max()), in_l2)


def draw(cells: np.ndarray, rank_one: np.ndarray, gaussian: np.ndarray):
    figure, axes = canvas(height=2.6)
    axes.loglog(cells, rank_one, "o", label=r"$(xy)^{-1/4}$")
    axes.loglog(cells, 4 / 3 * (2.0 * cells) ** 0.25, color="C0", linewidth=0.8, label=r"$\frac{4}{3} (h/2)^{-1/4}$")
    axes.loglog(cells, gaussian, "s", label="Gaussian")
    axes.set_xticks(cells, [str(n) for n in cells])
    axes.minorticks_off()
    axes.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.set(xlabel="cells, $1/h$", ylabel=r"$-\lambda_{\min}(\mathcal{L}_h)$", ylim=(0.4, 12))
    axes.legend(loc="center right")
    return figure


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
