"""Beyond the paper: tied weights make a stage with frozen kernel a contraction."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stability import certify, tied_weight
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.consensus import SECTION
from validation.claims.full_matrix import FLIP, row
from validation.claims.shared import matrices, symmetric_affinities
from validation.claims.stability_norms import energy_norm
from validation.photograph import patches


@claim(
    "4.15",
    section=SECTION,
    paper="beyond the paper; for Tao et al. 2018, eq. (8) with a frozen kernel",
    title="Tied weights make the stage non-expansive",
    statement=r"""
        With a frozen self-adjoint $K$ and $W^n = B_n B_n^{\mathsf T}$ scaled to $\lVert B_n \rVert^2 s_{\max} \le 2$, a stage of any depth is
        1-Lipschitz in the norm $\lVert Z \rVert_D^2 = \sum_i C_i |Z_i|^2$. The number 2 cannot be improved; $s_{\max} \le 2$ serves every
        reversible Markov kernel, $s_{\max} \le 1$ every non-negative semidefinite affinity.
    """,
    formula=r"\lVert \mathrm{NS}(Y) - \mathrm{NS}(Z) \rVert_D \le \lVert Y - Z \rVert_D, \qquad W^n = B_n B_n^{\mathsf T}, \quad \lVert B_n \rVert^2 s_{\max} \le 2",
    proof=r"""
        $W^n$ is symmetric with eigenvalues $w \in [0, 2/s_{\max}]$, so $|1 - sw| \le 1$ for $0 \le s \le s_{\max}$, and each sub-block is
        self-adjoint in $\langle \cdot, \cdot \rangle_D$ with spectrum in $[-1, 1]$. Products of contractions are contractions, in whatever
        order and number. The constant one is attained by constants. If $\lVert B \rVert^2 s_{\max} = 2(1 + \delta)$, the mode of $s_{\max}$ along the top
        singular vector of $B$ is multiplied by $-(1 + 2\delta)$.

        *Three limits.* In the Euclidean norm a stage need not be non-expansive, unless all $C_i$ agree. Tying is not enough without the
        scaling. And the kernel must be frozen: for two positions $(z, -z)$, the Gaussian kernel found anew and
        $W = I$, the sub-block is $z \mapsto z \tanh z^2$, with the slope $\tanh z^2 + 2 z^2 / \cosh^2 z^2 > 1$ near
        $z = 0.85$. Such a stage is stable (4.7), but it does part neighbouring inputs.
    """,
)
def c4_15(ledger: Ledger) -> None:
    cases = st.tuples(
        st.one_of(symmetric_affinities(3, low=0).map(lambda A: A + np.eye(3) / 9), st.just(FLIP)), matrices(2, 2, -6, 6)
    )

    def expansion(case, *, factor: float = 1.0, tie: bool = True, plain: bool = False) -> float:
        """Norm of one sub-block, built by hand, minus one."""
        omega, B = case
        W = factor * (tied_weight(B) if tie else B / max(1.0, np.linalg.norm(B, 2)))
        return energy_norm(omega, W, 1.0, np.ones(len(omega)) if plain else None) - 1

    ledger.property(
        "norm of a sub-block with a weight tied for every reversible Markov kernel, minus one",
        cases,
        expansion,
        at_most=tolerance("solve", n=6),
        controls={
            "1.01 times the weight": lambda case: expansion(case, factor=1.01),
            "a weight of norm one that is not tied": lambda case: expansion(case, tie=False),
            "in the Euclidean norm": lambda case: expansion(case, plain=True),
        },
    )
    _photograph(ledger)
    _sharp(ledger)
    _frozen(ledger)


def _photograph(ledger: Ledger) -> None:
    """Six sub-blocks on patches of a photograph."""
    X = patches(stride=80)
    op = NonlocalOperator.from_points(X, Gaussian(5.0), "row")
    omega = np.exp(-np.sum((X[:, None] - X[None]) ** 2, axis=-1) / 50)
    C = omega.sum(axis=1)
    factors = ledger.rng.standard_normal((6, 48, 24))
    weights = list(tied_weight(factors, 1.0))
    Y = X + ledger.rng.standard_normal(X.shape)

    def quotient(weights: list[np.ndarray]) -> float:
        difference = np.asarray(stage(Y, op, weights)) - np.asarray(stage(X, op, weights))
        return float(np.sqrt(np.sum(C[:, None] * difference**2) / np.sum(C[:, None] * (Y - X) ** 2))) - 1

    tol = tolerance("solve", n=len(X))
    ledger.evidence(
        f"{len(X)} patches of a photograph and these with noise, six sub-blocks: Lipschitz quotient minus one",
        quotient,
        of=weights,
        at_most=tol,
        controls={
            "twice the weights": [2 * W for W in weights],
            "factors that are not tied": list(0.2 * factors @ np.swapaxes(factors[::-1], 1, 2) / np.sqrt(48)),
        },
    )
    ledger.evidence(
        "the same stage: the library's certificate of its norm, within the stage too, minus one",
        lambda weights: certify(op, weights).transient - 1,
        of=weights[:3],
        at_most=tol,
        controls={"weights tied for $s_{\\max} = \\frac12$": list(tied_weight(factors[:3], 0.5))},
    )


def _sharp(ledger: Ledger) -> None:
    omega = np.exp(-0.5 * (np.arange(6.0)[:, None] - np.arange(6.0)) ** 2) - 0.9 * np.eye(6)
    root = np.sqrt(omega.sum(axis=1))
    s, modes = scipy.linalg.eigh(np.eye(6) - omega / np.outer(root, root))
    b = ledger.rng.standard_normal((3, 1))
    field = (modes[:, [-1]] / root[:, None]) @ (b / np.linalg.norm(b)).T
    W = tied_weight(10 * b, float(s[-1]))

    def factor(scale: float) -> float:
        after = stage(field, row(omega), [scale * W])
        return float(np.sum(root[:, None] ** 2 * after * field) / np.sum(root[:, None] ** 2 * field**2))

    for scale in (1.0, 1.01):
        ledger.equals(
            f"factor of the mode of $s_{{\\max}}$ along $B$ at $\\lVert B \\rVert^2 s_{{\\max}} = {2 * scale:g}$",
            np.float64(factor(scale)),
            np.float64(1 - 2 * scale),
            tolerance("solve", n=6, cond=4.0),
            controls={"at 0.99 of that": np.float64(factor(0.99 * scale))},
        )


def _frozen(ledger: Ledger) -> None:
    """Two states of two positions each, before and after one sub-block with W = I."""
    near, far = np.array([[0.8], [-0.8]]), np.array([[0.9], [-0.9]])

    def quotient(kernel_of) -> float:
        after = [evolve(kernel_of, Z, step=1.0, steps=1).final for Z in (near, far)]
        return float(np.linalg.norm(after[1] - after[0]) / np.linalg.norm(far - near))

    def anew(Z: np.ndarray) -> NonlocalOperator:
        return NonlocalOperator.from_points(Z, Gaussian(), "row")

    frozen = anew(near)
    ledger.evidence(
        r"two positions $(z, -z)$, $z = 0.8$ and $0.9$, $W = I$: quotient with the kernel frozen",
        quotient,
        of=frozen,
        at_most=1.0,
        controls={"kernel found anew": anew},
    )
    exact = (0.9 * np.tanh(0.81) - 0.8 * np.tanh(0.64)) / 0.1
    ledger.equals(
        r"the same with the kernel found anew, against the difference quotient of $z \tanh z^2$",
        np.float64(quotient(anew)),
        np.float64(exact),
        tolerance("elementwise", scale=16.0),
        controls={"kernel frozen": np.float64(quotient(frozen))},
    )
    ledger.headline("Lipschitz quotient of a sub-block with the kernel found anew", quotient(anew), rel=1e-9)
