"""Which representation "auto" takes: exact unless a tolerance is given, and why."""

import numpy as np
import pytest

from nlmodel import NonlocalOperator
from nlmodel.errors import ChoiceError, DomainError, MissingPackageError, NonFiniteError
from nlmodel.kernels import ExpDot, Exponential, Gaussian, TopHat
from nlmodel.testing import assert_close


M, TOL = 1200, 1e-6
X = np.random.default_rng(0).random((M, 2))
Z = np.random.default_rng(1).standard_normal((M, 3))
SMOOTH, NARROW, LOCAL = Gaussian(0.3), Gaussian(0.02), TopHat(0.2, dim=2)


def operator(kernel, **options):
    return NonlocalOperator.from_points(X, kernel, **options)


@pytest.mark.parametrize("kernel", [SMOOTH, NARROW, LOCAL, ExpDot(), Exponential(np.inf, 0.3, dim=2)], ids=repr)
def test_without_a_tolerance_nothing_is_approximated(kernel):
    op = operator(kernel)
    assert op.storage in ("dense", "sparse")
    assert operator(SMOOTH, tol=TOL).storage == "nufft"  # control


@pytest.mark.parametrize(
    ("kernel", "storage", "reason"),
    [
        (SMOOTH, "nufft", "tol=1e-06 allows"),
        (LOCAL, "sparse", "finite horizon and 1200"),
        (ExpDot(), "lowrank", "tol=1e-06 allows"),
    ],
    ids=repr,
)
def test_a_tolerance_allows_what_suits_the_kernel(kernel, storage, reason):
    op = operator(kernel, tol=TOL, normalize="none")
    assert (op.storage, reason in op.storage_reason) == (storage, True)
    exact, total = operator(kernel, storage="dense", normalize="none").to_dense(), np.abs(Z).sum(0)
    largest = max(1.0, float(np.abs(exact).max()))  # omega_ii <= that
    assert np.all(np.abs(exact @ Z - op @ Z) <= 2 * TOL * largest * (total + np.abs(Z).max() * M))


def test_few_positions_stay_exact():
    op = NonlocalOperator.from_points(X[:999], SMOOTH, tol=TOL)
    assert op.storage == "dense"
    assert "MiB" in op.storage_reason


def test_what_cannot_be_approximated_is_exact_and_says_why():
    op = operator(SMOOTH, tol=1e-15)
    assert op.storage == "dense"
    assert "not nufft: tol must be one" in op.storage_reason
    assert "not lowrank: " in op.storage_reason


def test_row_sums_too_small_for_the_tolerance_lead_on():
    """To landmarks, of which a lonely point is one."""
    far = np.concatenate([X, [[50.0, 50.0]]])
    weights = np.concatenate([np.ones(M), [1e-9]])
    op = NonlocalOperator.from_points(far, SMOOTH, tol=0.05, weights=weights)
    assert op.storage == "lowrank"
    assert "not nufft: every row sum of an approximate affinity must exceed" in op.storage_reason
    assert NonlocalOperator.from_points(far, SMOOTH, "none", tol=0.05).storage == "nufft"  # control


def test_without_finufft_landmarks_serve(monkeypatch):
    def missing():
        raise MissingPackageError('storage="nufft" needs finufft', got="none")

    monkeypatch.setattr("nlmodel.operators.nufft.finufft", missing)
    op = operator(SMOOTH, tol=TOL)
    assert op.storage == "lowrank"
    with pytest.raises(MissingPackageError, match="needs finufft"):
        operator(SMOOTH, storage="nufft")


@pytest.mark.parametrize("storage", ["nufft", "lowrank"])
def test_asked_for_they_keep_constants_and_the_weighted_mean(storage):
    op = operator(SMOOTH, storage=storage, tol=TOL)
    assert op.storage_reason == "asked for"
    assert_close(op @ np.ones((M, 1)), np.zeros((M, 1)), "reduction", n=M, scale=1.0)
    assert_close(op.mean(op @ Z), np.zeros(3), "reduction", n=M, scale=float(np.abs(Z).max()))
    assert np.abs(op @ Z).max() > 0.1  # control: the operator does something


@pytest.mark.parametrize("storage", ["dense", "sparse", "streamed"])
def test_exact_storages_have_no_tolerance(storage):
    with pytest.raises(ChoiceError, match="tol belongs to a storage that approximates"):
        operator(LOCAL, storage=storage, tol=TOL)


@pytest.mark.parametrize("tol", [0.0, 1.0, -1e-3, float("nan")])
def test_tolerances_are_between_zero_and_one(tol):
    with pytest.raises((DomainError, NonFiniteError), match="tol"):
        operator(SMOOTH, tol=tol)


def test_plans_are_made_beforehand_of_exact_storages_alone():
    assert NonlocalOperator.plan_points(X, SMOOTH).storage == "dense"
    with pytest.raises(ChoiceError, match="storage"):
        NonlocalOperator.plan_points(X, SMOOTH, storage="nufft")
    for storage, word in (("nufft", "modes"), ("lowrank", "rank")):
        plan = operator(SMOOTH, storage=storage).plan()
        assert word in plan.reason
        assert plan.operations < operator(SMOOTH).plan().operations
