"""Beyond the paper: how fast a stage flattens its features."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator, markov
from nlmodel.kernels import Embedded, ExpDot
from nlmodel.network import stage
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.mixing import SECTION
from validation.claims.shared import matrices
from validation.photograph import patches


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
