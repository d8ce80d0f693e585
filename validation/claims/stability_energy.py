"""Section 4.4: the energy balance of a sub-block with W = mu I."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import sympy
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.errors import UnstableStepError
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stability import cfl_limit
from nlmodel.stepping import Trajectory, evolve
from nlmodel.testing import tolerance
from validation import Ledger, claim
from validation.claims.cfl import SECTION
from validation.claims.full_matrix import row
from validation.claims.shared import hollow, matrices, symmetric_affinities
from validation.photograph import patches


FIELDS = st.tuples(symmetric_affinities(4), matrices(4, 2), st.sampled_from([0.25, 1.0, 1.5, -0.5]))


def square(omega: np.ndarray, Z: np.ndarray) -> float:
    """sum_i C_i |Z_i|^2."""
    return float(np.sum(omega.sum(axis=1)[:, None] * Z**2))


def dissipation(omega: np.ndarray, Z: np.ndarray) -> float:
    """E(Z) = (1/2) sum_ij omega_ij |Z_i - Z_j|^2, pair by pair."""
    return float(0.5 * np.sum(omega[..., None] * (Z[:, None] - Z[None]) ** 2))


def modes(omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues s of I - K, ascending, and eigenvectors, by a symmetric eigenproblem."""
    root = np.sqrt(omega.sum(axis=1))
    values, vectors = scipy.linalg.eigh(np.eye(len(omega)) - omega / np.outer(root, root))
    return values, vectors / root[:, None]


def photograph() -> tuple[np.ndarray, np.ndarray, NonlocalOperator]:
    """Patches, their affinity without diagonal by hand, and the library's operator on them."""
    X = patches(stride=80)
    omega = hollow(np.exp(-np.sum((X[:, None] - X[None]) ** 2, axis=-1) / 50))
    return X, omega, row(hollow(Gaussian(5.0)(X)))


@claim(
    "S-6",
    section=SECTION,
    paper="standard; for Tao et al. 2018, eqs (8), (14)-(15)",
    title="Energy balance of a sub-block",
    statement=r"""
        With $E(Z) = \frac12 \sum_{ij} \omega_{ij} |Z_i - Z_j|^2$ and $\lVert Z \rVert_D^2 = \sum_i C_i |Z_i|^2$, a sub-block with
        $W = \mu I$ has the balance below. It increases $\lVert Z \rVert_D$ for no field if and only if $0 \le \mu \le 2/s_{\max}$, and
        then $E$ does not increase either. The sub-block is a step of gradient descent for $E/2$ in the metric $D$.
    """,
    formula=r"\lVert Z^+ \rVert_D^2 = \lVert Z \rVert_D^2 - 2 \mu E(Z) + \mu^2 \lVert (I - K) Z \rVert_D^2",
    proof=r"""
        $E(Z) = \operatorname{tr} Z^{\mathsf T} (D - \omega) Z = \langle Z, (I - K) Z \rangle_D$ gives the balance at once. Its gradient in
        the metric $D$ is $D^{-1} \cdot 2 (D - \omega) Z = 2 (I - K) Z$, so $Z^+ = Z - \mu \operatorname{grad}_D \tfrac12 E$. In
        modes, $\lVert Z \rVert_D^2 = \sum_k |z_k|^2$ and $E = \sum_k s_k |z_k|^2$, and a sub-block multiplies both summands by
        $(1 - \mu s_k)^2$, which is at most one for all $k$ exactly under the limit. A single field loses energy up to
        $\mu = 2E / \lVert (I - K) Z \rVert_D^2 \ge 2/s_{\max}$. In the Euclidean norm the balance does not hold unless all $C_i$ agree.
    """,
)
def s_6(ledger: Ledger) -> None:
    _symbols(ledger)
    tol = tolerance("reduction", n=32, scale=8 * 4.0)

    def imbalance(case, *, factor: float = 1.0, plain: bool = False) -> float:
        """Squared norm after the library's sub-block, against the balance computed pair by pair."""
        omega, Z, mu = case
        op, C = row(omega), omega.sum(axis=1)
        after = np.asarray(stage(Z, op, [mu]))
        change = Z - (omega @ Z) / C[:, None]
        balance = square(omega, Z) - 2 * factor * mu * dissipation(omega, Z) + mu**2 * square(omega, change)
        left = np.sum(after**2) * C.mean() if plain else square(omega, after)
        return abs(float(left - balance))

    def own(case, factor: float = 1.0) -> float:
        """The balance in the library's own inner product and energy, in units of sum_ij omega_ij."""
        omega, Z, mu = case
        op = row(omega)
        after, change = np.asarray(stage(Z, op, [mu])), op @ Z
        gain = (
            op.inner(after, after) - op.inner(Z, Z) + 2 * factor * mu * op.energy(Z) - mu**2 * op.inner(change, change)
        )
        return abs(float(gain)) / float(op.inner(np.ones((4, 1)), np.ones((4, 1))))

    ledger.property(
        "the balance in the library's own inner product and energy",
        FIELDS,
        own,
        at_most=tol,
        examples=100,
        controls={"with twice the energy": lambda case: own(case, 2.0)},
    )
    ledger.property(
        "balance, random symmetric affinities, distance of the two sides",
        FIELDS,
        imbalance,
        at_most=tol,
        examples=100,
        controls={
            r"without the factor $\frac12$ in $E$": lambda case: imbalance(case, factor=2.0),
            "in the Euclidean norm": lambda case: imbalance(case, plain=True),
        },
    )

    def slope(case, *, metric: bool = True) -> float:
        """<(Z - Z^+)/mu, V>_D against the difference quotient of E/2 along V, which is exact for a quadratic form."""
        omega, Z, mu = case
        op, V = row(omega), np.flip(Z, axis=0) + 1.0
        step = (Z - stage(Z, op, [mu])) / mu
        weight = omega.sum(axis=1)[:, None] if metric else omega.sum() / len(omega)
        return abs(float(np.sum(weight * step * V) - (dissipation(omega, Z + V) - dissipation(omega, Z - V)) / 4))

    ledger.property(
        r"the step against the gradient of $E/2$",
        FIELDS,
        slope,
        at_most=tol,
        examples=80,
        controls={"the gradient in the Euclidean metric": lambda case: slope(case, metric=False)},
    )
    _ten_thousand_steps(ledger)


