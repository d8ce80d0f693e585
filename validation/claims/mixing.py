"""Beyond the paper: how fast the averaging of a stage mixes, and what that does to features."""

from __future__ import annotations

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from nlmodel import NonlocalOperator, markov
from nlmodel.kernels import Embedded, ExpDot, Gaussian
from nlmodel.network import stage
from nlmodel.testing import tolerance
from validation import Ledger, Section, canvas, claim
from validation.claims.shared import matrices, symmetric_affinities
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
        beta = found.lambda_2 if without_lowest else 1 - found.absolute_gap
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


def oscillation(Z: np.ndarray) -> float:
    """The largest spread of a channel."""
    return float(np.max(np.ptp(Z, axis=0)))


@claim(
    "4.6",
    section=SECTION,
    paper="standard; Dobrushin 1956, Birkhoff 1957",
    title="Oversmoothing at the rate of Dobrushin's coefficient",
    statement=r"""
        Averaging shrinks the spread of every channel by $\tau(K) = \tfrac12 \max_{ij} \sum_k |K_{ik} - K_{jk}| \le \tanh(\Delta/4)$,
        with $\Delta$ the largest logarithmic cross ratio. For the softmax of $x_i \cdot x_j$ with $|x| \le R$, $\Delta \le 4R^2$. A stage
        of $N$ sub-blocks with weight $\mu \in [0, 1]$ shrinks it by $(1 - \mu(1 - \tau))^N$.
    """,
    formula=r"\operatorname{osc}(Z^N) \le (1 - \mu(1 - \tau))^N \operatorname{osc}(Z^0), \qquad \tau \le \tanh(\Delta/4) \le \tanh(R^2)",
    proof=r"""
        $(KZ)_i - (KZ)_j = \sum_k (K_{ik} - K_{jk}) Z_k$; the positive and negative parts of the coefficients both sum to at most
        $\tau$, so the difference is at most $\tau \operatorname{osc} Z$. Birkhoff's contraction of Hilbert's metric gives
        $\tau \le \tanh(\Delta/4)$, with equality for two states. For the softmax
        $\log \frac{K_{ik}K_{jl}}{K_{il}K_{jk}} = (x_i - x_j) \cdot (x_k - x_l) \le (2R)^2$. The sub-block is
        $(1-\mu) I + \mu K$, whose coefficient is at most $1 - \mu + \mu\tau$.
    """,
)
def c4_6(ledger: Ledger) -> None:
    tol = tolerance("reduction", n=10, scale=2.0)

    def excess(example, of=markov.dobrushin_coefficient) -> float:
        omega, Z = example
        K = NonlocalOperator.from_affinity(omega, "row")
        return oscillation(K.average(Z)) - of(K) * oscillation(Z)

    examples = st.tuples(matrices(4, 4, 1, 9), matrices(4, 2))
    ledger.property(
        r"$\operatorname{osc}(KZ) - \tau \operatorname{osc}(Z)$",
        examples,
        excess,
        at_most=tol,
        controls={r"with $\tau^2$": lambda example: excess(example, lambda K: markov.dobrushin_coefficient(K) ** 2)},
    )

    def above(X: np.ndarray, factor: float = 1.0) -> float:
        K = NonlocalOperator.from_points(X, ExpDot(), "row")
        R2 = float(np.max(np.sum(X**2, axis=1)))
        tau, birkhoff = markov.dobrushin_coefficient(K), markov.birkhoff_bound(K)
        return max(tau - birkhoff, birkhoff - np.tanh(factor * R2))

    ledger.property(
        r"$\tau$ above $\tanh(\Delta/4)$, or that above $\tanh(R^2)$, softmax kernel",
        matrices(4, 2),
        above,
        at_most=tol,
        controls={r"with $\tanh(R^2/2)$": lambda X: above(X, 0.5)},
    )
    _stages(ledger, tol)


def _stages(ledger: Ledger, tol: float) -> None:
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Embedded(ExpDot(), np.eye(X.shape[1]) / np.sqrt(X.shape[1])), "row")
    tau, mu, blocks = markov.dobrushin_coefficient(op), 0.8, 6
    spreads = [oscillation(X)]
    Z = X
    for _ in range(blocks):
        Z = stage(Z, op, [mu])
        spreads.append(oscillation(Z))
    ratios = np.array(spreads[1:]) / spreads[0]
    bounds = (1 - mu * (1 - tau)) ** np.arange(1, blocks + 1)
    ledger.evidence(
        f"stage of {blocks} sub-blocks on {len(X)} patches of a photograph: largest spread over its bound",
        lambda bound: float(np.max(ratios / bound)),
        of=bounds,
        at_most=1 + tol,
        controls={r"the bound for $\mu = 1$ and $\tau^4$": tau ** (4.0 * np.arange(1, blocks + 1))},
    )
    ledger.headline("Dobrushin coefficient of the photograph's softmax affinity", tau, rel=1e-9)

    def draw():
        figure, axes = canvas(height=2.4)
        n = np.arange(blocks + 1)
        axes.semilogy(n, np.r_[1.0, bounds], label="bound")
        axes.semilogy(n, np.r_[1.0, ratios], "o", label="patches of a photograph")
        axes.set(xlabel="sub-blocks $n$", ylabel=r"$\mathrm{osc}(Z^n) / \mathrm{osc}(Z^0)$")
        axes.legend()
        return figure

    ledger.figure("oversmoothing", draw, r"Spread of the features through a stage with $\mu = 0.8$, and its bound.")


