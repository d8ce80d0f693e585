"""Every path from a record to a verdict."""

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.validation.fake_claims import against, conditional, confirmed, fake, refuted
from validation import at_least, at_most, close, within
from validation.ledger import Ledger
from validation.record import NOISE
from validation.run import run_claim


ASSUMED = ("real", "at most 1")


def verdict(examine, assumptions=()):
    result = run_claim(fake(examine, assumptions=assumptions))
    return result.verdict, " / ".join(result.reasons)


@pytest.mark.parametrize(
    ("examine", "expected"), [(confirmed, "confirmed"), (refuted, "refuted"), (conditional, "conditional")]
)
def test_the_three_verdicts(examine, expected):
    assert verdict(examine, ASSUMED) == (expected, "")


def raises(ledger):
    confirmed(ledger)
    raise ZeroDivisionError("by zero")


def overflows(ledger):
    confirmed(ledger)
    ledger.evidence("infinite", np.exp(np.array(1e4)), at_least=0.0)


def no_control(ledger):
    ledger.evidence("two", 2.0, at_most=2.0)


def passing_control(ledger):
    ledger.evidence("two", 2.0, at_most=2.0, controls={"one": 1.0})


def passing_separate_control(ledger):
    confirmed(ledger)
    ledger.control("one", 1.0, at_most=2.0)


def nan_control(ledger):
    ledger.evidence("two", 2.0, at_most=2.0, controls={"nothing": np.nan})


def nan_evidence(ledger):
    confirmed(ledger)
    ledger.evidence("nothing", np.nan, at_most=2.0)


def failing(ledger):
    confirmed(ledger)
    ledger.evidence("three", 3.0, at_most=2.0)


def failing_beside_a_witness(ledger):
    against(ledger)
    ledger.evidence("three", 3.0, at_most=2.0)


def failing_condition(ledger):
    conditional(ledger)
    ledger.under("$x$ is positive").evidence("minus one", -1.0, at_least=0.0)


def failing_instead(ledger):
    refuted(ledger)
    ledger.instead("its square").evidence("minus one", -1.0, at_least=0.0)


def nothing_stated(ledger):
    ledger.control("three", 3.0, at_most=2.0)


def condition_without_witness(ledger):
    confirmed(ledger)
    ledger.under("$x$ is positive").evidence("one", 1.0, at_least=0.0)


def instead_without_witness(ledger):
    confirmed(ledger)
    ledger.instead("another").evidence("one", 1.0, at_least=0.0)


@pytest.mark.parametrize(
    ("examine", "reason"),
    [
        (raises, "raised ZeroDivisionError: by zero"),
        (overflows, "raised RuntimeWarning: overflow"),
        (no_control, "no control"),
        (passing_control, "control 'one' did not fail: 1, ≤ 2"),
        (passing_separate_control, "control 'one' did not fail"),
        (nan_control, "control 'nothing' did not fail: nan"),
        (nan_evidence, "evidence 'nothing' failed: nan"),
        (failing, "evidence 'three' failed: 3, not ≤ 2"),
        (failing_beside_a_witness, "evidence 'three' failed"),
        (failing_condition, "evidence 'minus one' failed"),
        (failing_instead, "evidence 'minus one' failed"),
        (nothing_stated, "neither evidence as stated nor a witness"),
        (condition_without_witness, "no witness against"),
        (instead_without_witness, "no witness against"),
    ],
)
def test_broken(examine, reason):
    found, reasons = verdict(examine, ASSUMED if examine in (failing_condition, failing_instead) else ())
    assert found == "broken"
    assert reason in reasons


def witness(**changes):
    """A claim whose only content is a witness, changed from a valid one."""
    valid = {
        "satisfies": {"real": True, "at most 1": at_most(-1.0, 1.0)},
        "violates": at_least(-1.0, 0.0),
        "controls": {"zero": at_least(0.0, 0.0)},
    }
    return lambda ledger: ledger.witness("minus one", **{**valid, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"satisfies": {"real": False, "at most 1": at_most(-1.0, 1.0)}}, "does not satisfy 'real'"),
        ({"satisfies": {"real": True, "at most 1": at_most(2.0, 1.0)}}, "does not satisfy 'at most 1'"),
        ({"satisfies": {"real": True}}, "does not show the assumption 'at most 1'"),
        ({"violates": at_least(1.0, 0.0)}, "does not violate"),
        ({"violates": at_least(np.nan, 0.0)}, "does not violate"),
        ({"controls": {"minus two": at_least(-2.0, 0.0)}}, "did not keep the promise"),
        ({"controls": {}}, "no control"),
    ],
)
def test_a_witness_must_be_one(changes, reason):
    assert verdict(witness(), ASSUMED) == ("refuted", "")
    found, reasons = verdict(witness(**changes), ASSUMED)
    assert found == "broken"
    assert reason in reasons


