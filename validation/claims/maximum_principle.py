"""Section 4.4: the discrete maximum principle."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stability import cfl_limit
from nlmodel.testing import tolerance
from validation import Ledger, canvas, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import FLIP, row, update
from validation.claims.shared import matrices
from validation.photograph import patches


def markov_chains(size: int = 3) -> st.SearchStrategy:
    """Non-negative affinities with positive row sums and, often, zeros."""
    return st.one_of(matrices(size, size, 0, 6).map(lambda A: A + np.diag(np.sum(A, axis=1) == 0)), st.just(FLIP))


@claim(
    "S-5",
    section=SECTION,
    paper="standard; for Tao et al. 2018, eqs (8), (15)",
    title="Discrete maximum principle",
    statement=r"""
        For $K \ge 0$ with row sums one and $W = \mu I$, $\mu \ge 0$, no sub-block leaves the range of its input, for every input,
        if and only if $\mu \le 1/(1 - \min_i K_{ii})$. For a self-adjoint $K$ this is never weaker than stability in the energy norm.
    """,
    formula=r"I + \mu (K - I) \ge 0 \quad\Longleftrightarrow\quad \mu \le \frac{1}{1 - \min_i K_{ii}} \le \frac{2}{1 - \lambda_{\min}}",
    proof=r"""
        The rows of $I + \mu(K - I)$ sum to one, so outputs are averages exactly when the entries are non-negative, that is when
        $1 - \mu(1 - K_{ii}) \ge 0$ for all $i$. Beyond, the input that is $0$ at that $i$ and $1$ elsewhere gives
        $\mu(1 - K_{ii}) > 1$ at $i$. In numbers, with $\mu_{\max}$ the limit,
        $\lVert I + \mu(K - I) \rVert_\infty = \max(1, 2\mu/\mu_{\max} - 1)$. Gershgorin's
        $1 - \lambda_{\min} \le 2(1 - \min_i K_{ii})$ is the second inequality; the flip of two points has equality.
    """,
)
def s_5(ledger: Ledger) -> None:
    tol = tolerance("reduction", n=4)

    def overshoot(factor: float):
        """How far the fields that are 0 or 1 at each position leave [0, 1] after one sub-block."""

        def measure(omega: np.ndarray) -> float:
            op = row(omega)
            mu = cfl_limit(op, norm="max").value
            if mu == np.inf:
                return 0.0
            n = len(omega)
            fields = (np.arange(2**n) >> np.arange(n)[:, None] & 1).astype(float)
            after = np.asarray(stage(fields, op, [factor * mu]))
            return float(max(after.max() - 1, -after.min()))

        return measure

    ledger.property(
        "how far a field with values 0 and 1 leaves $[0, 1]$, all fields, at the limit",
        markov_chains(),
        overshoot(1.0),
        at_most=tol,
        controls={"at 1.01 of the limit": overshoot(1.01)},
    )

    def excess(omega: np.ndarray, factor: float = 1.3) -> float:
        """Row-sum norm of the hand-built update beyond the limit, against its formula."""
        d = np.max(1 - np.diag(omega) / omega.sum(axis=1))
        if d == 0:
            return 0.0
        mu = factor * cfl_limit(row(omega), norm="max").value
        return abs(float(np.linalg.norm(update(omega, np.eye(1), mu), np.inf)) - (2 * factor - 1))

    ledger.property(
        r"$\lVert I + \mu(K - I) \rVert_\infty$ at 1.3 times the limit, distance from $1.6$",
        markov_chains(),
        excess,
        at_most=tol,
        examples=80,
        controls={"at 0.9 times the limit, by the same formula": lambda omega: excess(omega, 0.9)},
    )

    def beyond(omega: np.ndarray) -> float:
        op = row((omega + omega.T) / 2)
        strict, weak = cfl_limit(op, norm="max").value, cfl_limit(op, norm="energy").value
        return 0.0 if strict == np.inf else strict / weak - 1

    ledger.property(
        "limit of the maximum principle over that of the energy norm, minus one",
        matrices(3, 3, 0, 6).map(lambda A: A + np.eye(3) * (np.sum(A + A.T, axis=1) == 0)),
        beyond,
        at_most=tolerance("solve", n=3),
        examples=80,
        controls={"the other way round": lambda omega: -beyond(omega)},
    )
    _photograph(ledger)


def _photograph(ledger: Ledger) -> None:
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Gaussian(5.0), "row")
    distances = np.sum((X[:, None] - X[None]) ** 2, axis=-1)
    lowest = float(np.min(1 / np.exp(-distances / 50).sum(axis=1)))
    limit, energy_limit = (cfl_limit(op, norm=norm).value for norm in ("max", "energy"))
    ledger.equals(
        f"{len(X)} patches of a photograph: limit against $1/(1 - \\min_i 1/C_i)$",
        np.float64(limit),
        np.float64(1 / (1 - lowest)),
        tolerance("reduction", n=len(X)),
        controls={"the energy limit": np.float64(energy_limit)},
    )
    i = int(np.argmin(op.diagonal()))
    hole = np.ones((len(X), 1))
    hole[i] = 0.0

    def top(mu: float) -> float:
        return float(np.max(np.asarray(stage(hole, op, [mu])))) - 1

    ledger.evidence(
        "largest value, minus one, after one sub-block at 0.999 of the limit, of a field that is 1 except at one patch",
        top,
        of=0.999 * limit,
        at_most=tolerance("reduction", n=len(X)),
        controls={"at 1.01 of the limit": 1.01 * limit, "at 0.999 of the energy limit": 0.999 * energy_limit},
    )
    ledger.headline("limit of the maximum principle on the photograph", limit, rel=1e-9)
    steps = np.linspace(0.0, 2.2, 111)
    ledger.figure(
        "limits",
        lambda: draw(op, steps, limit),
        r"One sub-block with $W = \mu I$ on the photograph's patches: its norm in the maximum (range of a field) and in the energy. "
        "Between the two limits fields leave their range although their energy falls.",
    )


def draw(op: NonlocalOperator, steps: np.ndarray, limit: float):
    K = op.averaging.to_dense()
    S = op.symmetrized().to_dense()
    values = np.linalg.eigvalsh((S + S.T) / 2)
    figure, axes = canvas(height=2.3)
    for label, norms in (
        ("maximum", [np.linalg.norm((1 - mu) * np.eye(len(K)) + mu * K, np.inf) for mu in steps]),
        ("energy", [np.max(np.abs(1 - mu + mu * values)) for mu in steps]),
    ):
        axes.plot(steps, norms, label=label)
    axes.axvline(limit, linewidth=0.6, linestyle=":", color="gray")
    axes.axvline(2 / (1 - values[0]), linewidth=0.6, linestyle=":", color="gray")
    axes.set(xlabel=r"$\mu$", ylabel="norm of one sub-block")
    axes.legend()
    return figure
