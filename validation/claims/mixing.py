"""Beyond the paper: how fast the averaging of a stage mixes, and what that does to features."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator, markov
from nlmodel.kernels import Gaussian
from nlmodel.testing import tolerance
from validation import Ledger, Section, claim
from validation.claims.shared import symmetric_affinities
from validation.photograph import patches


SECTION = Section(
    "C",
    "Mixing and oversmoothing",
    "Averaging again and again forgets where it began. How fast is a question about the Markov chain $K$: its spectral gap, "
    "its bottlenecks, its contraction coefficient, and whether it is reversible at all.",
)
FLIP = np.array([[0.0, 1.0], [1.0, 0.0]])


def chain(omega: np.ndarray) -> np.ndarray:
    return NonlocalOperator.from_affinity(omega, "row").averaging.to_dense()


def photograph_chain() -> NonlocalOperator:
    return NonlocalOperator.from_points(patches(stride=80), Gaussian(7.0), "row")


@claim(
    "4.3",
    section=SECTION,
    paper="standard; Levin, Peres, Wilmer 2009, chapter 12",
    title="The spectral gap bounds mixing",
    statement=r"""
        For a reversible chain $K$ with stationary law $\pi$ and $\beta = \max(|\lambda_2|, |\lambda_{\min}|)$,
        $K^n f$ tends to its mean at the rate $\beta^n$ in $L^2(\pi)$, and the mixing time is at most
        $\log(1 / (\varepsilon \pi_{\min})) / (1 - \beta)$.
    """,
    formula=r"\lVert K^n f - \pi f \rVert_\pi \le \beta^n \lVert f \rVert_\pi, \qquad t_{\mathrm{mix}}(\varepsilon) \le \frac{1}{1 - \beta} \log \frac{1}{\varepsilon\, \pi_{\min}}",
    proof=r"""
        $K$ is self-adjoint in $L^2(\pi)$ and $f - \pi f$ is orthogonal to the constants, on whose complement
        $\lVert K \rVert = \beta$; an eigenvector of $\pm\beta$ attains it. For the total variation from state $i$ put
        $f = 1_j / \pi_j$: $|K^n(i, j)/\pi_j - 1| \le \beta^n / \sqrt{\pi_i \pi_j} \le \beta^n / \pi_{\min} \le e^{-n(1-\beta)} / \pi_{\min}$,
        which is at most $\varepsilon$ once $n \ge \log(1/(\varepsilon \pi_{\min}))/(1 - \beta)$. One sub-block
        with weight $\mu \le 1$ is the chain $(1 - \mu) I + \mu K$, whose gap is $\mu(1 - \lambda_2)$. The start matters: a doubly
        stochastic chain started from the uniform law is in equilibrium at once and says nothing.
    """,
)
def c4_3(ledger: Ledger) -> None:
    def excess(omega: np.ndarray, power: int = 3, *, without_lowest: bool = False) -> float:
        K = chain(omega)
        found = markov.spectral_gap(K)
        beta = found.lambda_2 if without_lowest else 1 - (found.absolute_gap or 0.0)
        pi = omega.sum(1) / omega.sum()
        S = np.sqrt(pi)[:, None] * (np.linalg.matrix_power(K, power) - pi) / np.sqrt(pi)
        return abs(float(np.linalg.norm(S, 2)) - max(beta, 0.0) ** power)

    ledger.property(
        r"distance of $\lVert K^3 - 1\pi^{\mathsf T} \rVert_\pi$ from $\beta^3$: the rate is sharp",
        symmetric_affinities(5),
        excess,
        at_most=tolerance("solve", n=5, cond=6.0),
        controls={r"with $\lambda_2$ alone in place of $\beta$": lambda omega: excess(omega, without_lowest=True)},
    )

    def overrun(omega: np.ndarray) -> float:
        return markov.mixing_time(chain(omega)) - markov.mixing_time_bounds(chain(omega)).upper

    def from_uniform(omega: np.ndarray) -> float:
        K, pi, law, n = chain(omega), omega.sum(1) / omega.sum(), np.full(len(omega), 1 / len(omega)), 0
        while markov.total_variation(law / law.sum(), pi) > 0.25:
            law, n = K.T @ law, n + 1
        return markov.mixing_time(K) - n

    ledger.property(
        "mixing time from the worst start, minus the bound",
        symmetric_affinities(5),
        overrun,
        at_most=0.0,
        controls={"the time from the uniform start taken for the bound": from_uniform},
    )
    op = photograph_chain()
    K, lazy = op.averaging.to_dense(), markov.lazy(op, 0.3)
    gap = markov.spectral_gap(K)
    slack = tolerance("solve", n=len(K))
    ledger.evidence(
        f"patches of a photograph ({len(K)}): gap of the sub-block with $\\mu = 0.3$, minus $0.3\\,(1 - \\lambda_2)$",
        lambda mu: abs(markov.spectral_gap(lazy).gap - mu * gap.gap),
        of=0.3,
        at_most=slack,
        controls={r"with $\mu^2$": 0.09},
    )
    steps, bound = markov.mixing_time(K), markov.mixing_time_bounds(K)
    ledger.evidence(
        "photograph: mixing time inside its bounds",
        lambda t: max(bound.lower - t, t - bound.upper),
        of=float(steps),
        at_most=0.0,
        controls={"twice the upper bound": 2 * bound.upper},
        note=f"${bound.lower:.3g} \\le {steps} \\le {bound.upper:.3g}$ steps.",
    )
    ledger.headline("spectral gap of the photograph's chain", gap.gap, rel=1e-9)


@claim(
    "4.4",
    section=SECTION,
    paper="standard; Jerrum and Sinclair 1989, Lawler and Sokal 1988",
    title="Bottlenecks bracket the spectral gap",
    statement=r"""
        With $h$ the smallest ratio of flow to mass over all sets holding at most half of the mass, a reversible chain
        has $h^2/2 \le 1 - \lambda_2 \le 2h$.
    """,
    formula=r"\frac{h^2}{2} \le 1 - \lambda_2 \le 2h, \qquad h = \min_{0 < \pi(S) \le 1/2} \frac{\sum_{i \in S, j \notin S} \pi_i K_{ij}}{\pi(S)}",
    proof=r"""
        *Upper.* Put $f = 1_S - \pi(S)$ into $1 - \lambda_2 = \min E(f) / \lVert f \rVert_\pi^2$: the quotient is
        $F(S, S^c) / (\pi(S)\,\pi(S^c)) \le 2 F(S, S^c)/\pi(S)$. The flip of two states attains $2h$.
        *Lower.* For the positive part $g$ of the second eigenvector, $\sum_{i<j} \pi_i K_{ij} |g_i^2 - g_j^2| \ge h \lVert g \rVert^2$ (sum
        over level sets), and by Cauchy-Schwarz the left side is at most $\sqrt{E(g)}\,\sqrt{2 \lVert g \rVert^2 - E(g)}$ with
        $E(g) \le (1 - \lambda_2) \lVert g \rVert^2$.
    """,
)
def c4_4(ledger: Ledger) -> None:
    def slack(omega: np.ndarray, low: float = 0.5, high: float = 2.0, power: int = 2) -> float:
        K = chain(omega)
        h, gap = markov.cheeger_constant(K), markov.spectral_gap(K).gap
        return max(low * h**power - gap, gap - high * h)

    tol = tolerance("solve", n=6, cond=6.0)
    ledger.property(
        "how far the gap lies outside the bracket",
        st.one_of(
            symmetric_affinities(5),
            symmetric_affinities(2),
            symmetric_affinities(4, low=0).map(lambda A: A + np.eye(4) + 0.1),
        ),
        slack,
        at_most=tol,
        controls={r"with $h$ for the upper end $2h$": lambda omega: slack(omega, high=1.0)},
    )
    ledger.equals(
        "the flip of two states attains the upper end",
        np.float64(markov.spectral_gap(FLIP).gap),
        np.float64(2 * markov.cheeger_constant(FLIP)),
        tol,
        controls={"the lazy flip against it": np.float64(markov.spectral_gap(markov.lazy(FLIP, 0.5)).gap)},
    )

    def ring(n: int) -> np.ndarray:
        return np.eye(n) + np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0)

    ledger.evidence(
        "lower end on a ring of 14 states",
        lambda end: slack(ring(14), low=end[0], power=end[1]),
        of=(0.5, 2),
        at_most=tol,
        controls={r"with $h$ for $h^2/2$: a ring's gap is quadratic in its bottleneck": (1.0, 1)},
    )
    ledger.headline("gap of the ring of 14 states", markov.spectral_gap(chain(ring(14))).gap, rel=1e-9)
