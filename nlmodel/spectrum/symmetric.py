"""W = W~ + S: the symmetric part that sets the energy rate, and the antisymmetric part that only turns."""

from __future__ import annotations

from nlmodel._arrays import Array, check_array, check_square, namespace, transpose


def _adjoint(W: Array) -> Array:
    xp = namespace(W)
    return xp.conj(transpose(W)) if xp.isdtype(W.dtype, "complex floating") else transpose(W)


def symmetric_part(W: Array) -> Array:
    """The symmetric part of a weight, whose quadratic form is that of the weight.

        W~ = (W + W^T) / 2,   Re z^H W z = z^H W~ z                      Tao et al. 2018, eq. (7)

    For complex W the Hermitian part, W^H in place of W^T.

    Parameters
    ----------
    W : (..., C, C) real or complex floating array of any array library.

    Returns  (..., C, C) array, same library, dtype and device; differentiable.
    Raises   ShapeError / DtypeError / NonFiniteError: not a stack of finite square matrices.
    Accuracy one rounding per entry; exactly symmetric.
    Cost     O(C^2).
    """
    W = check_square(check_array(W, "W", min_ndim=2, complex_ok=True), "W")
    return 0.5 * W + 0.5 * _adjoint(W)


def antisymmetric_part(W: Array) -> Array:
    """The antisymmetric part of a weight, invisible to the energy of a symmetric kernel.

        S = (W - W^T) / 2,   Re z^H S z = 0,   W = W~ + S

    Parameters, Returns, Raises, Accuracy and Cost as for `symmetric_part`.
    """
    W = check_square(check_array(W, "W", min_ndim=2, complex_ok=True), "W")
    return 0.5 * W - 0.5 * _adjoint(W)
