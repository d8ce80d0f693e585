"""Operators and fields of different libraries: a NumPy operator follows the field, others do not move silently."""

import array_api_strict
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nlmodel import NonlocalOperator
from nlmodel.errors import DtypeError, NlmodelError, ShapeError
from nlmodel.kernels import TopHat
from nlmodel.operators import Diagonal
from nlmodel.testing import adjoint_gap, assert_close, conservation_gap, tolerance


@pytest.fixture
def omega(rng) -> np.ndarray:
    raw = rng.uniform(0.1, 1, (6, 6))
    return (raw + raw.T) / 2


def stored_in_numpy(omega: np.ndarray) -> dict[str, NonlocalOperator]:
    return {
        "dense": NonlocalOperator.from_affinity(omega),
        "sparse": NonlocalOperator.from_affinity(csr_array(omega)),
        "grid": NonlocalOperator.on_grid((2, 3), TopHat(0.15, 2), 0.1, boundary="free", normalize="row"),
    }


@pytest.mark.parametrize("storage", ["dense", "sparse", "grid"])
@pytest.mark.parametrize("xp", [torch, array_api_strict])
def test_a_numpy_operator_follows_the_field(omega, rng, storage, xp):
    op = stored_in_numpy(omega)[storage]
    for Z in (rng.standard_normal((6, 2)), rng.standard_normal((3, 6, 2)), rng.standard_normal(6)):
        there = xp.asarray(Z)
        for action in (op.__matmul__, op.T.__matmul__, op.average, op.mean, op.energy, (2 * op + op).__matmul__):
            result = action(there)
            assert type(result).__module__.split(".")[0] == xp.__name__
            assert_close(np.asarray(result), np.asarray(action(Z)), "reduction", n=64, scale=16.0)


def test_memory_that_torch_does_not_take_is_copied():
    """Read-only, reversed, or in the other byte order."""
    entries = np.arange(1.0, 5.0)
    locked = entries.copy()
    locked.flags.writeable = False
    Z = torch.ones(4, dtype=torch.float64)
    for given in (entries, locked, entries[::-1], entries.astype(">f8")):
        assert np.array_equal((Diagonal(given) @ Z).numpy(), given)
    with pytest.raises(ValueError, match="strides"):  # control: torch itself
        torch.asarray(entries[::-1])


def test_another_operator_does_not_follow(omega):
    op = NonlocalOperator.from_affinity(torch.asarray(omega).requires_grad_())
    for call in (lambda: op @ np.ones(6), lambda: op.energy(np.ones(6)), lambda: op.mean(np.ones((6, 1)))):
        with pytest.raises(DtypeError, match="library and on the device"):
            call()
    strict = NonlocalOperator.from_affinity(array_api_strict.asarray(omega))
    with pytest.raises(DtypeError, match="share their library"):
        op + strict
    (op @ torch.ones(6, 1, dtype=torch.float64)).sum().backward()  # control: beside its own library it acts


def test_sums_and_products_of_libraries(omega):
    here, there = NonlocalOperator.from_affinity(csr_array(omega)), NonlocalOperator.from_affinity(torch.asarray(omega))
    L = here.to_dense()
    scaling = np.arange(1.0, 7.0)
    for made, expected in [
        (here + there, 2 * L),
        (there @ here, L @ L),
        (Diagonal(scaling) @ there, scaling[:, None] * L),
        ((there @ Diagonal(scaling)).T, scaling[:, None] * L.T),
        (there.adjoint(scaling), L.T * scaling / scaling[:, None]),
    ]:
        matrix = made.to_dense()
        assert isinstance(matrix, torch.Tensor)
        assert_close(matrix.numpy(), expected, "reduction", n=12, scale=36.0)


def test_scipy_takes_operators_of_any_library_and_complex_vectors(omega, rng):
    v = rng.standard_normal(6) + 1j * rng.standard_normal(6)
    made = {**stored_in_numpy(omega), "torch": NonlocalOperator.from_affinity(torch.asarray(omega).requires_grad_())}
    for op in made.values():
        linear, dense = op.to_scipy(), np.asarray(torch.as_tensor(op.to_dense()).detach())
        assert_close(linear.matvec(v), dense @ v, "reduction", n=64, scale=8.0)
        assert_close(linear.rmatvec(v), dense.T @ v, "reduction", n=64, scale=8.0)
        assert_close(linear.matmat(np.stack([v, 2 * v], 1))[:, 1], 2 * dense @ v, "reduction", n=64, scale=8.0)
        assert np.max(np.abs(linear.matvec(v).imag)) > 0.1  # control: the imaginary part is not dropped
    single = NonlocalOperator.from_affinity(torch.asarray(omega, dtype=torch.float32)).to_scipy()
    assert single.dtype == np.float32 and single.matvec(v.real).dtype == np.float32


def test_batches_broadcast(omega, rng):
    batch = NonlocalOperator.from_affinity(np.stack([omega, 2 * omega, omega + 0.1]))
    one = NonlocalOperator.from_affinity(omega)
    bound = tolerance("reduction", n=20, scale=8.0)
    for made, expected in [
        (one @ batch, one.to_dense() @ batch.to_dense()),
        (batch @ one, batch.to_dense() @ one.to_dense()),
        (one + batch, one.to_dense() + batch.to_dense()),
        (batch.adjoint(np.ones(6)), np.swapaxes(batch.to_dense(), 1, 2)),
    ]:
        assert made.shape == (3, 6, 6) == made.to_dense().shape
        assert np.max(np.abs(made.to_dense() - expected)) <= bound
    z = rng.standard_normal(6)
    parts = [NonlocalOperator.from_affinity(m) for m in (omega, 2 * omega, omega + 0.1)]
    for name in ("energy", "mean"):
        single = np.stack([getattr(part, name)(z) for part in parts])
        assert np.max(np.abs(getattr(batch, name)(z) - single)) <= bound
    inner = np.stack([part.inner(z, z * z) for part in parts])
    assert np.max(np.abs(batch.inner(z, z * z) - inner)) <= 4 * bound
    assert float(np.ptp(inner)) > 1  # control: the three differ
    with pytest.raises(ShapeError, match="broadcast"):
        batch @ np.ones((4, 6, 2))
    with pytest.raises(ShapeError, match="do not fit"):
        batch @ NonlocalOperator.from_affinity(np.stack([omega, omega]))


def test_helpers_take_batches_and_libraries(omega, rng):
    made = torch.asarray(np.stack([omega, omega + 0.1]))
    op = NonlocalOperator.from_affinity(made)
    assert adjoint_gap(op, rng=rng) <= tolerance("reduction", n=6, scale=4.0)
    for Z in (rng.standard_normal((2, 6, 2)), rng.standard_normal(6)):
        assert conservation_gap(op, torch.asarray(Z)) <= tolerance("reduction", n=24)
    lopsided = NonlocalOperator.from_affinity(made.tril() + 0.1)
    with pytest.raises(NlmodelError, match="needs the measure"):
        conservation_gap(lopsided, torch.ones(6, 1, dtype=torch.float64))