def test_a_condition_is_an_outcome_or_a_truth_value():
    found, reasons = verdict(witness(violates=0.3), ASSUMED)
    assert found == "broken"
    assert "a condition must be a bool or come from at_most" in reasons


def hunting(law, assuming):
    return lambda ledger: ledger.property(
        "no number exceeds ten",
        st.integers(0, 1000),
        law,
        at_most=10.0,
        assuming=assuming,
        controls={"negative": lambda x: 11.0 + x},
    )


def test_a_shrunken_counterexample_becomes_the_witness():
    claim = fake(hunting(float, {"even": lambda x: x % 2 in (0, 1)}), assumptions=("even",))
    result = run_claim(claim)
    assert result.verdict == "refuted"
    assert result.record.witnesses[0].data == {"example": 11}
    assert result.record.evidence[0].excused
    assert result.headline is not None and result.headline.value == 11.0


def test_a_counterexample_that_breaks_an_assumption_is_no_witness():
    assert verdict(hunting(float, {"even": lambda x: x % 2 == 0}), ("even",))[0] == "broken"
    assert verdict(hunting(float, {}), ("even",))[0] == "broken"


def test_a_hunt_that_finds_nothing_confirms():
    assert verdict(hunting(lambda x: x / 100, {})) == ("confirmed", "")


def test_a_hunt_cannot_be_fooled_by_nan():
    assert verdict(hunting(lambda x: np.nan if x > 500 else 0.0, {}))[0] == "broken"


def test_a_counterexample_under_an_assumption_breaks_the_claim():
    def examine(ledger):
        against(ledger)
        ledger.under("positive").property("small", st.integers(0, 1000), float, at_most=10.0)

    assert verdict(examine)[0] == "broken"


def test_the_same_claim_gives_the_same_numbers():
    def examine(ledger):
        ledger.evidence("draw", ledger.rng.uniform(), at_most=1.0, controls={"more": 2.0})
        ledger.property("small", st.floats(0, 1), float, at_most=1.0)

    first, again = (run_claim(fake(examine, id="C7")).record.evidence for _ in range(2))
    other = run_claim(fake(examine, id="C8")).record.evidence
    assert first == again
    assert first != other


def test_separate_controls_use_the_same_methods():
    def examine(ledger):
        confirmed(ledger)
        ledger.control.equals("wrong pair", np.array([1.0, 2.0]), np.array([1.0, 3.0]), 0.5)

    result = run_claim(fake(examine))
    assert result.verdict == "confirmed"
    assert [c.name for c in result.record.controls] == ["three", "wrong pair"]


def test_quick_runs_know_that_their_size_differs():
    ledger = Ledger(fake(confirmed), quick=True)
    assert ledger.size(full=5, quick=5) == 5
    assert not ledger.record.size_dependent
    assert ledger.size(full=500, quick=5) == 5
    assert ledger.record.size_dependent


def test_headline_is_chosen_or_the_first_number():
    def chosen(ledger):
        confirmed(ledger)
        ledger.headline("three", 3.0)

    values = [run_claim(fake(examine)).headline for examine in (confirmed, refuted, chosen)]
    assert [(head.label, head.value, head.absolute) for head in values] == [
        ("two", 2.0, 2.0),
        ("minus one", -1.0, NOISE),
        ("three", 3.0, NOISE),
    ]


def test_conditions_know_their_ends():
    assert at_most(1.0, 1.0).passed and at_least(1.0, 1.0).passed and within(1.0, 1.0, 1.0).passed
    assert not at_most(np.nextafter(1.0, 2.0), 1.0).passed
    assert not at_least(np.nextafter(1.0, 0.0), 1.0).passed
    assert close(np.array([1.0]), np.array([1.0]), 0.0).passed
