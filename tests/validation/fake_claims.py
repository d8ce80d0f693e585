"""Tiny claims with known verdicts."""

from validation import Section, at_least, at_most, claim


SECTION = Section("9.1", "Numbers", "Claims about the number $2$.")


def fake(examine, id="C1", assumptions=(), **words):
    """A claim that does nothing but `examine`."""
    words = {"paper": "Nobody 2000, eq. (1)", "title": "two is $2$", "statement": "Two is $x = 2$.", **words}
    return claim(id, section=words.pop("section", SECTION), assumptions=assumptions, **words)(examine)


def confirmed(ledger):
    ledger.evidence("two", 2.0, at_most=2.0, controls={"three": 3.0})


def against(ledger):
    ledger.witness(
        "minus one",
        satisfies={"real": True, "at most 1": at_most(-1.0, 1.0)},
        violates=at_least(-1.0, 0.0),
        data={"x": -1.0},
        controls={"zero": at_least(0.0, 0.0)},
    )


def refuted(ledger):
    against(ledger)
    ledger.instead("its square").evidence("square", lambda x: x * x, of=-1.0, at_least=0.0)


def conditional(ledger):
    against(ledger)
    ledger.under("$x$ is positive").evidence("one", 1.0, at_least=0.0, controls={"minus one": -1.0})
