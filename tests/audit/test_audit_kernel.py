"""Audits of features and affinities against closed forms, and their advice against what it promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.audit import audit_affinity, audit_features
from nlmodel.audit.measured import from_features, median_distance
from nlmodel.audit.sections.spectrum import remaining, step_that_keeps
from nlmodel.audit.sections.width import neighbours, scale_for
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError, NormalizationError, ShapeError
from nlmodel.testing import tolerance


COMPLETE = np.ones((5, 5)) - np.eye(5)
PATH = np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1)
CYCLE = np.roll(np.eye(6), 1, axis=1)
BLOCKS = np.kron(np.eye(2), np.ones((4, 4)))
FLAT = np.ones((4, 4))


def close(found, exact, n=8, cond=1.0):
    return abs(found - exact) <= tolerance("solve", n=n, scale=max(1.0, abs(exact)), cond=cond)


def headlines(audit, level):
    return " ".join(finding.headline for finding in audit.findings if finding.level == level)


def test_complete_graph_without_loops():
    """lambda = 1 and -1/4 four times: s_max = 5/4, Euler limit 8/5, maximum principle 1."""
    found = audit_affinity(COMPLETE).value
    assert close(found("lambda_2"), -0.25)
    assert close(found("s_max"), 1.25)
    assert close(found("cfl_spectral"), 1.6)
    assert close(found("cfl_energy"), 1.6)
    assert found("cfl_max") == 1.0
    assert close(found("neighbours"), 4.0)
    assert close(found("smallest_eigenvalue"), -1.0)
    assert close(found("relaxation_time"), 4 / 3)
    assert close(found("dobrushin"), 0.25)
    assert found("components") == 1
    assert found("degree_spread") == 1.0
    assert close(found("stationary_positions"), 5.0)
    assert not close(found("s_max"), 1.0)


def test_constant_affinity_is_the_mean():
    audit = audit_affinity(FLAT)
    assert close(audit.value("cfl_spectral"), 2.0)
    assert audit.value("rank") == 1
    assert audit.value("mixing_time") == 1
    assert audit.value("dobrushin") == 0.0
    assert "nearly global" in headlines(audit, "watch")
    assert "singular in double precision: rank 1 of 4" in headlines(audit, "watch")
    assert "(11) and (12) hold together" in headlines(audit, "good")


def test_findings_name_what_is_wrong():
    assert "period 2" in headlines(audit_affinity(PATH), "act")
    assert "not positive semidefinite" in headlines(audit_affinity(PATH), "watch")
    cycle = audit_affinity(CYCLE)
    assert "period 6" in headlines(cycle, "act")
    assert "not symmetric" in headlines(cycle, "act")
    assert "copies another" in headlines(cycle, "watch")
    assert "not reversible" in headlines(cycle, "watch")
    assert cycle.value("kolmogorov_gap") == math.inf
    blocks = audit_affinity(BLOCKS)
    assert "2 components" in headlines(blocks, "watch")
    assert blocks.value("recurrent_classes") == 2
    identity = audit_affinity(np.eye(4))
    assert identity.value("cfl_spectral") == math.inf
    signed = audit_affinity(FLAT - 1.5 * np.eye(4))
    assert "negative entries" in headlines(signed, "act")
    assert any("no transition matrix" in line for line in signed.assumed)


def test_a_sound_affinity_has_nothing_to_act_on(rng):
    X = rng.standard_normal((30, 3))
    audit = audit_features(X, scale=1.0)
    assert headlines(audit, "act") == ""
    assert audit.ordered[0].level != "good" or headlines(audit, "watch") == ""
    levels = [finding.level for finding in audit.ordered]
    assert levels == sorted(levels, key=["act", "watch", "good"].index)


def test_normalisation_decides_which_assumptions_hold_together(rng):
    X = rng.standard_normal((25, 2))
    row, sinkhorn = (audit_features(X, scale=1.0, normalize=how) for how in ("row", "sinkhorn"))
    assert "do not hold together" in headlines(row, "watch")
    assert "hold together" in headlines(sinkhorn, "good")
    assert sinkhorn.value("K_symmetry_defect") <= tolerance("solve", n=25)
    assert row.value("K_symmetry_defect") > tolerance("solve", n=25)
    assert close(sinkhorn.value("stationary_positions"), 25.0, n=25)


def test_steady_states_of_the_original_network(rng):
    v = np.array([[1.0, -2.0]])
    Z = np.concatenate([v, -v, v, -v])
    gaussian, dot = audit_features(Z), audit_features(Z, kernel="dot_product", normalize="none")
    assert gaussian.value("duplicates") == 2
    assert gaussian.value("rank") == 2
    assert gaussian.value("residual") > 0.1
    assert "strictly positive definite" in headlines(gaussian, "good")
    assert "scalar product" in headlines(dot, "good")
    flat = audit_features(Z, scale=1e9)  # K = mean: these mean-free features are steady for the original network
    assert flat.value("residual") <= tolerance("solve", n=4)
    assert flat.value("slow_share") > 0.99
    assert "where $K$ is nearly zero" in headlines(flat, "act")
    assert audit_features(np.abs(Z) + rng.random(Z.shape)).value("one_signed_channels") == 2


def test_equal_positions(rng):
    audit = audit_features(np.ones((5, 2)))
    assert audit.value("energy") <= tolerance("reduction", n=5)
    assert audit.value("variance_left") == 1.0 or audit.value("variance_left") >= 0
    assert median_distance(np.ones((5, 2))) == 1.0
    x = np.array([[0.0], [1.0], [3.0], [3.0]])
    assert median_distance(x) == 2.0


def test_large_features_stay_finite(rng):
    X = rng.standard_normal((12, 4))
    audit = audit_features(27 * X / np.linalg.norm(X, axis=1, keepdims=True), kernel="exp_dot")
    assert any("overflows" in line for line in audit.assumed)
    assert math.isfinite(audit.value("lambda_2"))
    assert audit.value("mixing_time") == math.inf
    assert "does not mix" in headlines(audit, "watch")
    assert "too narrow" in headlines(audit, "act")
    with pytest.raises(DomainError, match=r"(?s)fit into float64 together.*temperature"):
        audit_features(1000 * X, kernel="exp_dot")


@given(st.integers(3, 8), st.integers(1, 3), st.integers(1, 6), st.floats(0.05, 1.0), st.integers(0, 10**6))
def test_variance_left_is_what_the_stage_leaves(M, C, blocks, mu, seed):
    X = np.random.default_rng(seed).standard_normal((M, C))
    x = from_features(X, scale=1.0)
    Z = X
    for _ in range(blocks):
        Z = Z + mu * (x.op @ Z)

    def variance(field):
        return float(x.op.inner(field - x.op.mean(field), field - x.op.mean(field)))

    left, slack = variance(Z) / variance(X), tolerance("solve", n=M, cond=100.0)
    assert abs(remaining(x, mu, blocks) - left) <= slack
    wrong = remaining(x, mu, blocks + 1)  # the twin: one block too many
    assert wrong <= left + slack
    if left > 0.01 and left < 0.9:
        assert abs(wrong - left) > slack


@given(st.integers(4, 10), st.integers(0, 10**6))
def test_the_advised_step_keeps_half(M, seed):
    x = from_features(np.random.default_rng(seed).standard_normal((M, 2)), scale=1.0)
    mu = step_that_keeps(x, 0.5, 5)
    if mu is None:
        assert remaining(x, 1 / float(x.s[-1]), 5) > 0.5
    else:
        assert abs(remaining(x, mu, 5) - 0.5) <= tolerance("solve", n=M)
        assert abs(remaining(x, 2 * mu, 5) - 0.5) > tolerance("solve", n=M)


@pytest.mark.parametrize("kernel", ["gaussian", "exp_dot"])
def test_the_advised_scale_gives_what_it_says(kernel, rng):
    X = rng.standard_normal((80, 3))
    wide = from_features(X, kernel=kernel, scale=100.0)
    scale = scale_for(wide, 7.0)
    narrow = from_features(X, kernel=kernel, scale=scale)
    assert abs(float(np.median(neighbours(narrow.K))) - 7.0) <= tolerance("solve", n=80)
    assert abs(float(np.median(neighbours(wide.K))) - 7.0) > 1
    assert f"--scale {scale_for(wide, 10.0):.4g}" in " ".join(
        f.remedy for f in audit_features(X, kernel=kernel, scale=100.0).findings
    )
    assert scale_for(from_features(np.ones((5, 1))), 2.0) is None


BAD = {
    "one position": (lambda: audit_features(np.ones((1, 4))), ShapeError, "at least 3 positions"),
    "two positions": (lambda: audit_affinity(np.ones((2, 2))), ShapeError, "at least 3 positions"),
    "vector": (lambda: audit_features(np.ones(4)), ShapeError, "2 dimensions"),
    "integers": (lambda: audit_features(np.ones((4, 4), int)), DtypeError, "floating"),
    "complex": (lambda: audit_affinity(np.ones((4, 4), complex)), DtypeError, "floating"),
    "nan": (lambda: audit_features(np.full((4, 4), np.nan)), NonFiniteError, "finite"),
    "infinity": (lambda: audit_affinity(np.full((4, 4), np.inf)), NonFiniteError, "finite"),
    "not square": (lambda: audit_affinity(np.ones((4, 5))), ShapeError, "square"),
    "empty": (lambda: audit_features(np.ones((0, 4))), ShapeError, "empty"),
    "zero row": (lambda: audit_affinity(np.zeros((4, 4))), NormalizationError, "row sum"),
    "signs": (
        lambda: audit_features(np.eye(4) - 1.0, kernel="dot_product") and audit_features(
            np.array([[1.0], [-2.0], [0.5]]), kernel="dot_product"), NormalizationError, "(?s)--normalize none",
    ),
    "scale": (lambda: audit_features(np.eye(4), scale=-1.0), DomainError, "scale"),
    "dot scale": (lambda: audit_features(np.eye(4), kernel="dot_product", scale=1.0), DomainError, "no scale"),
    "how": (lambda: audit_affinity(FLAT, normalize="rows"), ChoiceError, "'row'"),
    "kernel": (lambda: audit_features(np.eye(4), kernel="rbf"), ChoiceError, "'gaussian'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
