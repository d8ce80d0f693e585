"""The discrete Fourier symbol of an even stencil on a periodic grid."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, check_array, to_numpy
from nlmodel.errors import DomainError


def discrete_symbol(stencil: Array) -> np.ndarray:
    """Eigenvalues of the circulant matrix that an even periodic stencil defines.

        c^(m) = sum_j c_j cos(2 pi m.j / N),   (A z)_i = sum_j c_j z_{i+j},   c_j = c_{-j}

    In d dimensions j, m and N are multi-indices. The eigenvector of m is exp(2 pi i m.j / N).

    Parameters
    ----------
    stencil : (N,) or (N_1, ..., N_d) real floating array, indexed from the centre, c[-j] = c[j] periodically.

    Returns  real array of the same shape and dtype, in the order of `numpy.fft.fftn`.
    Raises   ShapeError / DtypeError / NonFiniteError; DomainError: the stencil is not even.
    Accuracy absolute error O(eps log N sum |c|).
    Cost     one FFT.
    """
    c = to_numpy(check_array(stencil, "stencil", min_ndim=1))
    mirrored = np.roll(np.flip(c), shift=1, axis=tuple(range(c.ndim)))
    defect = float(np.max(np.abs(c - mirrored)))
    if defect > 4 * np.finfo(c.dtype).eps * np.max(np.abs(c)):
        raise DomainError(
            "stencil must be even",
            got=f"max |c_j - c_(-j)| = {defect:.3e}",
            why="only then are the eigenvalues real",
            fix="index the stencil from its centre: c_0, c_1, ..., c_2, c_1",
        )
    return np.fft.fftn(c).real
