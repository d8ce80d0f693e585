"""The laws of an approximated affinity: those of its own dense form, to rounding, in every normalisation."""

import numpy as np

from nlmodel import NonlocalOperator
from nlmodel.operators import Affinity, DenseAffinity
from nlmodel.testing import adjoint_gap, tolerance


HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")
SINKHORN_RESIDUAL = 64  # eps: where the iteration stops


def check_laws(affinity: Affinity, how: str, weights: np.ndarray, rng: np.random.Generator) -> None:
    """Raise where a law is broken, or the operator is not that of the matrix that its affinity stands for."""
    omega = affinity.to_dense()
    op = NonlocalOperator._normalized(affinity, how, weights, 0.5)
    dense = NonlocalOperator._normalized(
        DenseAffinity(omega, False, True, affinity.nonnegative), how, weights.astype(omega.dtype), 0.5
    )
    K, L, m, M = dense.averaging.to_dense(), dense.to_dense(), op.measure, op.size
    size = float(np.max(np.abs(K).sum(1) + np.abs(dense.exit_rate)))
    # a row sum that is small against the sum of what was added has lost so much
    spread = float(np.max(np.abs(omega) @ weights / (omega @ weights)) * M)
    spread *= float(np.max(op.measure) / np.min(op.measure))
    bound = tolerance("reduction", omega.dtype, n=4 * M + 8 + SINKHORN_RESIDUAL, scale=size * spread)
    Y, Z = (rng.uniform(-1, 1, (M, 3)).astype(omega.dtype) for _ in range(2))
    assert op.keeps == dense.keeps and op.nonnegative == affinity.nonnegative
    assert np.max(np.abs(op @ Z - L @ Z)) <= bound
    assert np.max(np.abs(op.T @ Z - L.T @ Z)) <= bound
    assert np.max(np.abs(op.to_dense() - L)) <= bound
    assert np.max(np.abs(op.averaging.diagonal() - np.diag(K))) <= bound + diagonal_error(op)
    assert adjoint_gap(op, rng=rng) <= bound * np.sqrt(M)
    if "constants" in op.keeps:
        assert np.max(np.abs(op @ np.ones((M, 1), dtype=omega.dtype))) <= bound
        assert abs(float(op.mean(op @ Z).max())) <= bound
    total = float(np.sum(m))
    assert abs(float(op.inner(Y, op @ Z) - op.inner(op @ Y, Z))) <= 6 * bound * total
    if "constants" in op.keeps:
        gaps = ((Z[:, None].astype(float) - Z[None]) ** 2).sum(-1)
        energy = 0.5 * np.sum(m[:, None] * K * gaps)
        assert abs(float(op.energy(Z)) - energy) <= 6 * bound * total
    S = op.symmetrized().to_dense()
    assert np.max(np.abs(S - S.T)) <= bound
    assert np.min(np.linalg.eigvalsh((S + S.T).astype(float) / 2)) >= -bound * M


def diagonal_error(op: NonlocalOperator) -> float:
    """What a diagonal that is known in closed form may differ from that of the product."""
    scaling = np.max(np.exp(np.asarray(op.potentials.left + op.potentials.right, dtype=float)))
    return float(scaling) * op.averaging.error_bound
