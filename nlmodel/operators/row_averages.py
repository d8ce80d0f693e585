"""Averages over all points that are needed once: no operator, and no second pass for its row sums."""

from __future__ import annotations

from collections.abc import Callable

from nlmodel._arrays import Array, check_array
from nlmodel.kernels import Kernel, as_kernel
from nlmodel.operators.nonlocal_operator import NonlocalOperator
from nlmodel.operators.of_points import chosen_storage
from nlmodel.operators.streamed import StreamedAffinity


def row_averages(
    X: Array,
    kernel: Kernel | Callable[[Array, Array], Array],
    Z: Array,
    *,
    weights: float | Array | None = None,
) -> Array:
    """Averages of a field over all positions, sum_j omega_ij w_j Z_j / sum_j omega_ij w_j, omega_ij = kernel(X_i, X_j).

    What `NonlocalOperator.from_points(X, kernel, weights=weights).average(Z)` gives (Tao et al. 2018, eqs (1), (9)),
    for features that are used once: the attention of a layer, a kernel regression.  Row sums and product come out of
    one pass over the pairs, in which no matrix is stored; make an operator where the same points serve again.

    Parameters
    ----------
    X : (..., M, D) array of points or features, float32 or float64.
    kernel : of the library, or a function of (X, Y) that gives omega.
    Z : (..., M, C) array, or (M,) of one channel, in the library and precision of X.
    weights : quadrature weights, a positive number or an (M,) array; default 1.

    Returns
    -------
    An array of the shape of Z; torch carries gradients to X and Z.

    Raises
    ------
    NormalizationError : a row sum is not positive.

    Accuracy as `NonlocalOperator`: error over the largest |Z| a few eps, and the rounding of the exponents.
    Cost     O(M^2 (D + C)) time, O(M C) memory; of many NumPy points and a finite horizon that of a sparse
             operator, which is used then.
    """
    kernel = as_kernel(kernel)
    check_array(X, "X", min_ndim=2)
    if chosen_storage(X, kernel, "auto").storage == "sparse":
        return NonlocalOperator.from_points(X, kernel, storage="sparse", weights=weights).average(Z)
    omega = StreamedAffinity.declared(X, kernel)
    log_weights = omega.log_weights(weights)
    return omega.checked(lambda field: omega.averages(field, log_weights), Z, omega.size)
