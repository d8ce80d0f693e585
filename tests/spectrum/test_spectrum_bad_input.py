"""Every public function of the room refuses what it cannot mean, in our words."""

import numpy as np
import pytest

from nlmodel import spectrum
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, ShapeError


NULL = spectrum.null_model(3, 2, 2, draws=64, rng=np.random.default_rng(0))
Z = np.array([1.0 + 1j])
ON_A_MATRIX = {
    "symmetric_part": spectrum.symmetric_part,
    "antisymmetric_part": spectrum.antisymmetric_part,
    "inertia": spectrum.inertia,
    "top_by_magnitude": lambda A: spectrum.top_by_magnitude(A, 1),
    "signed_mass": spectrum.signed_mass,
    "sign_z_score": lambda A: spectrum.sign_z_score(A, 2, NULL),
    "eigenvalues": spectrum.eigenvalues,
    "spectral_abscissa": spectrum.spectral_abscissa,
    "spectral_radius": spectrum.spectral_radius,
    "numerical_abscissa": spectrum.numerical_abscissa,
    "numerical_radius": spectrum.numerical_radius,
    "numerical_range": spectrum.numerical_range,
    "support_function": lambda A: spectrum.support_function(A, np.zeros(2)),
    "kreiss_constant": spectrum.kreiss_constant,
    "power_bound": lambda A: spectrum.power_bound(A, 2),
    "transient_peak": spectrum.transient_peak,
    "pseudospectrum": lambda A: spectrum.pseudospectrum(A, Z),
    "pseudospectral_abscissa": lambda A: spectrum.pseudospectral_abscissa(A, 0.1),
    "pseudospectral_radius": lambda A: spectrum.pseudospectral_radius(A, 0.1),
    "tensor_pseudospectrum": lambda A: spectrum.tensor_pseudospectrum(A, np.ones(2), Z),
}
BAD_MATRICES = [
    pytest.param(np.array([[1.0, np.nan], [0.0, 1.0]]), NonFiniteError, "must be finite", id="NaN"),
    pytest.param(np.array([[1.0, np.inf], [0.0, 1.0]]), NonFiniteError, "must be finite", id="Inf"),
    pytest.param(np.eye(2, dtype=int), DtypeError, "floating-point array: got dtype int64", id="integers"),
    pytest.param(np.eye(2, dtype=bool), DtypeError, "floating-point array: got dtype bool", id="booleans"),
    pytest.param([[1.0, 0.0], [0.0, 1.0]], DtypeError, "expected arrays of one library", id="list"),
    pytest.param(None, DtypeError, "expected arrays of one library", id="None"),
    pytest.param(np.ones((2, 3)), ShapeError, r"must be square.*: got shape \(2, 3\)", id="oblong"),
    pytest.param(np.ones(4), ShapeError, r"dimensions: got shape \(4,\)", id="vector"),
    pytest.param(np.ones((0, 0)), ShapeError, "must not be empty", id="empty"),
]


def test_the_table_is_complete() -> None:
    classes = {"Inertia", "SignedMass", "NullModel", "KreissConstant", "TransientPeak"}
    others = {"low_rank_inertia", "bottleneck_eigenvalues", "null_model", "discrete_symbol"}
    public = {name for name in vars(spectrum) if not name.startswith("_") and callable(getattr(spectrum, name))}
    assert public - classes - others == set(ON_A_MATRIX)


@pytest.mark.parametrize(("bad", "error", "message"), BAD_MATRICES)
@pytest.mark.parametrize("name", ON_A_MATRIX)
def test_bad_matrices(name: str, bad: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ON_A_MATRIX[name](bad)


@pytest.mark.parametrize("name", ON_A_MATRIX)
def test_one_by_one_and_repeated_rows_are_fine(name: str) -> None:
    if name != "sign_z_score":
        assert ON_A_MATRIX[name](np.array([[0.5]])) is not None
    assert ON_A_MATRIX[name](np.full((3, 3), 0.25)) is not None


@pytest.mark.parametrize("name", sorted(set(ON_A_MATRIX) - {"symmetric_part", "antisymmetric_part"}))
def test_batches_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match=r"must have 2 dimensions: got shape \(2, 3, 3\)"):
        ON_A_MATRIX[name](np.ones((2, 3, 3)))