@claim(
    "4.13",
    section=SECTION,
    paper="standard; Kolmogorov 1936, Kelly 1979",
    title="Which attention maps are reversible",
    statement=r"""
        A positive chain is reversible if and only if the products of its entries around every cycle agree in both directions,
        if and only if its entropy production vanishes. The row-normalised $\exp(x_i^{\mathsf T} A x_j)$ is reversible if and only if
        the skew part of $A$ vanishes on all differences of features.
    """,
    formula=r"\log \frac{K_{ij} K_{jk} K_{ki}}{K_{ik} K_{kj} K_{ji}} = 2\, (x_j - x_i)^{\mathsf T} A_{\mathrm{skew}}\, (x_k - x_i)",
    proof=r"""
        *Kolmogorov.* Detailed balance makes the two products equal, each being the other times $\pi_i \pi_j \pi_k / (\pi_i \pi_j \pi_k)$.
        Conversely $\pi_j := K_{1j}/K_{j1}$ satisfies detailed balance, because the triangle $1, i, j$ does.
        *Softmax.* The row sums cancel around a cycle. In the remaining sum of six bilinear terms the symmetric part of $A$
        cancels and the skew part gives the formula.
        *Entropy production* $\tfrac12 \sum_{ij} (\pi_i K_{ij} - \pi_j K_{ji}) \log \frac{\pi_i K_{ij}}{\pi_j K_{ji}}$ has terms
        $(a - b)\log(a/b) \ge 0$, zero only for $a = b$.
    """,
)
def c4_13(ledger: Ledger) -> None:
    _formula(ledger)
    A = np.array([[0.8, 0.5], [-0.3, 0.4]])
    X = ledger.rng.standard_normal((7, 2))
    attention = NonlocalOperator.from_points(X, Embedded(ExpDot(), np.eye(2), A), "row")
    symmetric = NonlocalOperator.from_points(X, Embedded(ExpDot(), np.eye(2), (A + A.T) / 2), "row")
    skew = (A - A.T) / 2
    differences = X[1:] - X[0]
    ledger.equals(
        "largest logarithmic cycle ratio through the first position, against the formula",
        np.float64(markov.kolmogorov_cycle_gap(attention)),
        np.float64(np.max(np.abs(2 * differences @ skew @ differences.T))),
        tolerance("reduction", n=2 * len(X), scale=8.0),
        controls={"of the symmetric part of $A$": np.float64(markov.kolmogorov_cycle_gap(symmetric))},
    )
    tol = tolerance("solve", n=len(X))
    for words, measure in (
        ("detailed-balance gap", markov.detailed_balance_gap),
        ("cycle gap", markov.kolmogorov_cycle_gap),
        ("entropy production", markov.entropy_production),
    ):
        ledger.evidence(
            f"symmetric $A$: {words}",
            measure,
            of=symmetric,
            at_most=tol,
            controls={"$A$ with a skew part": attention},
        )
    ledger.property(
        "entropy production of random positive chains",
        matrices(4, 4, 1, 9),
        lambda omega: markov.entropy_production(chain(omega)),
        at_least=0.0,
        controls={"without the factor $\\pi_i K_{ij} - \\pi_j K_{ji}$": lambda omega: _log_flows(chain(omega))},
    )
    ledger.headline(
        "entropy production of the attention map with skew part", markov.entropy_production(attention), rel=1e-9
    )


def _log_flows(K: np.ndarray) -> float:
    pi = markov.stationary(K)
    flow = pi[:, None] * K
    return float(np.sum(np.triu(np.log(flow / flow.T))))


def _formula(ledger: Ledger) -> None:
    a, b, c, d, *coordinates = sp.symbols("a b c d x1 x2 y1 y2 z1 z2", real=True)
    A = sp.Matrix([[a, b], [c, d]])
    x, y, z = (sp.Matrix(coordinates[k : k + 2]) for k in (0, 2, 4))

    def logit(u, v):
        return (u.T * A * v)[0]

    ratio = logit(x, y) + logit(y, z) + logit(z, x) - logit(x, z) - logit(z, y) - logit(y, x)
    skew = (A - A.T) / 2
    ledger.identity(
        "the cycle ratio of the softmax",
        ratio,
        2 * ((y - x).T * skew * (z - x))[0],
        controls={"with the symmetric part of $A$": 2 * ((y - x).T * (A + A.T) / 2 * (z - x))[0]},
    )
