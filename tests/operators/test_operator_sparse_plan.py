"""What a plan announces against what is allocated: at most a fifth more, and not wildly less."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from nlmodel import NonlocalOperator
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError
from nlmodel.kernels import Gaussian, TopHat, TruncatedGaussian
from nlmodel.operators import OperatorPlan


MORE = 1.2


@pytest.fixture(autouse=True)
def tiles_of_usual_size(monkeypatch):
    monkeypatch.setattr("nlmodel.operators.streamed.TILE", 512)


def traced(make):
    """What `make` returns, the bytes that it left, and the most that there were."""
    tracemalloc.start()
    try:
        made = make()
        return made, *tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def check_announced(plan: OperatorPlan, held: int, assembly: int, product: int) -> None:
    assert held <= MORE * plan.held
    assert assembly <= MORE * plan.assembly
    assert product <= MORE * plan.product


def scattered(rng, dtype=np.float64):
    return rng.uniform(0, 1, (30_000, 2)).astype(dtype), TopHat(0.02, 2)


def sorted_line(rng):
    return np.sort(rng.uniform(0, 1, (20_000, 1)), axis=0), TruncatedGaussian(1e-3, 5e-4)


PROBLEMS = {
    "scattered": (scattered, "sparse"),
    "float32": (lambda rng: scattered(rng, np.float32), "sparse"),
    "sorted": (sorted_line, "sparse"),
    "dense": (lambda rng: (rng.uniform(0, 1, (1000, 2)), Gaussian(0.3)), "dense"),
    "dense, cut off": (lambda rng: (rng.uniform(0, 1, (1000, 2)), TopHat(0.3, 2)), "dense"),
    "streamed": (lambda rng: (rng.uniform(0, 1, (3000, 2)), Gaussian(0.3)), "streamed"),
}


@pytest.mark.parametrize(("how", "columns"), [("none", 8), ("row", 1), ("alpha", 3)])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_plan_holds(rng, problem, how, columns):
    make, storage = PROBLEMS[problem]
    X, kernel = make(rng)
    plan = NonlocalOperator.plan_points(X, kernel, how, storage=storage, columns=columns)
    op = NonlocalOperator.from_points(X, kernel, how, storage=storage)
    Z = rng.standard_normal((len(X), columns)).astype(X.dtype)
    op @ Z  # compiles
    op, held, assembly = traced(lambda: NonlocalOperator.from_points(X, kernel, how, storage=storage))
    op @ Z[:, :1]  # what is found once, such as the inverse of the order, is held
    _, _, product = traced(lambda: op @ Z)
    check_announced(plan, held, assembly, product)
    made = op.plan(columns)
    check_announced(replace(made, assembly=assembly), held, assembly, product)
    assert made.storage == plan.storage == storage and made.assembly is None
    if storage == "sparse":  # control: the plan is no wild bound either
        assert held >= 0.8 * plan.held and assembly >= 0.8 * plan.assembly and product >= 0.8 * plan.product
        halved = replace(plan, held=plan.held // 2, assembly=plan.assembly // 2, product=plan.product // 2)
        with pytest.raises(AssertionError):
            check_announced(halved, held, assembly, product)
        assert abs(plan.operations - made.operations) <= 0.05 * made.operations


@pytest.mark.parametrize("boundary", ["periodic", "free"])
def test_a_plan_on_a_grid(rng, boundary):
    def make():
        return NonlocalOperator.on_grid((200, 150), TopHat(0.05, 2), 0.01, boundary=boundary, normalize="row")

    op, held, _ = traced(make)
    Z = rng.standard_normal((30_000, 2))
    op @ Z
    _, _, product = traced(lambda: op @ Z)
    plan = op.plan(2)
    assert held <= MORE * plan.held and product <= MORE * plan.product
    assert plan.storage == "grid"


def test_a_plan_counts_the_vectors_of_a_krylov_space(rng):
    plan = NonlocalOperator.plan_points(*scattered(rng))
    assert plan.vector == 8 * 30_000
    assert plan.peak(1000) == plan.held + plan.product + 1000 * plan.vector
    assert plan.peak() == max(plan.assembly, plan.held + plan.product)
    assert "entries expected" in repr(plan) and "MB" in repr(plan)
    assert NonlocalOperator.from_points(*scattered(rng)).plan().peak(3) > 3 * plan.vector


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"normalize": "rows"}, ChoiceError, "normalize must be one of"),
        ({"storage": "sparce"}, ChoiceError, "storage must be one of"),
        ({"columns": 0}, DomainError, "columns must be at least 1"),
        ({"columns": 1.5}, DtypeError, "columns must be a whole number"),
        ({"X": np.full((4, 2), np.inf)}, NonFiniteError, "X must be finite"),
        ({"kernel": Gaussian(1.0), "storage": "sparse"}, DomainError, "finite horizon"),
        ({"kernel": "gauss"}, DtypeError, "kernel"),
    ],
)
def test_bad_plans_are_refused(rng, change, error, words):
    given = {"X": rng.uniform(0, 1, (40, 2)), "kernel": TopHat(0.1, 2)} | change
    with pytest.raises(error, match=words):
        NonlocalOperator.plan_points(given.pop("X"), given.pop("kernel"), **given)


def test_the_vectors_of_a_plan_are_counted(rng):
    plan = NonlocalOperator.plan_points(*scattered(rng))
    with pytest.raises(DomainError, match="vectors must be at least 0"):
        plan.peak(-1)
