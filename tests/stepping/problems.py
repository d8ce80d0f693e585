"""Random operators, weights and fields, with the dense generator and the exact flow they must follow."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from scipy.linalg import expm

from nlmodel.operators import NonlocalOperator


HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")
CONSERVING = ("none", "row", "sinkhorn", "alpha")


@dataclass(frozen=True)
class Setting:
    """An operator on M positions and a field with C channels."""

    op: NonlocalOperator
    Z: np.ndarray
    rng: np.random.Generator

    @property
    def L(self) -> np.ndarray:
        return self.op.to_dense()

    @property
    def s(self) -> np.ndarray:
        """Eigenvalues of -L, ascending."""
        S = self.op.symmetrized().to_dense()
        return np.linalg.eigvalsh(np.diag(self.op.exit_rate) - (S + S.T) / 2)

    def weight(self) -> np.ndarray:
        C = self.Z.shape[-1]
        return self.rng.standard_normal((C, C))

    def __repr__(self) -> str:
        return f"Setting({self.op!r}, Z {self.Z.shape})"


@lru_cache(maxsize=1000)
def operator(seed: int, M: int, how: str, symmetric: bool) -> NonlocalOperator:
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0.1, 1.0, (M, M))
    omega = (raw + raw.T) / 2 if symmetric else raw
    return NonlocalOperator.from_affinity(omega, how, weights=rng.uniform(0.5, 2.0, M) / M)


def setting(seed: int, M: int, C: int, how: str = "row", *, symmetric: bool = True) -> Setting:
    rng = np.random.default_rng(seed)
    return Setting(operator(seed % 12, M, how, symmetric), rng.standard_normal((M, C)), rng)


@st.composite
def settings(draw, hows=HOWS, symmetric: bool = True) -> Setting:
    how = draw(st.sampled_from(hows))
    M, C = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    return setting(draw(st.integers(0, 2**32 - 1)), M, C, how, symmetric=symmetric)


def matrix(weight, C: int) -> np.ndarray:
    """W as a matrix."""
    if weight is None:
        return np.eye(C)
    return weight * np.eye(C) if np.isscalar(weight) else weight


def flow(L: np.ndarray, Z: np.ndarray, weight, time: float) -> np.ndarray:
    """exp(time L (x) W) vec(Z) by the dense exponential."""
    W = matrix(weight, Z.shape[-1])
    return (expm(time * np.kron(L, W)) @ Z.reshape(-1)).reshape(Z.shape)
