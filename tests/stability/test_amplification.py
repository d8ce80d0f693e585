"""The stage in the modes of L, against the dense product of its update matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.stability import Amplification, amplification
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import (
    IRREVERSIBLE,
    REVERSIBLE,
    Kernel,
    energy_norm,
    random_kernel,
    spectral_radius,
    update,
)


SEEDS = st.integers(0, 2**32 - 1)


def stage(seed: int, blocks: int = 3, C: int = 3) -> list[np.ndarray]:
    return list(0.6 * np.random.default_rng(seed).standard_normal((blocks, C, C)))


def dense_stage(kernel: Kernel, weights, *, blocks: int | None = None) -> np.ndarray:
    """The whole stage as one (M C, M C) matrix, later sub-blocks on the left."""
    T = np.eye(kernel.size * len(weights[0]))
    for W in weights[:blocks]:
        T = update(kernel, W, 1.0) @ T
    return T


def check_modes_are_the_stage(amplify, kernel: Kernel, weights) -> None:
    """Norm in the measure, spectral radius and largest partial product of the dense stage."""
    found = amplify(kernel.op, weights)
    T = dense_stage(kernel, weights)
    growth = float(np.prod([1 + 2.5 * np.linalg.norm(W, 2) for W in weights]))
    rounding = tolerance("solve", n=kernel.size * 3, scale=growth)
    assert abs(np.max(found.norms) - energy_norm(T, kernel.measure, 3)) <= rounding
    parts = [energy_norm(dense_stage(kernel, weights, blocks=n), kernel.measure, 3) for n in range(4)]
    assert abs(np.max(found.transients) - max(parts)) <= rounding
    assert abs(np.max(found.radii) - spectral_radius(T)) <= 1e-6 * growth


@given(seed=SEEDS, family=st.sampled_from([f for f in REVERSIBLE if f != "unnormalised"]))
def test_the_modes_are_the_stage(seed, family):
    check_modes_are_the_stage(amplification, random_kernel(seed, family), stage(seed))


def transposed(op, weights):
    """Twin: Z W for Z W^T."""
    return amplification(op, [W.T for W in weights])


def reversed_order(op, weights):
    """Twin: the first sub-block on the left."""
    return amplification(op, weights[::-1])


def averaged(op, weights):
    """Twin: lambda for s = 1 - lambda."""
    return amplification(1 - amplification(op, weights).s, weights)


@pytest.mark.parametrize("twin", [transposed, reversed_order, averaged])
def test_a_wrong_stage_has_other_modes(twin):
    with pytest.raises(AssertionError):
        check_modes_are_the_stage(twin, random_kernel(1, "gaussian"), stage(1))


@given(seed=SEEDS, family=st.sampled_from(IRREVERSIBLE))
def test_without_a_measure_the_modes_are_a_lower_bound(seed, family):
    kernel, weights = random_kernel(seed, family), stage(seed, blocks=2)
    found = amplification(kernel.op, weights)
    T = dense_stage(kernel, weights)
    assert np.iscomplexobj(found.s)
    assert np.max(found.norms) <= np.linalg.norm(T, 2) * (1 + 1e-9)
    growth = float(np.prod([1 + 10 * np.linalg.norm(W, 2) for W in weights]))
    if family != "directed":  # its triangular part is nearly defective
        assert abs(np.max(found.radii) - spectral_radius(T)) <= 1e-6 * growth


def test_matrix_is_the_product_in_order():
    A, B = stage(0, blocks=2)
    s = np.array([0.0, 0.3, 1.1])
    found = amplification(s, [A, B])
    for k in (0, 1, 2, -1):
        expected = (np.eye(3) - s[k] * B) @ (np.eye(3) - s[k] * A)
        assert_close(found.matrix(k), expected, "reduction", n=3, scale=4.0)
        assert_close(found.norms[k], np.linalg.norm(expected, 2), "solve", n=3)
    assert_close(found.factor_norms[1], np.linalg.norm(np.eye(3) - s[:, None, None] * B, 2, axis=(1, 2)), "solve", n=3)
    assert found.norms[0] == found.transients[0] == 1.0


def test_numbers_stand_for_multiples_of_the_identity():
    s = np.linspace(0.0, 1.5, 7)
    mixed = amplification(s, [0.5, 0.3 * np.eye(4), 1j])
    scalar = amplification(s, [0.5, 0.3, 1j])
    assert mixed.weights[0].channels == 4 and scalar.weights[0].channels == 1
    expected = np.abs((1 - 0.5 * s) * (1 - 0.3 * s) * (1 - 1j * s))
    for found in (mixed, scalar):
        assert_close(found.norms, expected, "solve", n=4)
        assert_close(found.radii, expected, "solve", n=4)


def test_complex_eigenvalues_and_many_modes_in_chunks(monkeypatch):
    from nlmodel.stability import modes

    s = np.exp(1j * np.linspace(0, 3, 50))
    whole = amplification(s, stage(2))
    monkeypatch.setattr(modes, "ENTRIES_PER_CHUNK", 60)
    parts = amplification(s, stage(2))
    for name in ("s", "norms", "radii", "transients", "factor_norms"):
        assert_close(getattr(parts, name), getattr(whole, name), "solve", n=3)


def test_one_line():
    found = amplification(np.array([0.0, 2.0]), [1.1])
    assert isinstance(found, Amplification) and found.worst == 1
    assert repr(found) == ("Amplification(2 modes, 1 sub-blocks: norm 1.2, spectral radius 1.2, within the stage 1.2)")
