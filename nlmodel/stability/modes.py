"""What a stage of sub-blocks does to each eigenmode of the nonlocal operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_array, to_numpy
from nlmodel.operators import NonlocalOperator
from nlmodel.stability.nonlocal_spectrum import check_operator, eigenvalues_of_generator
from nlmodel.stability.weight import Weight, as_weights


ENTRIES_PER_CHUNK = 2**21  # of the (modes, C, C) products held at a time: 16 MB


@dataclass(frozen=True, eq=False, repr=False)
class Amplification:
    """P(s) = (I - s W^{N-1}) ... (I - s W^0) over the modes s of -L.

    Attributes
    ----------
    s : (M,) eigenvalues of -L.
    norms : (M,) ||P(s)||_2, the most that one pass multiplies a field in that mode.
    radii : (M,) spectral radius of P(s), the growth rate of repeated passes.
    transients : (M,) largest norm of a partial product, the most reached within one pass; at least 1.
    factor_norms : (N, M) ||I - s W^n||_2 of each sub-block alone.
    """

    s: np.ndarray
    norms: np.ndarray
    radii: np.ndarray
    transients: np.ndarray
    factor_norms: np.ndarray
    weights: tuple[Weight, ...]

    def matrix(self, k: int) -> np.ndarray:
        """P(s_k), (C, C)."""
        return stage_products(self.s[[k]], self.weights)[-1][0]

    @property
    def worst(self) -> int:
        """Index of the mode with the largest norm."""
        return int(np.argmax(self.norms))

    def __repr__(self) -> str:
        return (
            f"Amplification({len(self.s)} modes, {len(self.weights)} sub-blocks: norm {np.max(self.norms):.6g}, "
            f"spectral radius {np.max(self.radii):.6g}, within the stage {np.max(self.transients):.6g})"
        )


def amplification(modes: NonlocalOperator | Array, weights: Sequence[Any]) -> Amplification:
    """How much each mode is multiplied by a stage Z^{n+1} = Z^n + L Z^n (W^n)^T, n = 0 .. N-1.

        z_k -> (I - s_k W^{N-1}) ... (I - s_k W^0) z_k                 Tao et al. 2018, eq. (8)

    The later sub-block stands on the left.  For an operator that is self-adjoint in its measure the largest norm over
    the modes is the operator norm of the stage in that measure; otherwise it is a lower bound of it.

    Parameters
    ----------
    modes : a nonlocal operator (dense eigensolve), or an (M,) real or complex array of eigenvalues s of -L.
    weights : the W^n in the order of application: numbers or (C, C) arrays.

    Returns  `Amplification`.
    Raises   ShapeError: a batch of operators, weights of several sizes, no weights; DtypeError, NonFiniteError.
    Accuracy norms 4 C N eps prod_n ||I - s W^n||; radii that times the condition of the eigenvalue.
    Cost     O(M^3) for the modes of an operator, O(M N C^3) for the products.
    """
    if isinstance(modes, NonlocalOperator):
        check_operator(modes)
        s = eigenvalues_of_generator(modes)
    else:
        s = to_numpy(check_array(modes, "modes", ndim=1, complex_ok=True))
        s = s.astype(np.complex128 if np.iscomplexobj(s) else np.float64)
    return amplification_of(s, as_weights(weights))


def amplification_of(s: np.ndarray, given: tuple[Weight, ...]) -> Amplification:
    """`amplification` of checked arguments."""
    rows = max(1, ENTRIES_PER_CHUNK // given[0].channels ** 2)
    parts = [_measure(s[i : i + rows], given) for i in range(0, len(s), rows)]
    norms, radii, transients, factor_norms = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return Amplification(s, norms, radii, transients, factor_norms, given)


def stage_products(s: np.ndarray, weights: Sequence[Weight]) -> list[np.ndarray]:
    """The partial products (I - s W^n) ... (I - s W^0), n = 0 .. N-1, each (len(s), C, C)."""
    products, P = [], np.eye(weights[0].channels)
    for weight in weights:
        P = P - s[:, None, None] * (weight.matrix @ P)
        products.append(P)
    return products


def _measure(s: np.ndarray, weights: Sequence[Weight]) -> tuple[np.ndarray, ...]:
    products = stage_products(s, weights)
    norms = np.stack([_norms(P) for P in products])
    radii = np.max(np.abs(np.linalg.eigvals(products[-1])), axis=-1)
    factor_norms = np.stack([_norms(stage_products(s, [w])[0]) for w in weights])
    return norms[-1], radii, np.maximum(np.max(norms, axis=0), 1.0), factor_norms


def _norms(P: np.ndarray) -> np.ndarray:
    return np.linalg.norm(P, 2, axis=(-2, -1))
