"""One set of laws for every representation, each compared with dense float64, each with a twin that must fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.testing import adjoint_gap, conservation_gap, tolerance
from tests.operators.cases import STORAGES, Case, cases


SEEDS = st.integers(0, 2**32 - 1)
SINKHORN_RESIDUAL = 64  # eps: where the iteration stops


def slack(case: Case, amplification: float = 1.0) -> float:
    """Rounding of one product: the longest sum, the size of its terms, and what the normalisation left."""
    n = len(case.omega) + 8
    spread = 1.0 + float(np.ptp(np.log(case.measure)))
    if case.how == "sinkhorn":
        n += SINKHORN_RESIDUAL
    return tolerance("reduction", case.op.dtype, n=n, scale=amplification * spread)


def size_of(case: Case) -> float:
    """max_i of the absolute row sum of K and the exit rate: a bound of both |K| and |r| in the maximum norm."""
    return float(np.max(np.abs(case.K).sum(1) + np.abs(case.exit_rate)))


def field(case: Case, seed: int, columns: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (case.op.size, columns)).astype(case.op.dtype)


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_equals_the_dense_definition(storage, data):
    case = data.draw(cases(storage))
    bound = slack(case, size_of(case))
    assert np.max(np.abs(case.op.to_dense() - case.L)) <= bound
    assert np.max(np.abs(case.op.diagonal() - np.diag(case.K))) <= bound
    Z = field(case, data.draw(SEEDS))
    assert np.max(np.abs(case.op @ Z - case.L @ Z)) <= bound
    assert np.max(np.abs(case.op.average(Z) - case.K @ Z)) <= bound
    column_size = float(np.max(np.abs(case.K).sum(0) + np.abs(case.exit_rate)))
    assert np.max(np.abs(case.op.T @ Z - case.L.T @ Z)) <= slack(case, column_size)
    assert (case.op @ Z).dtype == Z.dtype


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_transpose_is_the_adjoint(storage, data):
    case = data.draw(cases(storage))
    rng = np.random.default_rng(data.draw(SEEDS))
    assert adjoint_gap(case.op, rng=rng) <= slack(case, np.sqrt(len(case.omega)) * size_of(case))


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_constants_are_steady(storage, data):
    case = data.draw(cases(storage, hows=("none", "row", "sinkhorn", "alpha")))
    assert "constants" in case.op.keeps
    ones = np.ones((case.op.size, 1), dtype=case.op.dtype)
    assert np.max(np.abs(case.op @ ones)) <= slack(case, size_of(case))


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_weighted_mean_is_conserved_and_operator_self_adjoint(storage, data):
    case = data.draw(cases(storage))
    Z, Y = field(case, data.draw(SEEDS)), field(case, data.draw(SEEDS))
    m = case.measure / np.sum(case.measure)
    assert np.max(np.abs(case.op.measure / np.sum(case.op.measure) - m)) <= slack(case)
    bound = slack(case, size_of(case))
    if "weighted_mean" in case.op.keeps:
        assert np.max(np.abs(m @ (case.op @ Z))) <= bound
        assert np.max(np.abs(m @ Z - case.op.mean(Z))) <= bound
    else:
        assert case.how == "symmetric"
    left = np.sum(m[:, None] * Y * (case.op @ Z))
    right = np.sum(m[:, None] * Z * (case.op @ Y))
    assert abs(left - right) <= 2 * bound * Z.shape[1]
    adjoint = case.op.adjoint()
    ratio = float(np.max(case.measure) / np.min(case.measure))
    assert np.max(np.abs(adjoint @ Z - case.op @ Z)) <= ratio * bound * 2


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_energy_is_the_sum_of_squared_differences(storage, data):
    case = data.draw(cases(storage, hows=("none", "row", "sinkhorn", "alpha")))
    Z = field(case, data.draw(SEEDS))
    m = case.op.measure.astype(np.float64)
    gaps = ((Z[:, None].astype(float) - Z[None]) ** 2).sum(-1)
    expected = 0.5 * np.sum(m[:, None] * case.K * gaps)
    bound = slack(case, float(np.sum(m)) * size_of(case)) * Z.shape[1] * 2
    assert abs(float(case.op.energy(Z)) - expected) <= bound
    assert expected >= 0


@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
def test_symmetrized_has_the_spectrum_of_K(storage, data):
    case = data.draw(cases(storage, dtypes=(np.float64,)))
    S = case.op.symmetrized().to_dense()
    bound = slack(case, size_of(case))
    assert np.max(np.abs(S - S.T)) <= 4 * bound
    expected = np.sort(np.linalg.eigvals(case.K).real)
    ratio = np.sqrt(float(np.max(case.measure) / np.min(case.measure)))  # condition of the eigenbasis of K
    assert np.max(np.abs(np.linalg.eigvalsh((S + S.T) / 2) - expected)) <= 64 * ratio * bound


TWINS = {
    "sign of the diagonal": lambda case: case.K + np.diag(case.exit_rate),
    "missing normaliser": lambda case: case.omega * case.weights - np.eye(len(case.omega)),
    "column normalised": lambda case: case.K / case.K.sum(0) - np.diag(case.exit_rate),
    "transposed": lambda case: case.L.T,
}


def defects(case: Case, L: np.ndarray) -> dict[str, float]:
    """What the laws above measure, for any matrix in place of the operator."""
    m, one = case.measure / case.measure.sum(), np.ones(len(L))
    weighted = m[:, None] * L
    return {
        "definition": float(np.max(np.abs(L - case.L))),
        "constants": float(np.max(np.abs(L @ one))),
        "mean": float(np.max(np.abs(m @ L))),
        "self-adjoint": float(np.max(np.abs(weighted - weighted.T))),
    }


CAUGHT_BY = {
    "sign of the diagonal": ("definition", "constants", "mean"),
    "missing normaliser": ("definition", "constants", "mean"),
    "column normalised": ("definition", "constants", "self-adjoint"),
    "transposed": ("definition", "constants", "mean", "self-adjoint"),
}


@pytest.mark.parametrize("twin", TWINS)
def test_wrong_twins_break_the_laws(twin, rng):
    from nlmodel import NonlocalOperator

    raw = rng.uniform(0.1, 1.0, (7, 7))
    omega = (raw + raw.T) / 2
    case = Case(NonlocalOperator.from_affinity(omega), omega, np.ones(7), "row")
    bound = slack(case, size_of(case))
    right, wrong = defects(case, case.op.to_dense()), defects(case, TWINS[twin](case))
    assert all(gap <= bound for gap in right.values())
    for law in CAUGHT_BY[twin]:
        assert wrong[law] > 1e6 * bound


def test_helpers_see_the_twin(rng):
    from nlmodel import NonlocalOperator

    raw = rng.uniform(0.1, 1.0, (7, 7))
    op = NonlocalOperator.from_affinity((raw + raw.T) / 2)

    class Forgetful(type(op)):
        def apply_transposed(self, Z):
            return self.apply(Z)

    wrong = Forgetful(op.averaging, op.potentials)
    assert adjoint_gap(op, rng=rng) <= tolerance("reduction", n=7, scale=2.0)
    assert adjoint_gap(wrong, rng=rng) > 1e-3
    Z = rng.standard_normal((7, 2))
    assert conservation_gap(op, Z) <= tolerance("reduction", n=14)
    lazy = NonlocalOperator.from_affinity(raw)  # not symmetric: its degree is not an invariant measure

    class Pretender:
        measure = lazy.degree

        def __matmul__(self, Z):
            return lazy @ Z

    assert conservation_gap(Pretender(), Z) > 1e-4
