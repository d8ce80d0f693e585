"""The measured assumptions: numbers with known answers, verdicts with a matrix on either side."""

from itertools import pairwise

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from nlmodel.assumptions import AssumptionReport, check_assumptions
from nlmodel.errors import ConvergenceError, DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.kernels import DotProduct, ExpDot, Gaussian, TopHat
from nlmodel.testing import assert_close


VERDICTS = ("finite", "symmetric", "nonnegative", "positive_semidefinite", "unit_rows", "doubly_stochastic")
CYCLE = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def verdicts(omega):
    report = check_assumptions(omega)
    return tuple(getattr(report, name) for name in VERDICTS)


def cloud(seed, count=6):
    return np.random.default_rng(seed).standard_normal((count, 3))


T, F = True, False


@pytest.mark.parametrize(
    ("omega", "expected"),
    [
        (np.eye(4), (T, T, T, T, T, T)),
        (np.full((3, 3), 1 / 3), (T, T, T, T, T, T)),
        (CYCLE, (T, F, T, F, T, T)),
        (np.array([[0.5, 0.5], [0.9, 0.1]]), (T, F, T, F, T, F)),
        (np.array([[1.0, 0.2], [0.0, 1.0]]), (T, F, T, F, F, F)),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), (T, T, T, F, T, T)),
        (np.array([[2.0, -1.0], [-1.0, 2.0]]), (T, T, F, T, T, F)),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), (F, F, F, F, F, F)),
        (np.array([[1.0, np.inf], [0.0, 1.0]]), (F, F, F, F, F, F)),
        (np.zeros((2, 2)), (T, T, T, T, F, F)),
        (np.array([[-1.0]]), (T, T, F, F, F, F)),
        (np.array([[1.0]]), (T, T, T, T, T, T)),
    ],
)
def test_verdicts(omega, expected):
    assert verdicts(omega) == expected
    assert verdicts(sparse.csr_array(omega)) == expected


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_semidefinite_kernels_are_found_so_and_shifted_ones_not(seed, count):
    X = cloud(seed, count)
    for kernel in (Gaussian(), ExpDot(3.0), DotProduct()):
        omega = kernel(X)
        report = check_assumptions(omega)
        assert report.symmetric and report.positive_semidefinite
        shift = report.smallest_eigenvalue + 100 * report.tolerance * report.norm
        assert not check_assumptions(omega - shift * np.eye(count)).positive_semidefinite


def test_row_normalisation_loses_symmetry():
    """(11) and (12) cannot both be had by dividing by row sums."""
    omega = Gaussian()(cloud(0, 12))
    K = omega / np.sum(omega, axis=1, keepdims=True)
    report = check_assumptions(K)
    assert report.unit_rows and report.nonnegative
    assert not report.symmetric and not report.doubly_stochastic
    assert report.symmetry_defect > 0.01 and report.stochastic_defect > 0.01


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_numbers_against_their_definitions(rng, count):
    omega, v = rng.standard_normal((count, count)), rng.uniform(0.1, 1, count)
    report = check_assumptions(omega, weights=v)
    i = range(count)
    defect = max(abs(omega[a, b] - omega[b, a]) for a in i for b in i) / np.max(np.abs(omega))
    double_sum = sum(omega[a, b] ** 2 * v[a] * v[b] for a in i for b in i) ** 0.5
    expected = {
        "symmetry_defect": defect,
        "smallest_entry": min(omega.ravel()),
        "largest_entry": max(abs(omega.ravel())),
        "hilbert_schmidt": double_sum,
        "sup_row_sum": max(sum(abs(omega[a, b]) * v[b] for b in i) for a in i),
        "sup_column_sum": max(sum(abs(omega[b, a]) * v[b] for b in i) for a in i),
        "norm": max(sum(abs(omega[a])) for a in i),
        "smallest_eigenvalue": min(np.linalg.eigvals((omega + omega.T) / 2).real),
    }
    for name, value in expected.items():
        assert_close(np.array(getattr(report, name)), np.array(value), "reduction", n=8 * count, scale=1 + report.norm)
    sums = np.array([*report.row_sums, *report.column_sums])
    rows, columns = omega.sum(axis=1), omega.sum(axis=0)
    assert_close(
        sums, np.array([min(rows), max(rows), min(columns), max(columns)]), "reduction", n=count, scale=report.norm
    )


