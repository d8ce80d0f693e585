"""The volume-constrained Poisson problem: exactness, rates, two-sided error bounds, conditioning, positivity."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlmodel.continuum import compatible_weights, riemann_weights, volume_constrained_solve
from nlmodel.kernels import Exponential, TopHat
from nlmodel.testing import assert_close, observed_order, tolerance
from tests.continuum.continuum_cases import HORIZON, dense_solve, kernels, stiffness, trap


def quartic(x):
    return x**2 * (1 - x**2)


def local_source(x):
    return 12 * x**2 - 2


def nonlocal_source(delta):
    """-L of the quartic under the top-hat."""
    return lambda x: local_source(x) + 6 * delta**2 / 5


def parabola(x):
    """-L of it is 1."""
    return 0.5 * x * (1 - x)


def barriers(result, a=0.0, b=1.0):
    """Lower and upper bound of max A^-1 1: the parabolas that vanish at a and b, and at the outermost nodes."""
    x, R = result.grid[result.interior], 0.5 * (b - a) + (len(result.weights) - 1) * result.spacing
    return np.max((x - a) * (b - x)) / 2, R**2 / 2


def rounding(result, a=0.0, b=1.0):
    """Of a solution of size 1: the norm of A is at most 4 sum w, that of its inverse the upper barrier."""
    _, high = barriers(result, a, b)
    return tolerance("solve", n=len(result.grid), cond=4 * np.sum(result.weights) * high)


def error(result, exact):
    return np.max(np.abs(result.solution - exact(result.grid)))


MESHES = (20, 40, 80, 160)
PATHS = {
    "fixed horizon": lambda h: HORIZON,
    "delta = 2h": lambda h: 2 * h,
    "delta = sqrt(h)/4": lambda h: np.sqrt(h) / 4,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cells", MESHES)
def test_two_sided_error_bounds(path, cells):
    """The truncation error of a quartic is a constant tau, so the error is tau A^-1 1, between two parabolas."""
    h = 1 / cells
    delta = PATHS[path](h)
    kernel = TopHat(delta)
    weights = compatible_weights(kernel, h)
    tau = 2 * np.sum((h * np.arange(1, len(weights) + 1)) ** 4 * weights) - 6 * delta**2 / 5
    assert 0 < tau <= 2 * h**2  # (h^2/12) max|u''''|
    result = volume_constrained_solve(kernel, (0.0, 1.0), cells, nonlocal_source(delta), quartic)
    low, high = barriers(result)
    slack = rounding(result)
    assert tau * low - slack <= error(result, quartic) <= tau * high + slack
    riemann = volume_constrained_solve(kernel, (0.0, 1.0), cells, nonlocal_source(delta), quartic, quadrature="riemann")
    assert error(riemann, quartic) > 2 * h**2 * high  # the control


def sheet(cells, delta, source, **options):
    """Unknowns at 0 and 1 as well: the open interval is one cell longer on either side."""
    h = 1 / cells
    return volume_constrained_solve(TopHat(delta), (-h, 1 + h), cells + 2, source, quartic, **options)


def test_manufactured_solution_at_fixed_horizon():
    errors = [error(sheet(n, HORIZON, nonlocal_source(HORIZON)), quartic) for n in MESHES]
    assert [f"{e:.2e}" for e in errors] == ["4.28e-04", "1.03e-04", "2.52e-05", "6.22e-06"]
    assert round(observed_order([1 / n for n in MESHES], errors).order, 1) == 2


def test_manufactured_solution_with_two_cells_a_horizon():
    errors = [error(sheet(n, 2 / n, nonlocal_source(2 / n)), quartic) for n in MESHES]
    assert [f"{e:.1e}" for e in errors] == ["3.7e-04", "8.3e-05", "2.0e-05", "4.8e-06"]
    assert round(observed_order([1 / n for n in MESHES], errors).local[-1], 1) == 2


def test_the_local_problem_is_the_limit():
    meshes = (25, 100, 400)
    errors = [error(sheet(n, n**-0.5, local_source), quartic) for n in meshes]
    assert [f"{e:.1e}" for e in errors] == ["8.4e-03", "1.7e-03", "4.0e-04"]
    # the next order in delta^2 = 1/n: what is left is delta^2 + O(delta^3)
    assert round(observed_order([n**-0.5 for n in meshes], errors).local[-1]) == 2


@pytest.mark.parametrize("r", [1, 2, 3])
def test_the_riemann_sum_tends_to_a_multiple_of_the_laplacian(r):
    """With factor F the error from the parabola is (1 - 1/F) A^-1 1, scaled to a compatible A: it does not vanish."""
    F = 1 + 3 / (2 * r) + 1 / (2 * r**2)
    for cells in (16, 64, 256):
        kernel = TopHat(r / cells)
        result = volume_constrained_solve(kernel, (0.0, 1.0), cells, 1.0, parabola, quadrature="riemann")
        low, high = barriers(result)
        slack = rounding(result)
        assert (1 - 1 / F) * low - slack <= error(result, parabola) <= (1 - 1 / F) * high + slack
        good = volume_constrained_solve(kernel, (0.0, 1.0), cells, 1.0, parabola)
        assert error(good, parabola) <= slack


def test_the_trap_stalls_where_the_compatible_weights_converge():
    F, errors = 1 - 1 / 32, []
    for cells in MESHES:
        h = 1 / cells
        x, u, _ = dense_solve(trap(2 * h, 2), cells, np.ones_like, parabola)
        low = np.max(x * (1 - x)) / 2
        assert np.max(np.abs(u - parabola(x))) >= (1 / F - 1) * low
        x, u, _ = dense_solve(trap(2 * h, 2), cells, nonlocal_source(2 * h), quartic)
        errors.append(np.max(np.abs(u - quartic(x))))
    assert [f"{e:.1e}" for e in errors] == ["8.3e-03", "8.2e-03", "8.2e-03", "8.1e-03"]


@settings(max_examples=100)
@given(
    kernel=kernels(),
    cells=st.integers(2, 40),
    a=st.floats(-2, 2),
    length=st.floats(0.5, 3),
    curvature=st.floats(-3, 3),
)
def test_cubic_solutions_are_exact(kernel, cells, a, length, curvature):
    def cubic(x):
        return 1.0 + 0.5 * x + curvature * x**2 / 2 + x**3 / 6

    result = volume_constrained_solve(kernel, (a, a + length), cells, lambda x: -curvature - x, cubic)
    x = np.max(np.abs(result.grid))
    bound = rounding(result, a, a + length) * (1 + x + 1.5 * x**2 + x**3)
    assert error(result, cubic) <= bound
    wrong = volume_constrained_solve(kernel, (a, a + length), cells, lambda x: 1.0 - curvature - x, cubic)
    assert error(wrong, cubic) > bound  # the control: a source that is off by 1


@settings(max_examples=100)
@given(kernel=kernels(), cells=st.integers(2, 40))
def test_bounds_of_inverse_and_spectrum(kernel, cells):
    result = volume_constrained_solve(kernel, (0.0, 1.0), cells, 1.0, 0.0, extremes=True)
    h, w = result.spacing, result.weights
    low, high = barriers(result)
    slack = 1 + rounding(result)
    assert low / slack <= np.max(result.solution) <= high * slack  # the solution is A^-1 1
    smallest, largest = result.extremes
    assert 1 / high <= smallest * slack
    assert 2 * np.sum(w) <= largest * slack <= min(4 / h**2, 9 / 4 * kernel.moment(0)) * slack**2


def test_the_bounds_refuse_other_barriers_and_the_riemann_sum():
    result = volume_constrained_solve(TopHat(HORIZON), (0.0, 1.0), 40, 1.0, 0.0)
    assert np.max(result.solution) > 1 / 8 + rounding(result)  # the barrier of the local problem is too low
    result = volume_constrained_solve(TopHat(1 / 40), (0.0, 1.0), 40, 1.0, 0.0, quadrature="riemann", extremes=True)
    low, _ = barriers(result)
    assert np.max(result.solution) < low - rounding(result)
    assert result.extremes[1] > 4 / result.spacing**2 * (1 + rounding(result))


def test_condition_numbers():
    fixed = [sheet(n, HORIZON, 0.0, extremes=True).condition for n in MESHES]
    assert [f"{c:.1f}" for c in fixed] == ["24.6", "24.0", "23.5", "23.3"]
    along = [sheet(n, 2 / n, 0.0, extremes=True).condition for n in MESHES]
    assert [f"{c:.0f}" for c in along] == ["81", "291", "1100", "4275"]


@pytest.mark.parametrize("cells", [2, 3, 17, 64])
def test_a_small_horizon_gives_the_classical_scheme(cells):
    result = volume_constrained_solve(Exponential(0.9 / cells, 0.2), (0.0, 1.0), cells, 0.0, 0.0, extremes=True)
    angle = np.pi / (2 * cells)
    n = cells - 1
    classical = 4 * cells**2 * np.sin(angle * np.array([1, n])) ** 2
    assert_close(np.array(result.extremes), classical, "reduction", n=n)
    assert len(result.weights) == 1


def inverse_positive(A):
    return bool(np.all(np.linalg.inv(A) > 0))


@pytest.mark.parametrize("cells", [3, 10, 30])
@pytest.mark.parametrize("delta", [0.02, 0.11, 0.2, 0.7])
def test_m_matrix(cells, delta):
    for quadrature in ("compatible", "riemann"):
        if quadrature == "riemann" and delta * cells < 1:
            continue  # no neighbour
        A = volume_constrained_solve(TopHat(delta), (0.0, 1.0), cells, 0.0, 0.0, quadrature=quadrature).matrix.toarray()
        off = A - np.diag(np.diag(A))
        assert np.all(off <= 0) and np.all(np.diag(A) > 0) and np.array_equal(A, A.T)
        assert inverse_positive(A)
    assert not inverse_positive(stiffness(np.array([-0.2, 0.3]), 10))  # the control: a weight < 0
    assert not inverse_positive(stiffness(np.array([0.0, 0.25]), 10))  # and nodes that do not see each other


@settings(max_examples=100)
@given(kernel=kernels(), cells=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
def test_maximum_principle(kernel, cells, seed):
    rng = np.random.default_rng(seed)
    collar = []

    def constraint(x):
        collar.append(rng.standard_normal(x.shape))
        return collar[-1]

    def excess(source):
        """How far the solution exceeds what is given on the collar, and its rounding."""
        collar.clear()
        result = volume_constrained_solve(kernel, (0.0, 1.0), cells, source, constraint)
        inside = result.solution[result.interior]
        return np.max(inside) - np.max(np.concatenate(collar)), rounding(result) * np.max(np.abs(result.solution))

    above, slack = excess(lambda x: -1e-3 * rng.exponential(size=x.shape))
    assert above <= slack
    above, slack = excess(lambda x: 100 + rng.exponential(size=x.shape))  # the control: a source > 0
    assert above > slack


@pytest.mark.parametrize("quadrature", ["compatible", "riemann"])
def test_against_dense_algebra(quadrature):
    weights = {"compatible": compatible_weights, "riemann": riemann_weights}[quadrature]
    for kernel, cells in ((TopHat(0.23), 17), (Exponential(1.3, 0.2), 12)):
        result = volume_constrained_solve(
            kernel, (0.0, 1.0), cells, np.cos, np.exp, quadrature=quadrature, extremes=True
        )
        x, u, A = dense_solve(weights(kernel, 1 / cells), cells, np.cos, np.exp)
        assert_close(result.grid[result.interior], x, "reduction", n=2)
        assert_close(result.solution[result.interior], u, "solve", n=len(x), cond=result.condition)
        assert_close(result.matrix.toarray(), A)
        values = np.linalg.eigvalsh(A)[[0, -1]]
        assert_close(np.array(result.extremes), values, "reduction", n=len(x), scale=values[1])
        assert_close(
            np.array([result.condition]), values[1:] / values[:1], "reduction", n=len(x), cond=result.condition
        )


def test_the_result_is_a_value():
    result = volume_constrained_solve(TopHat(HORIZON), (0.0, 1.0), 20, lambda x: np.multiply(x, 0, out=x), 2.0)
    assert repr(result) == "VolumeConstrainedSolution(domain=(0, 1), spacing=0.05, collar=4)"
    assert result.condition is None and result.extremes is None
    assert len(result.grid) == len(result.solution) == 19 + 8  # the source did not write into the grid
    assert result.grid[result.interior][0] == 0.05 and np.all(np.diff(result.grid) > 0)
    assert_close(result.solution, np.full(27, 2.0), "solve", n=19, cond=25)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.spacing = 1.0
    asked = volume_constrained_solve(TopHat(HORIZON), (0.0, 1.0), 20, 0.0, 0.0, extremes=True)
    assert "condition=20.59" in repr(asked)
