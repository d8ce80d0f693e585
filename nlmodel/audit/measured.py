"""What every section of an audit looks at: the affinity, its operator and its spectrum, found once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse.csgraph import connected_components

from nlmodel._arrays import check_choice
from nlmodel.audit.words import number
from nlmodel.errors import DomainError, NormalizationError, ShapeError
from nlmodel.kernels import DotProduct, ExpDot, Gaussian, Kernel
from nlmodel.operators import NonlocalOperator


KERNELS = ("gaussian", "exp_dot", "dot_product")
LARGEST_EXPONENT = 600.0  # so that row sums and products of exp() stay within float64


@dataclass(frozen=True, eq=False, repr=False)
class Measured:
    """An affinity with its operator L = K - diag(exit rate); with the features it came from, when there are any.

    Attributes
    ----------
    omega : (M, M) raw affinity, divided by exp(shift) where it would overflow.
    features : (M, C) rows Z_i, or None.
    grid : rows and columns of the positions on an image, or None.
    """

    omega: np.ndarray
    op: NonlocalOperator
    kernel: Kernel | None = None
    features: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    assumed: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of positions M."""
        return self.op.size

    @cached_property
    def K(self) -> np.ndarray:
        """The averaging matrix."""
        return self.op.averaging.to_dense()

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues s of -L, increasing, and orthonormal eigenvectors of M^{1/2} L M^{-1/2}; reversible only."""
        S = self.op.symmetrized().to_dense()
        s, vectors = np.linalg.eigh(np.diag(self.op.exit_rate) - (S + S.T) / 2)
        noise = 8 * self.size * self.op.eps * float(np.max(np.abs(s)))
        return np.where(np.abs(s) <= noise, 0.0, s), vectors

    @cached_property
    def s(self) -> np.ndarray:
        """Eigenvalues of -L by increasing real part; real for a reversible operator."""
        if self.op.reversible:
            return self.modes[0]
        s = np.linalg.eigvals(np.diag(self.op.exit_rate) - self.K)
        return s[np.lexsort((s.imag, s.real))]

    @cached_property
    def components(self) -> int:
        """Number of connected components of the affinity graph."""
        return int(connected_components(self.K != 0, directed=False)[0])

    @cached_property
    def stochastic(self) -> bool:
        """Whether K is a transition matrix: nonnegative with unit rows by construction."""
        return self.op.nonnegative and self.op.normalize in ("row", "sinkhorn", "alpha")

    @cached_property
    def chain(self) -> np.ndarray:
        """K without pairs that underflow on one side only, which would look like one-way streets."""
        if not self.op.reversible:
            return self.K
        return np.where(np.minimum(self.K, self.K.T) > np.finfo(float).tiny, self.K, 0.0)

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of the squared norm of the features, in the measure of L, that each mode carries."""
        root = np.sqrt(np.asarray(self.op.measure))[:, None]
        weight = np.sum((self.modes[1].T @ (root * np.asarray(self.features))) ** 2, axis=1)
        total = float(np.sum(weight))
        return weight / total if total else weight