def midpoints(cells):
    return (np.arange(cells) + 0.5) / cells


def test_finite_hilbert_schmidt_norm_with_unbounded_row_sums():
    """rho = (xy)^(-1/4) on the unit square: norm 2, but sup_x int rho dy is infinite, like h^(-1/4) on a mesh."""
    reports = [check_assumptions(np.outer(midpoints(n), midpoints(n)) ** -0.25) for n in (50, 200, 800)]
    norms = [r.hilbert_schmidt for r in reports]
    sups = [r.sup_row_sum for r in reports]
    assert norms == sorted(norms) and 2 - norms[-1] < 2 - norms[0] < 0.1
    for coarse, fine in pairwise(sups):
        assert abs(fine / coarse - 4**0.25) < 0.01


def test_bounded_row_sums_of_an_integrable_kernel():
    """The control: for the top-hat the supremum settles at int rho = 6/delta^2."""
    sups = [check_assumptions(TopHat(0.2)(midpoints(n)[:, None])).sup_row_sum for n in (51, 201, 801)]
    sigma = TopHat(0.2).moment(0)
    gaps = [abs(s - sigma) / sigma for s in sups]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.01


def test_weights_are_cell_volumes():
    """Twice the resolution in one half, the same norms."""
    rho = lambda x: np.exp(-np.abs(x[:, None] - x))  # noqa: E731
    even = midpoints(400)
    uneven = np.concatenate([0.5 * midpoints(400), 0.5 + 0.5 * midpoints(200)])
    volumes = np.concatenate([np.full(400, 0.5 / 400), np.full(200, 0.5 / 200)])
    reference = check_assumptions(rho(even))
    weighted, plain = check_assumptions(rho(uneven), weights=volumes), check_assumptions(rho(uneven))
    assert abs(weighted.hilbert_schmidt - reference.hilbert_schmidt) < 1e-4
    assert abs(weighted.sup_row_sum - reference.sup_row_sum) < 1e-4
    assert abs(plain.sup_row_sum - reference.sup_row_sum) > 1e-2


def test_every_library_and_precision_gives_the_same_report():
    omega = Gaussian()(cloud(1, 20))
    reference = check_assumptions(omega)
    assert check_assumptions(torch.tensor(omega, requires_grad=True)) == reference
    assert check_assumptions(array_api_strict.asarray(omega)) == reference
    for form in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        found = check_assumptions(form(omega))
        for name in VERDICTS:
            assert getattr(found, name) == getattr(reference, name)
        assert_close(np.array(found.norm), np.array(reference.norm), "reduction", n=20)
    single = check_assumptions(omega.astype(np.float32))
    assert single.tolerance == 4 * 20 * float(np.finfo(np.float32).eps) and single.positive_semidefinite


def test_a_defect_above_the_tolerance_is_seen_and_one_below_is_not():
    omega = np.full((50, 50), 1 / 50)
    tolerance = check_assumptions(omega).tolerance
    for factor, holds in ((0.1, True), (10.0, False)):
        changed = omega.copy()
        changed[0, 1] += factor * tolerance
        report = check_assumptions(changed)
        assert report.unit_rows is holds and report.doubly_stochastic is holds
        changed[0, 1] = omega[0, 1] + factor * tolerance / 50
        assert check_assumptions(changed).symmetric is holds
    negative = omega.copy()
    negative[3, 4] = -5e-9
    assert not check_assumptions(negative).nonnegative


