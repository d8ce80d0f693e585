"""Audits of weights against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.audit import audit_weights
from nlmodel.audit.weighed import Weighed
from nlmodel.errors import DtypeError, NonFiniteError, ShapeError
from nlmodel.testing import tolerance


EPS = float(np.finfo(np.float64).eps)
TRANSIENT = np.array([[0.5, 20.0], [0.0, 0.5]])
ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])


def headlines(audit, level):
    return " ".join(finding.headline for finding in audit.findings if finding.level == level)


def close(found, exact, n=8):
    return abs(found - exact) <= tolerance("solve", n=n, scale=max(1.0, abs(exact)))


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_the_theorem_that_the_report_quotes(r, seed):
    rng = np.random.default_rng(seed)
    W_Z, W_g = rng.standard_normal((2 * r + 1, r)), rng.standard_normal((r, 2 * r + 1))
    generic, tied = (Weighed(W_Z @ right, (W_Z, right), EPS) for right in (W_g, W_Z.T.copy()))
    assert (generic.rank, generic.inertia) == (r, (r, r, 1))
    assert (tied.rank, tied.inertia) == (r, (r, 0, r + 1))
    assert Weighed(W_Z @ W_g, None, EPS).inertia == generic.inertia


def test_a_bottleneck_grows_at_every_scale_and_a_tied_one_does_not(rng):
    W_Z, W_g = rng.standard_normal((9, 4)), rng.standard_normal((4, 9))
    generic, tied = audit_weights(W_Z, W_g), audit_weights(W_Z, W_Z.T.copy())
    assert generic.value("inertia") == "4, 4, 1"
    assert generic.value("energy_psd") == 0.0
    assert tied.value("inertia") == "4, 0, 5"
    assert close(tied.value("energy_psd"), 2 / np.linalg.norm(W_Z, 2) ** 2)
    assert "dissipative" in headlines(tied, "good")


def test_the_sign_count_is_read_against_chance(rng):
    W_Z = rng.standard_normal((64, 32))
    trained, random = (audit_weights(W_Z, W_g) for W_g in (-0.7 * W_Z.T, rng.standard_normal((32, 64))))
    assert random.value("inertia") == "32, 32, 0"
    assert "as every generic weight of rank 32" in headlines(random, "watch")
    assert "indistinguishable" in headlines(random, "watch")
    assert trained.value("negative_in_top") == 32
    assert trained.value("z_score") > 10
    assert close(trained.value("trace"), -0.7 * np.sum(W_Z**2), n=64)
    assert "eigenvalues of $W$ have a negative real part" in headlines(trained, "act")


def test_transients_are_told_from_growth():
    audit = audit_weights(TRANSIENT)
    assert close(audit.value("smallest_symmetric"), -9.5)
    assert close(audit.value("limit_psd"), 4.0)
    assert close(audit.value("limit_reversible"), 2.0)
    assert audit.value("energy_reversible") == 0.0
    assert 9.9 < audit.value("kreiss") < 10.2  # known to four digits: (|z| - 1)/sigma_min at its maximum
    assert "Transients" in headlines(audit, "watch")
    calm = audit_weights(0.5 * np.eye(2))
    assert close(calm.value("kreiss"), 1.0)
    assert "No large transient" in headlines(calm, "good")


@pytest.mark.parametrize(
    ("W", "level", "words"),
    [
        (np.zeros((6, 6)), "watch", "weight is zero"),
        (5 * np.eye(8), "act", "too large: at most 0.4"),
        (-0.5 * np.eye(8), "act", "8 of 8 eigenvalues"),
        (-0.5 * np.eye(8), "watch", "no positive eigenvalue"),
        (ROTATION, "act", "imaginary eigenvalues"),
        (ROTATION, "watch", "antisymmetric"),
        (np.array([[0.0, 1.0], [0.0, 0.0]]), "watch", "no eigenvalue but 0"),
        (1.5 * np.eye(8), "watch", "not for every reversible one"),
        (0.5 * np.eye(8), "good", "No mode of $W$ grows"),
        (np.array([[0.4]]), "good", "No mode of $W$ grows"),
    ],
)
def test_findings(W, level, words):
    assert words in headlines(audit_weights(W), level)


def test_negative_weights_suit_the_original_block():
    audit = audit_weights(-0.5 * np.eye(4))
    assert audit.value("limit_psd") == 0.0
    assert close(audit.value("limit_original"), 4.0)
    assert "original block" in next(f for f in audit.findings if f.level == "act").consequence


def test_the_stored_precision_sets_the_rank(rng):
    W = (rng.standard_normal((12, 3)) @ rng.standard_normal((3, 12))).astype(np.float32).astype(np.float64)
    assert audit_weights(W, unit=float(np.finfo(np.float32).eps)).value("rank") == 3
    assert audit_weights(W).value("rank") == 12


def test_large_weights_do_without_the_kreiss_constant():
    audit = audit_weights(0.5 * np.eye(130))
    assert audit.value("kreiss") is None
    assert math.isfinite(audit.value("limit_psd"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((3, 4)),), ShapeError, "square"),
        ((np.ones((3, 2)), np.ones((3, 2))), ShapeError, "W_Z and W_g"),
        ((np.ones((3, 3), int),), DtypeError, "floating"),
        ((np.ones((3, 3), complex),), DtypeError, "floating"),
        ((np.ones((3, 2)), np.ones((2, 3), np.float32)), DtypeError, "share dtype"),
        ((np.full((3, 3), np.nan),), NonFiniteError, "finite"),
        ((np.ones((0, 0)),), ShapeError, "empty"),
        ((np.ones(3),), ShapeError, "2 dimensions"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        audit_weights(*arguments)
