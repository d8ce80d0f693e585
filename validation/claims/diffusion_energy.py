"""Properties of the nonlocal diffusion equation: energy, steady states, decay."""

from __future__ import annotations

import mpmath
import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian, TopHat, TruncatedGaussian
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.diffusion_flow import SECTION, SOURCE, STANDING, VOLUMES, flow, step_function, unnormalised
from validation.claims.hilbert_schmidt import on_interval
from validation.claims.shared import matrices, symmetric_affinities


@claim(
    "P4",
    section=SECTION,
    paper=SOURCE,
    title="Energy decreases; steady states are constant on components",
    statement=r"""
        $\lVert z \rVert$ decreases at the rate of the energy, and the steady states are the functions that are constant on the
        connected components of $\rho$.
    """,
    formula=r"\frac{d}{dt} \frac12 \lVert z \rVert^2 = -\mathcal{E}(z), \qquad \mathcal{E}(z) = \frac12 \iint \rho(x, y) \, "
    r"(z(x) - z(y))^2 \, dy \, dx",
    assumptions=STANDING,
    proof=r"""
        $\langle z, \mathcal{L} z \rangle = \iint \rho(x, y)\, z(x)\, (z(y) - z(x))$; exchange $x$ and $y$ and take the mean of both
        forms. If $\mathcal{L} z = 0$ then $\mathcal{E}(z) = 0$, so $z(x) = z(y)$ wherever $\rho(x, y) > 0$, hence along every
        chain of such pairs; and such a $z$ is steady. On a mesh the dimension of the null space counts the components.
    """,
)
def p4(ledger: Ledger) -> None:
    cases = st.tuples(symmetric_affinities(3, low=0), matrices(3, 2))

    def energy_gap(case, factor: float = 0.5) -> float:
        omega, Z = case
        pairs = sum(
            VOLUMES[i] * VOLUMES[j] * omega[i, j] * np.sum((Z[i] - Z[j]) ** 2) for i in range(3) for j in range(3)
        )
        return abs(float(unnormalised(omega).energy(Z)) - factor * pairs)

    ledger.property(
        r"`energy` against $\frac12 \sum_{ij} w_i w_j \rho_{ij} |Z_i - Z_j|^2$, summed pair by pair",
        cases,
        energy_gap,
        at_most=tolerance("reduction", n=18, scale=16.0),
        controls={r"without the factor $\frac12$": lambda case: energy_gap(case, 1.0)},
    )
    op, u = on_interval(Gaussian(0.3), 80), step_function(80)
    times = 0.2 * 0.5 ** np.arange(6)
    quotients = np.array([(_half_square(flow(op, u, t)) - _half_square(u)) / t for t in times])
    energy = float(op.energy(u))
    ledger.order(
        r"difference quotients of $\frac12 \lVert z \rVert^2$ against $-\mathcal{E}(u)$, for a step function",
        times,
        np.abs(quotients + energy),
        1.0,
        controls={r"against $-2\mathcal{E}(u)$": np.abs(quotients + 2 * energy)},
    )

    def growth(weight: float) -> float:
        run = evolve(op, u, step=0.1, steps=40, method="exponential", weight=weight)
        return float(np.max(np.diff(run.norm)))

    ledger.evidence(
        r"largest increase of $\lVert z \rVert$ in 40 steps",
        growth,
        of=1.0,
        at_most=0.0,
        controls={"backward in time": -1.0},
    )
    _components(ledger)


def _half_square(u: np.ndarray) -> float:
    return 0.5 * float(np.mean(u * u))


def clusters(sizes: tuple[int, ...], gap: float = 1.0) -> np.ndarray:
    """Points 0.1 apart in groups, the groups `gap` apart."""
    points, left = [], 0.0
    for size in sizes:
        points += list(left + 0.1 * np.arange(size))
        left = points[-1] + gap
    return np.array(points)[:, None]


def network(X: np.ndarray) -> NonlocalOperator:
    """Top-hat kernel of horizon 0.25: a point sees its two neighbours on either side."""
    return NonlocalOperator.from_points(X, TopHat(0.25), "none", weights=0.1)


def _components(ledger: Ledger) -> None:
    families = [(6,), (6, 4), (5, 1, 7), (3, 4, 5, 6)]

    def nullities(gap: float) -> np.ndarray:
        """Dimension of the null space for 1, 2, 3, 4 groups of points."""
        counts = []
        for sizes in families:
            values = np.linalg.eigvalsh(network(clusters(sizes, gap)).to_dense())
            counts.append(
                np.sum(np.abs(values) <= tolerance("solve", n=len(values), scale=float(np.abs(values).max())))
            )
        return np.array(counts, dtype=float)

    ledger.equals(
        "dimension of the null space for 1, 2, 3, 4 groups of points out of each other's sight",
        nullities(1.0),
        np.array([1.0, 2.0, 3.0, 4.0]),
        0.0,
        controls={"groups within sight": nullities(0.2)},
    )
    X = clusters((5, 1, 7))
    u = np.cos(3 * X)
    group = np.repeat(np.arange(3), (5, 1, 7))
    means = np.array([u[group == g].mean() for g in range(3)])[group][:, None]
    slowest = float(np.sort(-np.linalg.eigvalsh(network(X).to_dense()))[3])
    T = 45 / slowest
    ledger.equals(
        "limit of the flow on three groups: the mean of each",
        flow(network(X), u, T),
        means,
        tolerance("solve", n=len(X), scale=2.0),
        controls={"groups within sight": flow(network(clusters((5, 1, 7), 0.2)), u, T)},
    )