def test_large_sparse_matrices_go_through_lanczos():
    n = 700
    laplacian = sparse.diags_array([-np.ones(n - 1), 2.5 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    exact = 2.5 - 2 * np.cos(np.pi / (n + 1))
    report = check_assumptions(laplacian)
    assert_close(np.array(report.smallest_eigenvalue), np.array(exact), "reduction", n=n, scale=4.5)
    assert report.positive_semidefinite and not report.nonnegative
    shifted = laplacian - sparse.diags_array(np.ones(n))
    assert not check_assumptions(shifted).positive_semidefinite


def test_lanczos_that_fails_says_so(monkeypatch):
    from scipy.sparse.linalg import ArpackNoConvergence

    def fail(*args, **kwargs):
        raise ArpackNoConvergence("no", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr("nlmodel.assumptions.eigsh", fail)
    with pytest.raises(ConvergenceError, match="toarray"):
        check_assumptions(sparse.eye_array(600))


def test_the_report_prints_and_tabulates():
    report = check_assumptions(CYCLE)
    assert repr(report) == (
        "AssumptionReport(size=3, finite=True, symmetric=False, nonnegative=True, positive_semidefinite=False, "
        "unit_rows=True, doubly_stochastic=True)"
    )
    rows = report.table()
    assert all(isinstance(row.value, float) and isinstance(row.holds, bool) and row.meaning for row in rows)
    holds = {row.name: row.holds for row in rows}
    assert holds["(11) unit row sums"] and not holds["(12) symmetric"]
    assert not holds["(11) and (12) doubly stochastic"]
    broken = check_assumptions(CYCLE * np.nan).table()
    assert not any(row.holds for row in broken) and all(np.isnan(row.value) for row in broken)
    assert isinstance(report, AssumptionReport)


@pytest.mark.parametrize(
    ("omega", "weights", "error", "message"),
    [
        ([[1.0]], None, DtypeError, "one library"),
        (None, None, DtypeError, "one library"),
        (np.eye(2, dtype=int), None, DtypeError, "int64"),
        (np.eye(2) + 0j, None, DtypeError, "complex128"),
        (sparse.eye_array(3, dtype=int), None, DtypeError, "int64"),
        (np.ones((2, 3)), None, ShapeError, "omega must be square"),
        (sparse.csr_array(np.ones((2, 3))), None, ShapeError, "omega must be square"),
        (np.ones(3), None, ShapeError, "2 dimensions"),
        (np.ones((2, 2, 2)), None, ShapeError, "2 dimensions"),
        (np.zeros((0, 0)), None, ShapeError, "not be empty"),
        (sparse.csr_array((0, 0)), None, ShapeError, "not be empty"),
        (np.eye(2), np.ones(3), ShapeError, "one cell volume per position: got 3 for 2"),
        (np.eye(2), np.ones((2, 1)), ShapeError, "weights must have 1"),
        (np.eye(2), np.array([1.0, 0.0]), DomainError, "cell volumes > 0"),
        (np.eye(2), np.array([1.0, -1.0]), DomainError, "smallest -1"),
        (np.eye(2), np.array([1.0, np.nan]), NonFiniteError, "weights must be finite"),
        (np.eye(2), np.array([1, 1]), DtypeError, "weights"),
    ],
)
def test_bad_input(omega, weights, error, message):
    with pytest.raises(error, match=message):
        check_assumptions(omega, weights=weights)


def test_entries_at_both_ends_of_the_range():
    unit = check_assumptions(np.array([[2.0, 1.0], [1.0, 2.0]]))
    for size in (1e-300, 1e300, 0.99 * 2.0**1023):
        report = check_assumptions(size * np.array([[2.0, 1.0], [1.0, 2.0]]))
        assert_close(np.array(report.smallest_eigenvalue / size), np.array(unit.smallest_eigenvalue), "solve", n=2)
        assert_close(np.array(report.hilbert_schmidt / size), np.array(unit.hilbert_schmidt), "reduction", n=4)
        assert report.positive_semidefinite and not check_assumptions(-size * np.eye(2)).positive_semidefinite
    assert report.row_sums == (np.inf, np.inf) and not report.unit_rows  # beyond the range


def test_a_large_sparse_matrix_without_entries():
    report = check_assumptions(sparse.csr_array((700, 700)))
    assert report.smallest_eigenvalue == 0 and report.positive_semidefinite and not report.positive_rows