def from_features(
    X: np.ndarray,
    *,
    kernel: str = "gaussian",
    scale: float | None = None,
    normalize: str = "row",
    grid: tuple[int, int] | None = None,
) -> Measured:
    """The affinity of features under one of the kernels, with every choice put into words."""
    if len(X) < 3:
        raise ShapeError(
            "an audit of features needs at least 3 positions", got=f"{len(X)} rows", fix="rows are positions"
        )
    made, said = make_kernel(X, kernel, scale)
    if normalize == "none":
        said += " Sums over positions are divided by $M$, as in Wang et al. for kernels without a normaliser."
    if made.exponential and normalize != "none":
        logs = made.log(X)
        logs = (logs + logs.T) / 2
        shift = max(float(np.max(logs)) - LARGEST_EXPONENT, 0.0)
        op = NonlocalOperator.from_affinity(logs - shift, normalize, log=True)
        _check_range(op)
        measured = Measured(np.exp(logs - shift), op, made, X, grid, (said, NORMALIZED[normalize]))
        if shift:
            line = (
                f"$\\omega$ overflows; it is shown divided by exp({number(shift)}), which no normalised result notices."
            )
            measured = replace(measured, assumed=(*measured.assumed, line))
        return measured
    omega = made(X)
    weights = 1 / len(X) if normalize == "none" else None
    try:
        op = NonlocalOperator.from_affinity((omega + omega.T) / 2, normalize, weights=weights)
    except NormalizationError as error:
        raise NormalizationError(
            error.what,
            got=error.got,
            why="scalar products have either sign, and the normalisation divides by their sums",
            fix="pass --normalize none, which divides by the number of positions, or --kernel gaussian",
        ) from error
    return Measured(omega, op, made, X, grid, (said, NORMALIZED[normalize]))


def _check_range(op: NonlocalOperator) -> None:
    """Refuse a measure whose smallest weight is lost beside its largest one."""
    if op.reversible and not np.all(np.asarray(op.measure) > 0):
        raise DomainError(
            "the row sums of the affinity must fit into float64 together",
            got="some of them vanish beside others",
            why="a few long feature vectors then carry all the weight, and no average is left",
            fix="pass a larger temperature by --scale, or normalise the features",
        )


def from_affinity(omega: np.ndarray, *, normalize: str = "row") -> Measured:
    """A given affinity."""
    if len(omega) < 3:
        raise ShapeError("an audit of an affinity needs at least 3 positions", got=f"shape {omega.shape}")
    return Measured(omega, NonlocalOperator.from_affinity(omega, normalize), assumed=(NORMALIZED[normalize],))


NORMALIZED = {
    "none": "Not normalised: $L = \\omega - \\mathrm{diag}(C)$, $C_i$ the row sums.",
    "row": "Normalised by rows as in the paper, $K_{ij} = \\omega_{ij} / \\sum_k \\omega_{ik}$ (`--normalize`).",
    "symmetric": "Normalised symmetrically, $K_{ij} = \\omega_{ij} / \\sqrt{C_i C_j}$.",
    "sinkhorn": "Normalised by Sinkhorn: one scaling on both sides makes all rows and columns sum to 1.",
    "alpha": "Normalised as in diffusion maps with $\\alpha = 1$: densities are divided out first.",
}


def make_kernel(X: np.ndarray, name: str, scale: float | None) -> tuple[Kernel, str]:
    """The kernel and a sentence about it."""
    check_choice(name, "kernel", KERNELS)
    if name == "dot_product":
        if scale is not None:
            raise DomainError("the dot product has no scale", got=f"--scale {scale:g}", fix="leave out --scale")
        return DotProduct(), "Affinity $\\omega_{ij} = X_i \\cdot X_j$."
    if name == "exp_dot":
        t = 1.0 if scale is None else scale
        how = "the paper's choice; `--scale` sets another" if scale is None else "as asked"
        formula = "Affinity $\\omega_{ij} = \\exp(X_i \\cdot X_j / t)$"
        return ExpDot(t), f"{formula} with temperature $t$ = {number(t)} ({how})."
    bandwidth = median_distance(X) if scale is None else scale
    how = "the median distance of two positions; `--scale` sets another" if scale is None else "as asked"
    formula = "$\\omega_{ij} = \\exp(-\\|X_i - X_j\\|^2 / (2 h^2))$"
    return Gaussian(bandwidth), f"Affinity {formula} with bandwidth $h$ = {number(bandwidth)} ({how})."


def median_distance(X: np.ndarray) -> float:
    """The median of the positive distances between positions; 1 when all positions coincide."""
    from scipy.spatial.distance import pdist

    distances = pdist(X)
    distances = distances[distances > 0]
    return float(np.median(distances)) if distances.size else 1.0
