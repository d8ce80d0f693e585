"""On the torus the flow is diagonal in Fourier space."""

import numpy as np
import pytest
from scipy.special import pdtrc

from nlmodel.kernels import TopHat, TruncatedGaussian
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import evolve
from nlmodel.testing import assert_close, tolerance


N = 32
FIELD = np.exp(np.sin(2 * np.pi * np.arange(N) / N)) + (np.arange(N) < 9)


def torus(how: str = "row") -> NonlocalOperator:
    return NonlocalOperator.on_grid(N, TruncatedGaussian(0.3, 0.1), 1 / N, normalize=how)


def multiplier(op: NonlocalOperator) -> np.ndarray:
    """J^, the transform of the stencil that K convolves with."""
    return np.fft.fft(op.average(np.eye(N))[:, 0]).real


@pytest.mark.parametrize("time", [0.3, 2.0, 40.0])
def test_the_exponential_is_exact_in_fourier_space(time):
    """z(t) = IFFT(exp(t (J^ - 1)) u^) by the Poisson series exp(-t) sum t^n/n! K^n u."""
    op = torus()
    exact = np.fft.ifft(np.exp(time * (multiplier(op) - 1)) * np.fft.fft(FIELD)).real
    run = evolve(op, FIELD, step=time, steps=1, method="exponential")
    assert_close(run.final, exact, "solve", n=N)
    krylov = evolve(op, FIELD[:, None], step=time, steps=1, method="exponential", weight=np.eye(1))
    assert_close(krylov.final[:, 0], exact, "solve", n=N, cond=4)
    wrong = np.fft.ifft(np.exp(-time * (multiplier(op) + 1)) * np.fft.fft(FIELD)).real  # control: -K - 1
    assert np.max(np.abs(run.final - wrong)) > 0.1


@pytest.mark.parametrize("method", ["rk4", "implicit_euler", "crank_nicolson", "super_time_stepping"])
def test_every_method_acts_on_a_fourier_mode_by_its_p(method):
    from nlmodel.stepping import METHODS

    op = NonlocalOperator.on_grid(N, TopHat(0.2), 1 / N)
    x = np.arange(N) / N
    s = -np.sum(op.to_dense()[0] * np.cos(2 * np.pi * 3 * x))
    step = 1.2 / s
    run = evolve(op, np.cos(2 * np.pi * 3 * x), step=step, steps=1, method=method)
    p = METHODS[method]().amplification(np.float64(step * s))
    assert_close(run.final, p * np.cos(2 * np.pi * 3 * x), "solve", n=N, cond=8, scale=1.0)


@pytest.mark.parametrize("terms", [1, 3, 6])
def test_the_truncated_series_errs_by_less_than_the_poisson_tail(terms):
    op, time = torus(), 1.5
    power, series = FIELD, np.exp(-time) * FIELD
    factor = np.exp(-time)
    for n in range(1, terms + 1):
        power, factor = op.average(power), factor * time / n
        series = series + factor * power
    exact = np.fft.ifft(np.exp(time * (multiplier(op) - 1)) * np.fft.fft(FIELD)).real
    error, tail = np.max(np.abs(series - exact)), pdtrc(terms, time)
    assert error <= tail * np.max(np.abs(FIELD)) + tolerance("solve", n=N)
    assert error > pdtrc(terms + 2, time) * np.max(np.abs(FIELD))  # control: not by less than a later tail


def test_jumps_persist_as_they_decay():
    """No smoothing: z = exp(-t) u + smooth, so the jump of u has the height exp(-t) at every resolution."""
    gaps = []
    for n in (64, 128, 256, 512):
        op = NonlocalOperator.on_grid(n, TruncatedGaussian(0.3, 0.1), 1 / n, normalize="row")
        u = (np.arange(n) < n // 2).astype(float)
        z = evolve(op, u, step=1.0, steps=1, method="exponential").final
        gaps.append(abs((z[n // 2 - 1] - z[n // 2]) - np.exp(-1.0)))
    assert np.all(np.diff(gaps) < 0) and gaps[-1] < gaps[0] / 7  # the rest is the O(h) smooth part


def test_a_long_time_takes_one_series(monkeypatch):
    """About q t products, though exp(-q t) underflows: the weights grow from the largest one outwards."""
    op, time, products = torus(), 900.0, []
    right = type(op.averaging).apply
    monkeypatch.setattr(type(op.averaging), "apply", lambda K, Z: (products.append(1), right(K, Z))[1])
    late = evolve(op, FIELD, step=time, steps=1, method="exponential").final
    assert np.exp(-time) == 0 and time < len(products) < time + 12 * np.sqrt(time)
    assert_close(late, np.full(N, np.mean(FIELD)), "solve", n=len(products))
    assert np.max(np.abs(FIELD - np.mean(FIELD))) > 1  # control: the field had far to go
