"""A linear map as SciPy's LinearOperator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator

from nlmodel._arrays import Array, like, to_numpy
from nlmodel.errors import ShapeError
from nlmodel.operators.linear_map import LinearMap


class ScipyOperator(LinearOperator):
    """Hands matvec, matmat, rmatvec and rmatmat to a `LinearMap`, so that SciPy's solvers take it.

    NumPy vectors in and out, real or complex; one that is stored in another library computes there, in its own
    precision and without gradients.
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
        return self._real_or_complex(self.op.apply, X)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._real_or_complex(self.op.apply, x.reshape(-1, 1))[:, 0]

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self._real_or_complex(self.op.apply_transposed, X)

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._real_or_complex(self.op.apply_transposed, x.reshape(-1, 1))[:, 0]

    def _real_or_complex(self, action: Callable[[Array], Array], X: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(X):
            return self._real_or_complex(action, np.real(X)) + 1j * self._real_or_complex(action, np.imag(X))
        own = self.op.identity(1)
        return to_numpy(action(X if isinstance(own, np.ndarray) else like(X, own)))