def _symbols(ledger: Ledger) -> None:
    z, w, mu = sympy.symbols("z:3", real=True), sympy.symbols("w:6", positive=True), sympy.symbols("mu", real=True)
    omega = sympy.Matrix([[w[0], w[1], w[2]], [w[1], w[3], w[4]], [w[2], w[4], w[5]]])
    Z, D = sympy.Matrix(z), sympy.diag(*(omega * sympy.ones(3, 1)))
    change = (sympy.eye(3) - D.inv() * omega) * Z
    after = Z - mu * change
    E = sum(omega[i, j] * (z[i] - z[j]) ** 2 for i in range(3) for j in range(3)) / 2
    ledger.identity(
        "the balance, three positions",
        (after.T * D * after)[0],
        (Z.T * D * Z)[0] - 2 * mu * E + mu**2 * (change.T * D * change)[0],
        simplify=sympy.cancel,
        controls={"in the Euclidean norm": (after.T * after)[0]},
    )
    ledger.identity(
        r"$D^{-1} \nabla \frac12 E = (I - K) Z$, three positions",
        D.inv() * sympy.Matrix([sympy.diff(E / 2, x) for x in z]),
        change,
        simplify=sympy.cancel,
        controls={r"without the factor $\frac12$": D.inv() * sympy.Matrix([sympy.diff(E, x) for x in z])},
    )


def _ten_thousand_steps(ledger: Ledger) -> None:
    X = ledger.rng.standard_normal((8, 1))
    op = row(hollow(Gaussian(1.0)(X)))
    steps = ledger.size(5_000, 1_000)

    def run(factor: float, steps: int, on_unstable: str) -> Trajectory:
        step = factor * cfl_limit(op).value
        return evolve(op, X, step=step, steps=steps, on_unstable=on_unstable, save_every=steps, growth_limit=1e6)

    stable, unstable = run(0.999, steps, "ignore"), run(1.01, steps, "ignore")
    for words, values in (("norm", lambda t: t.norm**2), ("energy $E$", lambda t: t.energy)):
        ledger.evidence(
            f"{steps} steps at 0.999 of the limit: largest increase of the {words} in one step, over its start",
            lambda t, values=values: float(np.max(np.diff(values(t))) / values(t)[0]),
            of=stable,
            at_most=tolerance("reduction", n=op.size),
            controls={"at 1.01 of the limit": unstable},
        )

    def refused(factor: float) -> float:
        try:
            run(factor, 1, "raise")
        except UnstableStepError:
            return 1.0
        return 0.0

    ledger.evidence(
        "the library refuses a step of 1.01 times the limit before taking it",
        refused,
        of=1.01,
        at_least=1.0,
        controls={"a step of 0.999 times the limit": 0.999},
    )
    _, omega, camera = photograph()
    values, vectors = modes(omega)
    worst = vectors[:, [-1]]

    def ratio(factor: float) -> float:
        after = np.asarray(stage(worst, camera, [factor * cfl_limit(camera, norm="energy").value]))
        return square(omega, after) / square(omega, worst)

    ledger.evidence(
        f"{camera.size} patches of a photograph, the mode of $s_{{\\max}}$: squared norm after a step of 0.999 of the "
        "limit, over that before",
        ratio,
        of=0.999,
        at_most=1.0,
        controls={"at 1.01 of the limit": 1.01},
    )
    ledger.headline(r"$s_{\max}$ of the photograph's affinity without diagonal", values[-1], rel=1e-9)
