"""Bad input: for each public function the error class and what its message names."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nlmodel.errors import (
    ChoiceError,
    ConvergenceError,
    DomainError,
    DtypeError,
    NlmodelError,
    NonFiniteError,
    NormalizationError,
    ShapeError,
)
from nlmodel.kernels import DotProduct
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import evolve
from nlmodel.stepping.krylov import krylov_exponential
from nlmodel.stepping.linear_solver import ImplicitSystem
from nlmodel.testing import assert_close


OP = NonlocalOperator.from_affinity(np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]]))
Z = np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 1.0]])
W = np.eye(2)
BAD = np.array([[0.0, 1.0], [np.nan, 3.0], [1.0, 1.0]])


def call(op=OP, Z0=Z, **more):
    return evolve(op, Z0, **{"step": 0.1, "steps": 2, **more})


CASES = [
    # the state
    ({"Z0": BAD}, NonFiniteError, "Z0 must be finite"),
    ({"Z0": np.where(np.isnan(BAD), np.inf, BAD)}, NonFiniteError, "Z0 must be finite"),
    ({"Z0": Z.astype(int)}, DtypeError, "Z0 must be a real floating-point array.*int"),
    ({"Z0": Z.astype(complex)}, DtypeError, "Z0 must be a real floating-point array.*complex"),
    ({"Z0": Z.astype(np.float32)}, DtypeError, "share their precision"),
    ({"Z0": Z.tolist()}, DtypeError, "expected arrays of one library"),
    ({"Z0": Z[:2]}, ShapeError, "3 positions"),
    ({"Z0": Z.T}, ShapeError, "3 positions"),
    ({"Z0": np.zeros((0, 2))}, ShapeError, "Z0 must not be empty"),
    ({"Z0": np.float64(1.0) * np.ones(())}, ShapeError, "Z0 must have at least 1 dim"),
    # the operator
    ({"op": OP.to_dense()}, DtypeError, "op must be a NonlocalOperator or a function.*ndarray"),
    ({"op": csr_array(np.eye(3))}, DtypeError, "op must be a NonlocalOperator or a function"),
    ({"op": None}, DtypeError, "NoneType"),
    ({"op": lambda z: OP.to_dense()}, DtypeError, "op must return a NonlocalOperator.*ndarray"),
    ({"op": lambda z: NonlocalOperator.from_affinity(np.ones((4, 4)))}, ShapeError, "4 positions"),
    ({"op": NonlocalOperator.from_affinity(np.ones((2, 3, 3)))}, ShapeError, "batch dimensions of the operator"),
    # step and steps
    ({"step": 0.0}, DomainError, "step must be > 0"),
    ({"step": -0.1}, DomainError, "step must be > 0"),
    ({"step": np.nan}, NonFiniteError, "step must be finite"),
    ({"step": np.inf}, NonFiniteError, "step must be finite"),
    ({"step": 10**400}, NonFiniteError, "step must be finite"),
    ({"step": "0.1"}, DtypeError, "step must be a real number"),
    ({"step": 1j}, DtypeError, "step must be a real number"),
    ({"steps": 0}, DomainError, "steps must be at least 1"),
    ({"steps": 2.5}, DtypeError, "steps must be a whole number"),
    ({"steps": True}, DtypeError, "steps must be a whole number"),
    ({"save_every": 0}, DomainError, "save_every must be at least 1"),
    ({"growth_limit": 0.5}, DomainError, "growth_limit must be > 1"),
    ({"growth_limit": np.nan}, NonFiniteError, "growth_limit"),
    ({"growth_limit": np.ones(2)}, DtypeError, "growth_limit must be a real number"),
    # names and options
    ({"method": "euler"}, ChoiceError, "method must be one of 'forward_euler', .*: got 'euler'"),
    ({"method": None}, ChoiceError, "method must be one of"),
    ({"on_unstable": "stop"}, ChoiceError, "on_unstable must be one of 'raise', 'warn', 'ignore': got 'stop'"),
    ({"stages": 4}, ChoiceError, "'forward_euler' has no option stages(.|\n)*'super_time_stepping'"),
    ({"tolerance": 1e-3, "method": "rk4"}, ChoiceError, "'rk4' has no option tolerance(.|\n)*'implicit_euler'"),
    ({"method": "super_time_stepping", "stages": 0}, DomainError, "stages must be at least 1"),
    ({"method": "super_time_stepping", "stages": 2.0}, DtypeError, "stages must be a whole number"),
    ({"method": "super_time_stepping", "damping": -1.0}, DomainError, "damping must be >= 0"),
    ({"method": "implicit_euler", "tolerance": 0.0}, DomainError, "tolerance must be > 0 and < 1"),
    ({"method": "exponential", "tolerance": 2.0}, DomainError, "tolerance must be > 0 and < 1"),
    # the weight
    ({"weight": np.nan}, NonFiniteError, "weight must be finite"),
    ({"weight": 1j}, DtypeError, "weight must be a real number"),
    ({"weight": "1"}, DtypeError, "weight must be a real number"),
    ({"weight": np.eye(3)}, ShapeError, r"weight must be a number or a \(2, 2\) array.*\(3, 3\)"),
    ({"weight": np.eye(2, dtype=int)}, DtypeError, "weight must be a real floating-point"),
    ({"weight": np.eye(2, dtype=np.float32)}, DtypeError, "weight and Z must share dtype"),
    ({"weight": np.full((2, 2), np.inf)}, NonFiniteError, "weight must be finite"),
    ({"weight": torch.eye(2, dtype=torch.float64)}, DtypeError, "one library"),
    ({"weight": np.zeros((0, 0))}, ShapeError, "weight must not be empty"),
    # the reaction
    ({"reaction": 3.0}, DtypeError, "reaction must be a function"),
    ({"reaction": lambda z: z[:2]}, ShapeError, r"reaction\(Z\) must have the shape of Z"),
    ({"reaction": lambda z: 1.0}, DtypeError, "expected arrays of one library"),
    ({"reaction": lambda z: z.astype(np.float32)}, DtypeError, r"reaction\(Z\) and Z0 must share"),
    ({"reaction": lambda z: torch.as_tensor(z)}, DtypeError, "one library"),
    ({"reaction": lambda z: -z, "method": "implicit_euler"}, ChoiceError, "takes no reaction(.|\n)*imex"),
    ({"reaction": lambda z: -z, "method": "super_time_stepping"}, ChoiceError, "takes no reaction"),
    ({"method": "imex"}, ChoiceError, "'imex' needs a reaction"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CASES)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        call(**arguments)
    assert isinstance(caught.value, NlmodelError)


def test_good_arguments_pass():
    assert call(weight=W, reaction=lambda z: -z).status == "completed"
    assert call(weight=np.float64(0.5), step=np.float64(0.1), steps=np.int64(2)).status == "completed"


def test_a_single_point_does_not_move():
    one = NonlocalOperator.from_affinity(np.ones((1, 1)))
    assert_close(evolve(one, np.array([3.0]), step=7.0, steps=2).final, np.array([3.0]), "exact")


def test_a_kernel_without_positive_row_sums_is_named():
    with pytest.raises(NormalizationError, match="row sum"):
        evolve(lambda z: NonlocalOperator.from_points(z, DotProduct()), Z - 1.5, step=0.1, steps=1)


# ------------------------------------------------------------------ iterations that do not converge


def test_a_solver_that_cannot_converge_says_so(monkeypatch):
    monkeypatch.setattr("nlmodel.stepping.linear_solver.ITERATIONS", 3)
    monkeypatch.setattr("nlmodel.stepping.linear_solver.RESTART", 3)
    chain = NonlocalOperator.from_affinity(np.eye(40) + np.eye(40, k=1) + np.eye(40, k=-1))
    field = np.random.default_rng(1).standard_normal((40, 2))
    for weight in (None, np.array([[1.0, -1.0], [1.0, 1.0]])):
        with pytest.raises(ConvergenceError, match=r"did not converge by (conjugate|GMRES)(.|\n)*residual"):
            evolve(chain, field, step=1e5, steps=1, method="implicit_euler", weight=weight)


def test_exponentials_that_would_take_for_ever_say_so(monkeypatch):
    with pytest.raises(ConvergenceError, match=r"q t = 1e\+07(.|\n)*implicit_euler"):
        evolve(OP, Z, step=1e7, steps=1, method="exponential")
    monkeypatch.setattr("nlmodel.stepping.krylov.LARGEST_NUMBER_OF_PIECES", 2)
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    ring = NonlocalOperator.from_affinity(np.roll(np.eye(60), 1, 0) + np.roll(np.eye(60), -1, 0))
    field = np.random.default_rng(1).standard_normal((60, 2))
    with pytest.raises(ConvergenceError, match="after 2 pieces"):
        evolve(ring, field, step=1e3, steps=1, method="exponential", weight=rotation)


def test_krylov_of_zero_is_zero():
    assert_close(krylov_exponential(lambda v: 2 * v, np.zeros((3, 2)), 1e-12), np.zeros((3, 2)), "exact")


@pytest.mark.parametrize("weight", [None, 0.5, np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[0.0, -2.0], [2.0, 0.3]])])
def test_implicit_systems_against_a_dense_solve(weight):
    rng = np.random.default_rng(6)
    raw = rng.uniform(0.1, 1, (9, 9))
    for omega, how in ((raw + raw.T, "row"), (raw + raw.T, "none"), (raw, "row")):
        op = NonlocalOperator.from_affinity(omega, how)
        Y = rng.standard_normal((9, 2))
        matrix = np.eye(2) if weight is None else weight * np.eye(2) if np.isscalar(weight) else weight
        B = np.eye(18) - 0.8 * np.kron(op.to_dense(), matrix)
        system = ImplicitSystem(op, weight, 0.8)
        exact = np.linalg.solve(B, Y.reshape(-1)).reshape(9, 2)
        assert_close(system.solve(Y, np.zeros_like(Y)), exact, "solve", n=18, cond=float(np.linalg.cond(B)))
        assert system.positive == (op.reversible and not (isinstance(weight, np.ndarray) and weight[0, 0] == 0.0))


def test_a_kernel_with_negative_entries_goes_to_gmres():
    omega = np.array([[1.0, -0.3, 0.2], [-0.3, 1.0, 0.1], [0.2, 0.1, 1.0]])
    op = NonlocalOperator.from_affinity(omega)
    assert op.reversible and not ImplicitSystem(op, None, 1.0).positive
    exact = np.linalg.solve(np.eye(3) - op.to_dense(), Z)
    assert_close(evolve(op, Z, step=1.0, steps=1, method="implicit_euler").final, exact, "solve", n=3, cond=4)