@claim(
    "P5",
    section=SECTION,
    paper=SOURCE,
    title="A spectral gap gives exponential decay to the mean",
    statement=r"""
        If $\gamma = \inf \{ \mathcal{E}(z) / \lVert z \rVert^2 : \int z = 0 \} > 0$, then the solution tends to the mean of $u$ at the
        rate $\gamma$, and at no better one.
    """,
    formula=r"\lVert z(t) - \bar u \rVert \le e^{-\gamma t} \lVert u - \bar u \rVert",
    assumptions=(*STANDING, r"$\gamma > 0$"),
    proof=r"""
        $v = z - \bar u$ has mean zero for all $t$ (P2) and $\tfrac{d}{dt} \tfrac12 \lVert v \rVert^2 = -\mathcal{E}(v) \le -\gamma
        \lVert v \rVert^2$ (P4); Gronwall. By the spectral theorem the rate is attained, or approached, near the bottom of the
        spectrum of $-\mathcal{L}$ on functions of mean zero.

        $\gamma > 0$ is a condition on the kernel, not on the mesh: it fails when $\rho$ has several components, and
        degenerates like $\delta^2$ when a kernel with $\sigma = 1$ is given a shrinking horizon. Unlike for heat, $\gamma$ is
        never larger than the essential infimum of $\sigma$, the bottom of the essential spectrum (C9).
    """,
)
def p5(ledger: Ledger) -> None:
    width, cells = 0.1, 128
    torus = NonlocalOperator.on_grid(cells, TruncatedGaussian(np.inf, width), 1 / cells)
    values = np.sort(-np.linalg.eigvalsh(torus.to_dense()))
    with mpmath.workdps(40):
        s = mpmath.mpf(width)
        gamma = float(2 / s**2 * (1 - mpmath.exp(-((2 * mpmath.pi * s) ** 2) / 2)))
    ledger.equals(
        r"$\gamma$ of the Gaussian kernel on the periodic unit interval, 128 cells, against $(2/s^2)(1 - e^{-2\pi^2 s^2})$",
        values[[1, 2]],
        np.array([gamma, gamma]),
        tolerance("solve", n=cells, scale=2 / width**2),
        controls={r"the rate of heat, $4\pi^2$": np.full(2, 4 * np.pi**2)},
    )
    ledger.headline(r"$\gamma$ of the Gaussian kernel, $s = 0.1$", values[1])
    x = (np.arange(cells) / cells)[:, None]
    rough = ledger.rng.standard_normal((cells, 3))

    def excess(case) -> float:
        """Largest e^{rate t} |z - mean| / |u - mean| over time."""
        u, rate = case
        v = u - u.mean(0)
        return max(
            float(
                np.max(
                    np.exp(rate * t) * np.linalg.norm(flow(torus, u, t) - u.mean(0), axis=0) / np.linalg.norm(v, axis=0)
                )
            )
            for t in (0.005, 0.02, 0.08)
        )

    slack = tolerance("solve", n=cells, scale=float(np.exp(0.08 * gamma)))
    slowest = np.cos(2 * np.pi * x)
    ledger.evidence(
        r"three rough fields and the slowest mode: largest $e^{\gamma t} \lVert z(t) - \bar u \rVert / \lVert u - \bar u \rVert$",
        excess,
        of=(np.hstack([rough, slowest]), gamma),
        at_most=1 + slack,
        controls={r"a rate 1 % larger than $\gamma$": (np.hstack([rough, slowest]), 1.01 * gamma)},
    )
    ledger.evidence(
        "the same for the slowest mode alone, from below",
        excess,
        of=(slowest, gamma),
        at_least=1 - slack,
        controls={"the next mode": (np.cos(4 * np.pi * x), gamma)},
    )
    _meshes(ledger)


def gap(op: NonlocalOperator) -> float:
    """Second smallest eigenvalue of -L."""
    return float(np.sort(-np.linalg.eigvalsh(op.to_dense()))[1])


def _meshes(ledger: Ledger) -> None:
    cells = (25, 50, 100, 200, 400)
    horizon = [on_interval(TopHat(0.2, scaled=False), n) for n in cells]
    shrinking = [on_interval(TopHat(4 / n, scaled=False), n) for n in cells]
    ledger.evidence(
        r"top-hat kernel of horizon 0.2 on $(0, 1)$: smallest $\gamma_h$ on any mesh",
        lambda family: min(gap(op) for op in family),
        of=horizon,
        at_least=0.9 * gap(horizon[-1]),
        controls={"horizon of four cells": shrinking, "two halves out of sight": [_cut(n) for n in cells[:3]]},
    )
    ledger.evidence(
        r"$\gamma_h$ on 400 cells over $\min_i \sigma_i$",
        lambda op: gap(op) / float(op.exit_rate.min()),
        of=horizon[-1],
        at_most=1.0,
        controls={"four positions that all see each other, far from any continuum": _complete(4)},
        note=r"The bottom of the essential spectrum of $-\mathcal{L}$ is $\min \sigma$.",
    )


def _cut(cells: int) -> NonlocalOperator:
    half = np.arange(cells) < cells // 2
    return NonlocalOperator.from_affinity(np.where(half[:, None] == half, 1.0, 0.0), "none", weights=1 / cells)


def _complete(cells: int) -> NonlocalOperator:
    return NonlocalOperator.from_affinity(np.ones((cells, cells)) - np.eye(cells), "none")
