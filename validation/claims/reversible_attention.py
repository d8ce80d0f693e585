"""Beyond the paper: which attention maps are reversible chains."""

from __future__ import annotations

import numpy as np
import sympy as sp

from nlmodel import NonlocalOperator, markov
from nlmodel.kernels import Embedded, ExpDot
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.mixing import SECTION, chain
from validation.claims.shared import matrices


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
