"""Properties of the nonlocal diffusion equation: no smoothing, and influence at every distance."""

from __future__ import annotations

import numpy as np
from scipy.special import erf
from scipy.stats import poisson

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian, TopHat, TruncatedGaussian
from nlmodel.plot import jump_persistence
from validation import Ledger, claim
from validation.claims.diffusion_flow import SECTION, SOURCE, STANDING, flow, step_function
from validation.claims.hilbert_schmidt import on_interval
from validation.claims.shared import hollow, local_laplacian, midpoints


TIME = 1.0
CELLS = np.array((50, 100, 200, 400, 800))


def periodic(cells: int) -> NonlocalOperator:
    """A smooth kernel on the periodic unit interval, row sums one."""
    return NonlocalOperator.on_grid(cells, TruncatedGaussian(np.inf, 0.1), 1 / cells, normalize="row")


def heat(cells: int) -> NonlocalOperator:
    """The local Laplacian, times 0.01."""
    return NonlocalOperator.from_affinity(0.01 * hollow(local_laplacian(cells)), "none")


def jump(z: np.ndarray) -> float:
    """Difference across the middle."""
    return float(z[len(z) // 2] - z[len(z) // 2 - 1])


@claim(
    "P6",
    section=SECTION,
    paper=SOURCE,
    title="No smoothing: jumps stay, and shrink like the exponential of the exit rate",
    statement=r"""
        For continuous $\rho$ a jump of $u$ at $x_0$ stays at $x_0$ for all times, with its height multiplied by
        $e^{-\sigma(x_0) t}$, and exactly by $e^{-t}$ when $\sigma = 1$. Nevertheless the influence of $u$ is felt everywhere at
        once, however short the horizon.
    """,
    formula=r"z(x, t) = e^{-\sigma(x) t}\, u(x) + \int_0^t e^{-\sigma(x)(t-s)}\, (T_\rho z)(x, s) \, ds",
    assumptions=(*STANDING, r"$\rho$ continuous, or $T_\rho$ smoothing"),
    proof=r"""
        Duhamel's formula, as displayed. If $\rho$ is continuous, $T_\rho z$ and $\sigma$ are continuous in $x$, so the integral
        is, and $z - e^{-\sigma t} u$ has no jump. It is as smooth as $\rho$. On a mesh it varies by $O(h)$ from cell to cell,
        which is the error of the measured height. The heat equation makes any data analytic at once; here high frequencies decay
        at the rate $\sigma$ and no faster (C9, P8).

        *Influence at every distance.* With $\sigma = 1$, $e^{t\mathcal{L}} = e^{-t} \sum_n t^n K^n / n!$, and $K^n$ reaches to the
        distance $n\delta$. So $z > 0$ everywhere for $u \ge 0$ and $t > 0$, but what lies beyond $n\delta$ is at most the
        probability that a Poisson variable of mean $t$ exceeds $n$, about $t^{n+1} / (n+1)!$.
    """,
)
def p6(ledger: Ledger) -> None:
    ends = {n: flow(periodic(n), step_function(n), TIME) for n in CELLS}
    heights = np.array([jump(z) for z in ends.values()])
    heated = np.array([jump(flow(heat(n), step_function(n), TIME)) for n in CELLS[:4]])
    ledger.order(
        r"smooth kernel, $\sigma = 1$, $t = 1$: height of the jump against $e^{-1}$",
        1 / CELLS,
        np.abs(heights - np.exp(-TIME)),
        1.0,
        controls={"against $e^{-1/2}$": np.abs(heights - np.exp(-TIME / 2))},
    )
    ledger.evidence(
        "height of the jump on the finest mesh over its height at the beginning",
        lambda values: values[-1],
        of=heights,
        at_least=0.99 * np.exp(-TIME),
        controls={"heat equation": heated},
    )
    ledger.headline("height of a unit jump at $t = 1$, 800 cells", heights[-1])
    rest = np.array([np.abs(np.diff(z - np.exp(-TIME) * step_function(n))).max() for n, z in ends.items()])
    ledger.order(
        r"largest step between neighbouring cells of $z - e^{-\sigma t} u$: $O(h)$, no jump is left",
        1 / CELLS,
        rest,
        1.0,
        controls={"of $z$ itself": np.array([np.abs(np.diff(z)).max() for z in ends.values()])},
    )
    _variable_rate(ledger)
    _reach(ledger)
    n, times = 400, (0.0, 0.5, 1.0, 2.0, 4.0)
    states = np.array([flow(periodic(n), step_function(n), t) if t else step_function(n) for t in times])
    ledger.figure(
        "jump",
        lambda: jump_persistence((np.arange(n) + 0.5) / n, states, times),
        r"A step function under nonlocal diffusion with a smooth kernel and $\sigma = 1$, on the periodic unit interval: around the "
        r"jump the solution becomes smooth, the jump itself stays in place with height $e^{-t}$. (A second jump joins the two ends.)",
    )


def _variable_rate(ledger: Ledger) -> None:
    """Free boundary: sigma depends on x, and the jump knows it."""
    a = np.sqrt(2) * 0.3
    at = {x0: float(0.3 * np.sqrt(np.pi / 2) * (erf((1 - x0) / a) + erf(x0 / a))) for x0 in (0.1, 0.5)}
    cells = (50, 100, 200, 400, 800)

    def height(n: int) -> float:
        u = np.where(midpoints(n)[:, 0] < 0.1, 0.0, 1.0)
        z = flow(on_interval(Gaussian(0.3), n), u, TIME)
        return float(z[n // 10] - z[n // 10 - 1])

    heights = np.array([height(n) for n in cells])
    ledger.order(
        r"Gaussian kernel on $(0, 1)$, jump at $x_0 = 0.1$: height against $e^{-\sigma(x_0)}$",
        1 / np.array(cells),
        np.abs(heights - np.exp(-at[0.1])),
        1.0,
        controls={r"against $e^{-\sigma(1/2)}$": np.abs(heights - np.exp(-at[0.5]))},
    )


def _reach(ledger: Ledger) -> None:
    cells, horizon = 120, 0.1
    X = midpoints(cells)
    short = NonlocalOperator.from_points(X, TopHat(horizon), "row", storage="dense")
    u = (np.arange(cells) == 0).astype(float)
    z = flow(short, u, 0.5)
    ledger.evidence(
        "data in the first of 120 cells, horizon 12 cells, $t = 0.5$: smallest value anywhere",
        lambda v: float(v.min()),
        of=z,
        at_least=np.finfo(float).tiny,
        controls={"one step of forward Euler": u + 0.5 * (short @ u)},
    )

    def beyond(horizon_of_kernel: float) -> float:
        """Largest quotient of the share of the mass beyond n horizons and the Poisson tail, n = 0, ..., 5."""
        op = NonlocalOperator.from_points(X, TopHat(horizon_of_kernel), "row", storage="dense")
        mass = np.asarray(op.measure) * flow(op, u, 0.5)
        distance = X[:, 0] - X[0, 0]
        shares = [np.sum(mass[distance > n * horizon * (1 + 1e-9)]) / np.sum(mass) for n in range(6)]
        return max(float(share / poisson.sf(n, 0.5)) for n, share in enumerate(shares))

    ledger.evidence(
        r"share of the mass beyond $n\delta$ over the probability that a Poisson variable exceeds $n$; largest, $n \le 5$",
        beyond,
        of=horizon,
        at_most=1.0,
        controls={"a kernel of twice the horizon": 2 * horizon},
    )
