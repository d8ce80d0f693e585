"""Section 4.4: how fast a stage with W = mu I forgets."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from nlmodel.network import stage
from nlmodel.stability import cfl_limit
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import row
from validation.claims.stability_energy import FIELDS, modes, photograph, square


@claim(
    "S-7",
    section=SECTION,
    paper="standard; for Tao et al. 2018, eqs (8), (15)",
    title="Rate of decay to the weighted mean",
    statement=r"""
        For a connected affinity and $W = \mu I$ with $0 < \mu < 2/s_{\max}$, $Z^n$ tends to the mean weighted by the row sums at the rate
        $\max_{\lambda \ne 1} |1 - \mu(1 - \lambda)|$, and no smaller rate bounds all fields. The best weight is $2/(s_2 + s_{\max})$, $s_2$ the
        smallest positive $s$, with the rate $(s_{\max} - s_2)/(s_{\max} + s_2)$.
    """,
    formula=r"\lVert Z^n - \bar Z \rVert_D \le \rho^n \lVert Z^0 - \bar Z \rVert_D, \qquad \rho = \max_{\lambda \ne 1} |1 - \mu (1 - \lambda)|, \qquad \bar Z = \frac{\sum_i C_i Z_i}{\sum_i C_i}",
    proof=r"""
        $\bar Z$ is the projection onto the constants that is orthogonal in $\langle \cdot, \cdot \rangle_D$, it is invariant, and for a
        connected affinity the constants are all of the eigenspace $\lambda = 1$. On the complement the sub-block is self-adjoint with
        eigenvalues $1 - \mu s$, $s_2 \le s \le s_{\max}$; an eigenvector of the largest in modulus attains the rate. That modulus is
        $\max(|1 - \mu s_2|, |1 - \mu s_{\max}|)$, smallest where the two agree. Without connection every component
        tends to its own mean.
    """,
)
def s_7(ledger: Ledger) -> None:
    tol = tolerance("solve", n=4, scale=8.0)
    apart = scipy.linalg.block_diag(np.ones((2, 2)), np.ones((2, 2)))

    def excess(case, *, low: bool = True, joined: bool = True, plain: bool = False) -> float:
        """Distance from the mean after four sub-blocks, beyond the bound."""
        omega, Z, share = case
        op = row(omega if joined else omega * apart)
        mean = np.mean(Z, axis=0) if plain else op.mean(Z)
        s = modes(omega)[0][1:]
        mu = abs(share) / s[-1]
        rate = np.max(np.abs(1 - mu * (s if low else s[-1:])))
        after = stage(Z, op, [mu] * 4)
        return np.sqrt(square(omega, after - mean)) - rate**4 * np.sqrt(square(omega, Z - mean))

    ledger.property(
        r"$\lVert Z^4 - \bar Z \rVert_D - \rho^4 \lVert Z^0 - \bar Z \rVert_D$ at $\mu s_{\max} = \frac14, \frac12, 1, \frac32$",
        FIELDS,
        excess,
        at_most=tol,
        controls={
            r"$|1 - \mu s_{\max}|$ alone for the rate": lambda case: excess(case, low=False),
            "two components": lambda case: excess(case, joined=False),
            "the plain mean": lambda case: excess(case, plain=True),
        },
    )
    _, omega, op = photograph()
    s = modes(omega)[0]
    best = 2 / (s[1] + s[-1])
    rounding = tolerance("solve", n=op.size)

    def attained(mode: np.ndarray) -> float:
        """How far one sub-block at 0.8 of the best weight is from shrinking the mode, off its mean, by the rate."""
        field = 1.0 + mode
        after = stage(field, op, [0.8 * best])
        shrunk = np.sqrt(square(omega, after - op.mean(field)) / square(omega, field - op.mean(field)))
        return abs(float(shrunk - np.max(np.abs(1 - 0.8 * best * s[1:]))))

    vectors = modes(omega)[1]
    ledger.evidence(
        f"{op.size} patches of a photograph, the slowest mode: factor of a sub-block at 0.8 of the best weight, minus $\\rho$",
        attained,
        of=vectors[:, [1]],
        at_most=rounding,
        controls={
            "the mode of $s_{\\max}$": vectors[:, [-1]],
            "the slowest two together": vectors[:, [1]] + vectors[:, [2]],
        },
    )
    ledger.evidence(
        "photograph: largest factor off the constants at the weight that the library's limit gives, minus the best rate",
        lambda mu: float(np.max(np.abs(1 - mu * s[1:])) - (s[-1] - s[1]) / (s[-1] + s[1])),
        of=2 / (s[1] + 2 / cfl_limit(op).value),
        at_most=rounding,
        controls={"at 0.99 of it": 0.99 * best, "at 1.01 of it": 1.01 * best},
    )
    ledger.headline("best rate on the photograph", (s[-1] - s[1]) / (s[-1] + s[1]), rel=1e-8)
    complete = np.ones((5, 5)) - np.eye(5)
    field = ledger.rng.standard_normal((5, 2))
    ledger.equals(
        "complete graph of five without self-affinity, $\\mu = 4/5$: the mean after one sub-block",
        stage(field, row(complete), [0.8]),
        np.broadcast_to(field.mean(axis=0), (5, 2)),
        tolerance("reduction", n=5, scale=4.0),
        controls={r"$\mu = 1$": stage(field, row(complete), [1.0])},
    )
