"""Section 4.2: nonlocal diffusion forward and backward in time."""

from __future__ import annotations

import numpy as np
from scipy.optimize import root_scalar

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.testing import tolerance
from validation import Ledger, at_least, at_most, canvas, claim
from validation.claims.hilbert_schmidt import MESHES, RANK_ONE, SECTION, averaging_norms, on_interval
from validation.claims.shared import asymmetry, exponent, symmetric_affinities


SYMMETRIC, SQUARE_INTEGRABLE = r"$\rho$ symmetric and $\ge 0$ (12)", r"$\iint |\rho|^2 < \infty$ (19)"


def spectrum(op: NonlocalOperator) -> np.ndarray:
    """Eigenvalues of L in its own measure, in increasing order."""
    root = np.sqrt(np.asarray(op.measure))
    return np.linalg.eigvalsh(root[:, None] * op.to_dense() / root)


def backward_rate(op: NonlocalOperator) -> float:
    """Largest growth rate of z_t = -L z."""
    return -float(spectrum(op)[0])


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
        lambda family: max(spectrum(op)[-1] for op in family),
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
    return root_scalar(lambda x: 1 - np.sum(h * f * f / (d + x)), bracket=(-d[0] + gap, -d[1] - gap), xtol=1e-14).root


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
