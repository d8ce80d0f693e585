"""A linear map as SciPy's LinearOperator."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator

from nlmodel.errors import ShapeError
from nlmodel.operators.linear_map import LinearMap


class ScipyOperator(LinearOperator):
    """Hands matvec, matmat, rmatvec and rmatmat to a `LinearMap`, so that SciPy's solvers take it.

    Only for maps that live in NumPy and have no batch dimensions.
    """

    def __init__(self, op: LinearMap):
        if len(op.shape) != 2:
            raise ShapeError(
                "SciPy takes one operator at a time",
                got=f"a batch of shape {op.shape[:-2]}",
                fix="index the affinity first and build one operator for each",
            )
        self.op = op
        super().__init__(np.dtype(str(op.dtype).rsplit(".", 1)[-1]), op.shape)

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return self.op.apply(X)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.op.apply(x.reshape(-1, 1))[:, 0]

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self.op.apply_transposed(X)

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self.op.apply_transposed(x.reshape(-1, 1))[:, 0]
