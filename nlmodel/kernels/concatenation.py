"""The concatenation kernel: a rectified linear functional of the pair."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel._arrays import Array, check_alike, check_array, namespace
from nlmodel.errors import ShapeError
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared


@dataclass(frozen=True, eq=False)
class Concatenation(Kernel):
    """Rectified linear functional of the concatenated pair.

        omega(x, y) = ReLU(left.x + right.y)                              Wang et al. 2018, eq. (5)

    Wang et al.'s w^T [theta x, phi y] is `Embedded(Concatenation(a, b), theta, phi)`, w = [a, b]. Symmetric
    exactly when left = right (put y = 0). Then with s = left.x: the points s = 1 and s = -1/2 have the Gram
    matrix [[2, 1/2], [1/2, 0]], determinant -1/4: not positive semidefinite unless both vectors vanish.

    Parameters
    ----------
    left, right : (D,) arrays of one library, dtype and device, that of the points.

    Accuracy absolute error <= 2 D eps (sum_c |left_c x_c| + sum_c |right_c y_c|).
    Cost     O((M + N) D + M N) time, O(M N) memory.
    """

    left: Array
    right: Array

    def __post_init__(self) -> None:
        for name, x in self.arrays.items():
            check_array(x, name, ndim=1, finite=False)
        check_alike(**self.arrays)
        if self.left.shape != self.right.shape:
            raise ShapeError(
                "left and right must have one length",
                got=f"{tuple(self.left.shape)} and {tuple(self.right.shape)}",
                why="they act on vectors of the same space",
            )

    @property
    def arrays(self) -> dict[str, Array]:
        """The two halves of w."""
        return {"left": self.left, "right": self.right}

    @property
    def features(self) -> int:
        """Length of the vectors."""
        return self.left.shape[0]

    @property
    def declared(self) -> Declared:
        """Nonnegative; symmetric iff left = right; semidefinite only when it vanishes."""
        xp = namespace(self.left)
        return Declared(
            symmetric=bool(xp.all(self.left == self.right)),
            nonnegative=True,
            positive_definite=not bool(xp.any(self.left != 0) | xp.any(self.right != 0)),
            strictly_positive_definite=False,
        )

    def evaluate(self, X: Array, Y: Array) -> Array:
        """ReLU(left . X_i + right . Y_j), shape (..., M, N)."""
        xp = namespace(X)
        s = (X @ self.left)[..., :, None] + (Y @ self.right)[..., None, :]
        return xp.where(s > 0, s, xp.zeros_like(s))
