"""Sign counts of the largest eigenvalues, against the random weight that has learned nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import DomainError
from nlmodel.spectrum import null_model, sign_z_score, signed_mass, symmetric_part, top_by_magnitude
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)
Z_BOUND = 5.0


@given(seeds, st.integers(1, 8))
def test_law_top_by_magnitude_is_the_head_of_the_spectrum(seed: int, C: int) -> None:
    rng = np.random.default_rng(seed)
    W, k = rng.standard_normal((C, C)), int(rng.integers(1, C + 1))
    top, every = top_by_magnitude(W, k), np.linalg.eigvalsh(symmetric_part(W))
    assert np.all(np.diff(np.abs(top)) <= 0)
    assert_close(np.abs(top), np.sort(np.abs(every))[::-1][:k])
    bound = tolerance("solve", n=C, scale=float(np.max(np.abs(every))))
    assert np.max(np.abs(top_by_magnitude(-W, k) + top)) <= bound


def test_twin_by_value_is_another_order() -> None:
    W = np.diag([1.0, -3.0, 2.0])
    np.testing.assert_array_equal(top_by_magnitude(W, 2), [-3.0, 2.0])
    assert not np.array_equal(np.linalg.eigvalsh(W)[::-1][:2], top_by_magnitude(W, 2))


@given(seeds, st.integers(1, 8))
def test_law_masses_add_up_to_the_trace(seed: int, C: int) -> None:
    W = np.random.default_rng(seed).standard_normal((C, C))
    mass = signed_mass(W)
    bound = tolerance("solve", n=C, scale=C * float(np.linalg.norm(W, 2)))
    assert mass.negative <= 0 <= mass.positive
    assert abs(mass.positive + mass.negative - mass.trace) <= bound
    assert abs(mass.trace - np.trace(W)) <= bound


def test_twin_masses_without_their_sign_do_not(rng: np.random.Generator) -> None:
    mass = signed_mass(rng.standard_normal((6, 6)))
    assert abs(mass.positive - mass.negative - mass.trace) > 1


def test_null_model_of_the_paper_is_far_narrower_than_coin_tosses() -> None:
    null = null_model(64, 32, 32, draws=120, rng=np.random.default_rng(1))
    assert abs(null.mean - 16) <= Z_BOUND * null.std / np.sqrt(120)
    assert 14 <= null.low <= 16 <= null.high <= 18
    coin = np.sqrt(32 / 4)
    assert null.std < coin / 3
    assert null.counts.shape == (120,)
    assert repr(null).startswith("NullModel(channels=64, inner=32, k=32, mean=1")


def test_twin_independent_signs_would_spread_like_coins() -> None:
    counts = np.random.default_rng(1).binomial(32, 0.5, 120)
    assert not np.std(counts, ddof=1) < np.sqrt(32 / 4) / 3


def by_definition(channels: int, inner: int, k: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of whole random weights."""
    pairs = (rng.standard_normal((2, channels, inner)) for _ in range(draws))
    return np.array([np.sum(top_by_magnitude(W_Z @ W_g.T, k) < 0) for W_Z, W_g in pairs])


def check_one_law(first: np.ndarray, second: np.ndarray) -> None:
    """Every count is as frequent in both samples of n, to Z_BOUND standard deviations."""
    n, most = len(first), int(max(first.max(), second.max())) + 1
    one, two = (np.bincount(counts, minlength=most) for counts in (first, second))
    share = (one + two) / (2 * n)
    assert np.all(np.abs(one - two) <= Z_BOUND * np.sqrt(2 * n * share * (1 - share)))


@pytest.mark.parametrize(("channels", "inner", "k"), [(9, 7, 5), (6, 6, 3), (12, 3, 4), (3, 1, 1), (1, 2, 1)])
def test_null_model_has_the_law_of_whole_weights(channels: int, inner: int, k: int) -> None:
    null = null_model(channels, inner, k, draws=2000, rng=np.random.default_rng(8))
    whole = by_definition(channels, inner, k, 2000, np.random.default_rng(9))
    check_one_law(null.counts, whole)
    with pytest.raises(AssertionError):  # the control: coin tosses
        check_one_law(np.random.default_rng(9).binomial(k + 2, 0.5, 2000), whole)


def test_null_model_is_symmetric_and_reproducible() -> None:
    first, again = (null_model(8, 3, 4, draws=200, rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert abs(first.mean - 2) <= Z_BOUND * first.std / np.sqrt(200)
    other = null_model(8, 3, 4, draws=200, rng=np.random.default_rng(4))
    assert not np.array_equal(first.counts, other.counts)


@pytest.mark.parametrize(("channels", "inner"), [(4, 2), (7, 3), (5, 1)])
def test_the_inertia_theorem_fixes_the_count_of_all(channels: int, inner: int) -> None:
    null = null_model(channels, inner, 2 * inner, draws=20, rng=np.random.default_rng(0))
    assert (null.low, null.high, null.std) == (inner, inner, 0)
    with pytest.raises(DomainError, match=r"null.std must not vanish"):
        sign_z_score(np.eye(channels), 2 * inner, null)


def test_z_score_tells_a_negative_weight_from_a_random_one(rng: np.random.Generator) -> None:
    null = null_model(64, 32, 32, draws=60, rng=np.random.default_rng(2))
    W_Z = rng.standard_normal((64, 32))
    damping = W_Z @ (-0.7 * W_Z.T + 0.05 * rng.standard_normal((32, 64)))
    score = sign_z_score(damping, 32, null)
    assert score == (32 - null.mean) / null.std > 20
    assert sign_z_score(-damping, 32, null) == -null.mean / null.std < -20
    assert abs(sign_z_score(W_Z @ rng.standard_normal((32, 64)), 32, null)) < Z_BOUND
    with pytest.raises(DomainError, match=r"same k.*k=16, C=64 against k=32, C=64"):
        sign_z_score(damping, 16, null)
    with pytest.raises(DomainError, match=r"same number of channels.*C=33"):
        sign_z_score(np.eye(33), 32, null)
