"""Every public function refuses what makes no sense, in its own words."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

import nlmodel.markov as mk
from nlmodel.errors import (
    ConvergenceError,
    DomainError,
    DtypeError,
    NlmodelError,
    NonFiniteError,
    NotReversibleError,
    ShapeError,
)


P = np.array([[0.5, 0.5], [0.25, 0.75]])
Q = np.array([[-1.0, 1.0], [2.0, -2.0]])
z = np.array([0.5, 0.5])
RNG = np.random.default_rng(0)

OF_TRANSITIONS = {
    "is_transition_matrix": mk.is_transition_matrix,
    "check_transition_matrix": mk.check_transition_matrix,
    "generator_from_transition": mk.generator_from_transition,
    "lazy": lambda A: mk.lazy(A, 0.5),
    "evolve_density": lambda A: mk.evolve_density(A, z),
    "evolve_observable": lambda A: mk.evolve_observable(A, z),
    "spectral_gap": mk.spectral_gap,
    "second_eigenvalue_modulus": mk.second_eigenvalue_modulus,
    "mixing_time": mk.mixing_time,
    "mixing_time_bounds": mk.mixing_time_bounds,
    "worst_distance": lambda A: mk.worst_distance(A, 1),
    "dobrushin_coefficient": mk.dobrushin_coefficient,
    "birkhoff_bound": mk.birkhoff_bound,
    "cheeger_constant": mk.cheeger_constant,
    "backward_step_matrix": mk.backward_step_matrix,
    "inverse_condition": mk.inverse_condition,
    "reverse_meanings": mk.reverse_meanings,
}
OF_GENERATORS = {
    "is_generator": mk.is_generator,
    "check_generator": mk.check_generator,
    "master_equation_rhs": lambda A: mk.master_equation_rhs(A, z),
    "euler_step": lambda A: mk.euler_step(A, z, 0.1),
    "euler_limit": mk.euler_limit,
    "uniformized": mk.uniformized,
    "propagate": lambda A: mk.propagate(A, z, 0.1),
    "transition_matrix": lambda A: mk.transition_matrix(A, 0.1),
    "JumpProcess": mk.JumpProcess,
}
OF_CHAINS = {
    "stationary": mk.stationary,
    "is_reversible": mk.is_reversible,
    "detailed_balance_gap": mk.detailed_balance_gap,
    "kolmogorov_cycle_gap": mk.kolmogorov_cycle_gap,
    "time_reversal": mk.time_reversal,
    "entropy_production": mk.entropy_production,
    "recurrent_classes": mk.recurrent_classes,
    "period": mk.period,
}
OF_RATES = {"generator": mk.generator, "lazy_completion": mk.lazy_completion}
ALL = {**OF_TRANSITIONS, **OF_GENERATORS, **OF_CHAINS, **OF_RATES}

NOT_A_MATRIX = {
    "a list": ([[0.5, 0.5], [0.5, 0.5]], DtypeError, "arrays of one library"),
    "integers": (np.eye(2, dtype=int), DtypeError, "real floating-point"),
    "sparse integers": (csr_array(np.eye(2, dtype=int)), DtypeError, "float64 or float32"),
    "complex": (P + 0j, DtypeError, "real floating-point"),
    "half precision": (P.astype(np.float16), DtypeError, "float64 or float32"),
    "NaN": (np.array([[np.nan, 1.0], [0.5, 0.5]]), NonFiniteError, "must be finite"),
    "infinity": (np.array([[np.inf, -np.inf], [0.5, 0.5]]), NonFiniteError, "must be finite"),
    "sparse NaN": (csr_array(np.array([[np.nan, 1.0], [0.5, 0.5]])), NonFiniteError, "must be finite"),
    "a vector": (z, ShapeError, "2 dimensions"),
    "a batch": (np.stack([P, P]), ShapeError, "2 dimensions"),
    "not square": (np.full((2, 3), 1 / 3), ShapeError, "must be square"),
    "sparse, not square": (csr_array(np.full((2, 3), 1 / 3)), ShapeError, "must be square"),
    "empty": (np.zeros((0, 0)), ShapeError, "must not be empty"),
    "sparse, empty": (csr_array((0, 0)), ShapeError, "not empty"),
    "sparse vector": (coo_array(z), ShapeError, "must be square"),
}


@pytest.mark.parametrize("function", ALL)
def test_what_is_no_matrix(function):
    for value, error, match in NOT_A_MATRIX.values():
        with pytest.raises(error, match=match):
            ALL[function](value)


CHECKED = {name: f for name, f in ALL.items() if not name.startswith("is_t") and not name.startswith("is_g")}
NOT_A_CHAIN = {
    "negative probability": np.array([[1.1, -0.1], [0.5, 0.5]]),
    "row sums of one half": 0.5 * P,
    "row sums above one": 1.5 * P,
    "a row of zeros": np.array([[0.0, 0.0], [0.5, 0.5]]),
    "negative rate": np.array([[1.0, -1.0], [2.0, -2.0]]),
    "a generator by columns": Q.T.copy(),
}


@pytest.mark.parametrize("function", [name for name in CHECKED if name not in OF_RATES])
def test_what_is_no_chain(function):
    for bad in NOT_A_CHAIN.values():
        for form in (bad, csr_array(bad)):
            with pytest.raises(DomainError, match=r"must (be >= 0|sum to [01])"):
                CHECKED[function](form)


@pytest.mark.parametrize("function", ["generator", "lazy_completion"])
def test_negative_rates(function):
    with pytest.raises(DomainError, match=r"\[1, 0\] = -0.5"):
        OF_RATES[function](np.array([[0.2, 0.3], [-0.5, 0.1]]))


@pytest.mark.parametrize("function", OF_GENERATORS)
def test_transition_matrices_are_no_generators(function):
    if function == "is_generator":
        assert not mk.is_generator(P)
    else:
        with pytest.raises(DomainError, match="sum to 0"):
            OF_GENERATORS[function](P)


ARGUMENTS = [
    (lambda: mk.check_transition_matrix(P, tol=-1.0), DomainError, "tol must be >= 0"),
    (lambda: mk.is_generator(Q, tol=np.nan), NonFiniteError, "tol must be finite"),
    (lambda: mk.is_reversible(P, tol="small"), DtypeError, "tol must be a real number"),
    (lambda: mk.is_reversible(P, np.array([0.4, 0.4])), DomainError, "pi must sum to 1"),
    (lambda: mk.is_reversible(P, np.array([1.5, -0.5])), DomainError, r"pi\[1\] = -0.5"),
    (lambda: mk.is_reversible(P, np.array([1.0])), ShapeError, "one entry a state"),
    (lambda: mk.detailed_balance_gap(P, np.array([1, 0])), DtypeError, "pi must be a real"),
    (lambda: mk.time_reversal(P, np.array([0.5, np.nan])), NonFiniteError, "pi must be finite"),
    (lambda: mk.generator(P, weights=np.array([1.0, 0.0])), DomainError, "weights must be > 0"),
    (lambda: mk.generator(P, weights=np.array([1.0])), ShapeError, "weights must have one entry a state"),
    (lambda: mk.generator(P, weights=np.ones(2, dtype=np.float32)), DtypeError, "share their dtype"),
    (lambda: mk.generator(P, weights=[1.0, 1.0]), DtypeError, "arrays of one library"),
    (lambda: mk.generator_from_transition(P, holding_time=0.0), DomainError, "holding_time must be > 0"),
    (lambda: mk.lazy(P, 0.0), DomainError, "p must be > 0"),
    (lambda: mk.lazy(P, 1.5), DomainError, "p must be <= 1"),
    (lambda: mk.lazy_completion(1.5 * P), DomainError, "every row of p must sum to at most 1"),
    (lambda: mk.evolve_density(P, np.ones(3)), ShapeError, "M = 2 states"),
    (lambda: mk.evolve_density(P, np.ones((2, 1, 1))), ShapeError, "z must have shape"),
    (lambda: mk.evolve_density(P, np.ones(2, dtype=np.float32)), DtypeError, "share their dtype"),
    (lambda: mk.evolve_observable(P, np.array([np.inf, 1.0])), NonFiniteError, "f must be finite"),
    (lambda: mk.evolve_observable(P, np.array([1, 2])), DtypeError, "f must be a real"),
    (lambda: mk.master_equation_rhs(Q, 1.0), DtypeError, "arrays of one library"),
    (lambda: mk.euler_step(Q, z, -0.1), DomainError, "dt must be >= 0"),
    (lambda: mk.euler_step(Q, z, np.nan), NonFiniteError, "dt must be finite"),
    (lambda: mk.uniformized(Q, rate=0.0), DomainError, "rate must be > 0"),
    (lambda: mk.propagate(Q, z, -1.0), DomainError, "t must be >= 0"),
    (lambda: mk.propagate(Q, z, 1.0, tol=0.0), DomainError, "tol must be > 0"),
    (lambda: mk.propagate(Q, z, 1.0, tol=1.0), DomainError, "tol must be .*< 1"),
    (lambda: mk.transition_matrix(Q, np.inf), NonFiniteError, "t must be finite"),
    (lambda: mk.transition_matrix(Q, -1.0), DomainError, "t must be >= 0"),
    (lambda: mk.total_variation(z, np.ones(3) / 3), ShapeError, "q must have one entry a state"),
    (lambda: mk.relative_entropy(z, np.array([0.5, 0.6])), DomainError, "q must sum to 1"),
    (lambda: mk.relative_entropy(z, z.astype(np.float32)), DtypeError, "share their dtype"),
    (lambda: mk.relative_entropy(P, P), ShapeError, "p must have 1 dimensions"),
    (lambda: mk.spectral_gap(np.ones((1, 1))), DomainError, "at least 2 states"),
    (lambda: mk.second_eigenvalue_modulus(np.ones((1, 1))), DomainError, "at least 2 states"),
    (lambda: mk.cheeger_constant(np.ones((1, 1))), DomainError, "2 to 16 states"),
    (lambda: mk.cheeger_constant(np.eye(3)), DomainError, "3 recurrent classes"),
    (lambda: mk.spectral_gap(np.roll(np.eye(3), 1, axis=1)), NotReversibleError, "must be reversible"),
    (lambda: mk.mixing_time(P, 0.0), DomainError, "eps must be > 0"),
    (lambda: mk.mixing_time(P, 1.0), DomainError, "eps must be .*< 1"),
    (lambda: mk.mixing_time_bounds(P, 1.0), DomainError, "eps must be .*< 1"),
    (lambda: mk.mixing_time(P, starts=[2]), DomainError, "states 0 to 1"),
    (lambda: mk.mixing_time(P, starts=[0.0]), DtypeError, "state numbers"),
    (lambda: mk.mixing_time(P, starts=np.array([], dtype=int)), ShapeError, "non-empty"),
    (lambda: mk.mixing_time(P, starts=[0], max_steps=0), DomainError, "max_steps must be at least 1"),
    (lambda: mk.mixing_time(P, 1e-9, starts=[0], max_steps=1), ConvergenceError, "max_steps = 1"),
    (lambda: mk.worst_distance(P, -1), DomainError, "t must be at least 0"),
    (lambda: mk.worst_distance(P, 1.0), DtypeError, "t must be a whole number"),
    (lambda: mk.JumpProcess(Q).sample(2, 1.0, 3, rng=RNG), DomainError, "states 0 to 1"),
    (lambda: mk.JumpProcess(Q).sample(-1, 1.0, 3, rng=RNG), DomainError, "start must be at least 0"),
    (lambda: mk.JumpProcess(Q).sample(0.5, 1.0, 3, rng=RNG), DtypeError, "start must be a whole number"),
    (lambda: mk.JumpProcess(Q).sample(np.array([0, 1]), 1.0, 3, rng=RNG), ShapeError, "one state a path"),
    (lambda: mk.JumpProcess(Q).sample(np.array([0.5, 0.6]), 1.0, 3, rng=RNG), DomainError, "start must sum to 1"),
    (lambda: mk.JumpProcess(Q).sample(0, -1.0, 3, rng=RNG), DomainError, "t must be >= 0"),
    (lambda: mk.JumpProcess(Q).sample(0, [2.0, 1.0], 3, rng=RNG), DomainError, "must not decrease"),
    (lambda: mk.JumpProcess(Q).sample(0, [np.nan], 3, rng=RNG), NonFiniteError, "t must be finite"),
    (lambda: mk.JumpProcess(Q).sample(0, [], 3, rng=RNG), ShapeError, "t must not be empty"),
    (lambda: mk.JumpProcess(Q).sample(0, ["now"], 3, rng=RNG), DtypeError, "array of times"),
    (lambda: mk.JumpProcess(Q).sample(0, 1.0, 0, rng=RNG), DomainError, "paths must be at least 1"),
    (lambda: mk.JumpProcess(Q).sample(0, 1.0, 3, rng=0), DtypeError, "numpy.random.Generator"),
    (lambda: mk.JumpProcess(Q).sample(0, 1.0, 3, rng=np.random), DtypeError, "default_rng"),
    (lambda: mk.JumpProcess(Q).events(0, np.inf, 3, rng=RNG), NonFiniteError, "t must be finite"),
]


@pytest.mark.parametrize(("call", "error", "match"), ARGUMENTS, ids=[match for _, _, match in ARGUMENTS])
def test_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_every_public_function_is_in_the_table():
    results = {"SpectralGap", "MixingBounds", "ReverseMeanings", "JumpEvents"}
    functions = {name for name in vars(mk) if not name.startswith("_") and callable(getattr(mk, name))}
    assert functions - results - set(ALL) == {"total_variation", "relative_entropy"}  # these two take laws
    assert issubclass(DomainError, NlmodelError) and "total_variation" not in OF_CHAINS
