"""Section 4.2: the proposed stage as a scheme for nonlocal diffusion."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.network import stage
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance
from validation import Ledger, at_least, at_most, claim
from validation.claims.hilbert_schmidt import SECTION
from validation.claims.shared import matrices, symmetric_affinities
from validation.photograph import patches


POSITIVE = r"$W^n$ symmetric positive definite"
UNIT = r"$C_i = 1$ (11)"


def diffused(omega: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """sum_j omega_ij (Z_j - Z_i), pair by pair as (14) has it."""
    change = np.zeros_like(Z)
    for i in range(len(Z)):
        for j in range(len(Z)):
            change[i] += omega[i, j] * (Z[j] - Z[i])
    return change


def one_block(Z: np.ndarray, op: NonlocalOperator, W: np.ndarray) -> np.ndarray:
    """One sub-block of the stage."""
    return np.asarray(stage(Z, op, [W]))


def positive(rng: np.random.Generator, channels: int, norm: float) -> np.ndarray:
    """A random symmetric positive definite matrix of the given norm."""
    B = rng.standard_normal((channels, 2 * channels))
    return norm * (B @ B.T) / np.linalg.norm(B @ B.T, 2)


@claim(
    "C5",
    section=SECTION,
    paper="Tao et al. 2018, Sec. 4.2, eqs (8), (14)-(15)",
    title="With positive weights the stage is nonlocal diffusion",
    statement=r"""
        With positive weights the proposed stage (8) is equivalent to the forward scheme (15) of the nonlocal diffusion equation
        (16): each channel diffuses.
    """,
    formula=r"Z^{n+1} = Z^n + \mathcal{L}^h Z^n (W^n)^\top \quad \Longleftrightarrow \quad Z^{n+1} = Z^n + \mathcal{L}^h Z^n",
    assumptions=(POSITIVE, UNIT),
    proof=r"""
        *For $W^n = \mu I$*, $\mu > 0$, (8) is (15) with time step $\mu$, by inspection; $\mu = 1$ is (15) as printed, and
        different $\mu_n$ are different time steps.

        *For a general positive definite $W$* it is not. (15) treats every channel by itself and all alike: a channel that is
        constant stays so, and two equal channels stay equal, for any time step. With
        $W = \begin{pmatrix} 1 & 0.8 \\ 0.8 & 1 \end{pmatrix}$ a constant channel becomes $0.8\, \mathcal{L}^h$ of its neighbour;
        with $W = \operatorname{diag}(1, \tfrac14)$ equal channels part. (8) is the forward Euler scheme of a *cross-diffusion*
        system $z_t = W \mathcal{L} z$.

        *What holds for one symmetric $W = Q \operatorname{diag}(\mu_k)\, Q^\top$ in every sub-block* is that the rotated
        channels $ZQ$ diffuse independently, channel $k$ with time step $\mu_k$. Sub-blocks whose $W^n$ do not commute have no
        common rotation.
    """,
)
def c5(ledger: Ledger) -> None:
    rng = ledger.rng
    X = rng.standard_normal((10, 2))
    op = NonlocalOperator.from_points(X, Gaussian(1.0), "sinkhorn")
    K = op.averaging.to_dense()
    photo = patches(stride=80)
    camera = NonlocalOperator.from_points(photo, Gaussian(7.0), "sinkhorn")
    _witnesses(ledger, op, X)

    W = positive(rng, photo.shape[1], 1.0)
    ledger.witness(
        f"{len(photo)} patches of a photograph, random positive definite $W$: least distance of one sub-block from (15) with any "
        "time step, relative to the change",
        satisfies=_assumptions(W, camera),
        violates=at_most(_distance(camera, photo, W), 0.01),
        data={"W": W, "X": photo},
        controls={"$W = I/2$": at_most(_distance(camera, photo, np.eye(photo.shape[1]) / 2), 0.01)},
    )

    scalar = ledger.under(r"$W^n = \mu_n I$ with $\mu_n > 0$")
    mu, Z = (0.7, 1.0, 0.4), rng.standard_normal((10, 3))
    expected = Z
    for step in mu:
        expected = expected + step * diffused(K, expected)
    tol = tolerance("solve", n=10, scale=4.0)
    scalar.equals(
        r"three sub-blocks with $\mu = 0.7, 1, 0.4$ against (15) with these time steps, summed pair by pair",
        stage(Z, op, [m * np.eye(3) for m in mu]),
        expected,
        tol,
        controls={
            "weights of the other sign": stage(Z, op, [-m * np.eye(3) for m in mu]),
            "the average without $-Z_i$": Z + mu[0] * op.average(Z),
        },
    )
    scalar.property(
        "one sub-block with a random kernel and $\\mu = 1$ against (15), as printed and unnormalised",
        st.tuples(symmetric_affinities(4, low=0), matrices(4, 2)),
        lambda case: _gap(case, 1.0),
        at_most=tolerance("reduction", n=4, scale=8.0),
        controls={"with a time step of 0.9": lambda case: _gap(case, 0.9)},
    )
    scalar.equals(
        r"six sub-blocks with $\mu = \frac12$ against the library's forward Euler scheme with that step",
        stage(Z, op, [0.5 * np.eye(3)] * 6),
        evolve(op, Z, step=0.5, steps=6).final,
        tol,
        controls={"with step one": evolve(op, Z, step=1.0, steps=6).final},
    )

    rotated = ledger.instead("For one symmetric $W$ the rotated channels diffuse, each with its own time step")
    W = positive(rng, 3, 1.0)
    steps, Q = np.linalg.eigh(W)
    channels = [evolve(op, Z @ Q[:, [k]], step=float(steps[k]), steps=5).final for k in range(3)]
    rotated.equals(
        r"five sub-blocks with a random positive definite $W$: $Z^5 Q$ against (15) channel by channel",
        stage(Z, op, [W] * 5) @ Q,
        np.hstack(channels),
        tol,
        controls={
            "without the rotation": stage(Z, op, [W] * 5),
            "five different $W^n$": stage(Z, op, [positive(rng, 3, 1.0) for _ in range(5)]) @ Q,
        },
    )
    general = rng.standard_normal((3, 3))
    by_vector = [general @ change for change in diffused(K, Z)]
    ledger.instead("A general $W$ mixes channels: a cross-diffusion system").equals(
        r"one sub-block with a random $W$: $Z_i + W \sum_j K_{ij} (Z_j - Z_i)$, vector by vector",
        stage(Z, op, [general]),
        Z + np.array(by_vector),
        tol,
        controls={"with the transpose of $W$": stage(Z, op, [np.ascontiguousarray(general.T)])},
    )


def _assumptions(W: np.ndarray, op: NonlocalOperator):
    defect = np.abs(op.averaging.to_dense().sum(axis=1) - 1).max()
    return {
        POSITIVE: bool(np.all(W == W.T)) and at_least(np.linalg.eigvalsh(W)[0], 1e-6).passed,
        UNIT: at_most(defect, tolerance("solve", n=op.size)),
    }


def _witnesses(ledger: Ledger, op: NonlocalOperator, X: np.ndarray) -> None:
    mixing, unequal = np.array([[1.0, 0.8], [0.8, 1.0]]), np.diag([1.0, 0.25])
    flat = np.hstack([X[:, :1], np.ones((op.size, 1))])
    twice = np.hstack([X[:, :1], X[:, :1]])
    tol = tolerance("reduction", n=op.size, scale=4.0)

    def spread(W: np.ndarray) -> float:
        return float(np.ptp(one_block(flat, op, W)[:, 1]))

    def parting(W: np.ndarray) -> float:
        after = one_block(twice, op, W)
        return float(np.abs(after[:, 0] - after[:, 1]).max())

    for words, W, measure, Z in (
        ("a constant channel beside another one: its spread after one sub-block", mixing, spread, flat),
        ("two equal channels: how far they part in one sub-block", unequal, parting, twice),
    ):
        ledger.witness(
            words,
            satisfies=_assumptions(W, op),
            violates=at_most(measure(W), tol),
            data={"Z": Z, "W": W, "K": op.averaging.to_dense()},
            controls={r"$W = \frac12 I$": at_most(measure(0.5 * np.eye(2)), tol)},
        )


def _distance(op: NonlocalOperator, Z: np.ndarray, W: np.ndarray) -> float:
    """min over mu of |stage - (15) with step mu|, relative to the change that the stage makes."""
    change, diffusion = one_block(Z, op, W) - Z, op @ Z
    mu = np.sum(change * diffusion) / np.sum(diffusion**2)
    return float(np.linalg.norm(change - mu * diffusion) / np.linalg.norm(change))


def _gap(case, step: float) -> float:
    omega, Z = case
    op = NonlocalOperator.from_affinity(omega, "none")
    return float(np.abs(one_block(Z, op, np.eye(2)) - (Z + step * diffused(omega, Z))).max())