@pytest.mark.parametrize("function", [spectrum.low_rank_inertia, spectrum.bottleneck_eigenvalues])
@pytest.mark.parametrize(
    ("left", "right", "error", "message"),
    [
        (np.ones((4, 2)), np.ones((2, 5)), ShapeError, r"factors of a square matrix.*\(4, 2\) and \(2, 5\)"),
        (np.ones((4, 2)), np.ones((3, 4)), ShapeError, r"factors of a square matrix"),
        (np.ones((4, 2)), np.ones(4), ShapeError, r"right must have 2 dimensions"),
        (np.ones((4, 2)), np.ones((2, 4), dtype=np.float32), DtypeError, "right and left must share dtype"),
        (np.ones((4, 2), dtype=int), np.ones((2, 4), dtype=int), DtypeError, "left must be a real or complex"),
        (np.ones((4, 2)), np.full((2, 4), np.nan), NonFiniteError, "right must be finite"),
        (np.ones((4, 0)), np.ones((0, 4)), ShapeError, "left must not be empty"),
    ],
)
def test_bad_factors(function, left: np.ndarray, right: np.ndarray, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        function(left, right)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: spectrum.inertia(np.eye(2), tol=-1.0), DomainError, "tol must be >= 0: got -1.0"),
        (lambda: spectrum.inertia(np.eye(2), tol=np.nan), NonFiniteError, "tol must be finite"),
        (lambda: spectrum.low_rank_inertia(np.eye(2), np.eye(2), tol="0"), DtypeError, "tol must be a real number"),
        (lambda: spectrum.top_by_magnitude(np.eye(2), 3), DomainError, "k must be at most 2: got 3"),
        (lambda: spectrum.top_by_magnitude(np.eye(2), 1.0), DtypeError, "k must be a whole number"),
        (lambda: spectrum.null_model(0, 2, 1, rng=np.random.default_rng(0)), DomainError, "channels must be at least"),
        (lambda: spectrum.null_model(4, 0, 1, rng=np.random.default_rng(0)), DomainError, "inner must be at least 1"),
        (lambda: spectrum.null_model(9, 2, 5, rng=np.random.default_rng(0)), DomainError, "k must be at most 4: got 5"),
        (lambda: spectrum.null_model(9, 2, 0, rng=np.random.default_rng(0)), DomainError, "k must be at least 1"),
        (lambda: spectrum.null_model(4, 2, 2, draws=1, rng=np.random.default_rng(0)), DomainError, "draws must be at"),
        (lambda: spectrum.null_model(4, 2, 2, rng=7), DtypeError, r"rng must be a numpy.random.Generator: got int 7"),
        (lambda: spectrum.numerical_range(np.eye(2), 2), DomainError, "points must be at least 3"),
        (lambda: spectrum.support_function(np.eye(2), [0.0]), DtypeError, "expected arrays of one library"),
        (lambda: spectrum.pseudospectrum(np.eye(2), np.array([np.nan])), NonFiniteError, "grid must be finite"),
        (lambda: spectrum.pseudospectrum(np.eye(2), np.array([1])), DtypeError, "grid must be a real or complex"),
        (lambda: spectrum.pseudospectrum(np.eye(2), np.array([], dtype=complex)), ShapeError, "grid must not be empty"),
        (lambda: spectrum.tensor_pseudospectrum(np.eye(2), np.eye(2), Z), ShapeError, "s must have 1 dimensions"),
        (lambda: spectrum.tensor_pseudospectrum(np.eye(2), 1j * np.ones(2), Z), DtypeError, "s must be a real float"),
        (lambda: spectrum.discrete_symbol(np.array([1, 2, 2])), DtypeError, "stencil must be a real float"),
        (lambda: spectrum.discrete_symbol(np.array([1j, 0j])), DtypeError, "stencil must be a real float"),
        (lambda: spectrum.discrete_symbol(np.array(1.0)), ShapeError, "stencil must have at least 1 dim"),
        (lambda: spectrum.discrete_symbol(np.array([np.inf])), NonFiniteError, "stencil must be finite"),
    ],
)
def test_bad_arguments(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
