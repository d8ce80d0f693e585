"""The command line: exit status, pins, messages, files."""

import json

import numpy as np
import pytest

from tests.validation.fake_claims import against, conditional, confirmed, fake, refuted
from validation import at_least, at_most, canvas, pins
from validation.cli import main
from validation.registry import collect


ASSUMED = ("real", "at most 1")


def rich(ledger):
    """A claim that uses everything a report shows."""
    conditional(ledger)
    ledger.evidence("tiny", 3e-16, at_most=1e-12, note="of order $\\varepsilon$")
    ledger.witness(
        "a matrix",
        satisfies={"real": True, "at most 1": at_most(0.5, 1.0)},
        violates=at_least(-np.inf, 0.0),
        data={
            "A": np.array([[1.0, np.inf], [0.0, -2.5e-8]]),
            "big": np.ones((20, 20)),
            "z": 1 + 2j,
            "nested": {"b": [1, 2]},
        },
    )
    ledger.figure("line", draw, "A line, $y = x$.")


def draw():
    figure, axes = canvas()
    axes.plot([0, 1])
    return figure


@pytest.fixture
def bench(tmp_path):
    """Runs the command on fake claims with a ledger of its own."""

    class Bench:
        claims = collect(
            [
                {"a": fake(confirmed, "C1"), "b": fake(refuted, "C2", ASSUMED)},
                {"c": fake(conditional, "C10", ASSUMED), "d": fake(against, "4.3", ASSUMED)},
            ]
        )
        ledger = tmp_path / "ledger.toml"
        out = tmp_path / "out"

        def __call__(self, *words):
            return main([*words, "--out", str(self.out)], self.claims, self.ledger)

        def json(self):
            return json.loads((self.out / "claims.json").read_text(encoding="utf-8"))

    return Bench()


def test_an_unpinned_claim_differs_until_accepted(bench, capsys):
    assert bench() == 1
    assert "not in ledger.toml: C1, C2, C10, 4.3" in capsys.readouterr().out
    assert bench("--accept") == 0
    assert bench() == 0
    out = capsys.readouterr().out
    assert "4 claims: 1 confirmed, 1 conditional, 2 refuted, 0 broken; 5 of 5 controls failed as they must" in out
    assert "differs  " not in out


def test_a_changed_verdict_exits_with_one(bench, capsys):
    bench("--accept")
    bench.claims["C1"] = fake(refuted, "C1")
    assert bench() == 1
    assert "C1 is refuted, pinned as confirmed" in capsys.readouterr().out
    assert bench("--only", "C2") == 0


def test_a_changed_headline_exits_with_one(bench, capsys):
    bench("--accept")
    known = pins.read(bench.ledger)
    value, rel = known["C2"].value, known["C2"].rel
    for factor, status in ((1 + 0.9 * rel, 0), (1 + 1.1 * rel, 1)):
        changed = pins.Pin("refuted", "x", value * factor, rel, 0.0)
        pins.write({**known, "C2": changed}, bench.ledger)
        assert bench("--only", "C2") == status
    assert "C2 has the headline -1.0, pinned as" in capsys.readouterr().out


def test_a_rounding_error_may_move_below_its_bound():
    pin = pins.Pin("confirmed", "defect", 1e-16, 1e-6, 1e-12)
    assert pins.agrees(9e-13, pin)
    assert not pins.agrees(2e-12, pin)
    assert pins.agrees(np.inf, pins.Pin("confirmed", "x", np.inf, 0.0, 0.0))
    assert not pins.agrees(1.0, pins.Pin("confirmed", "x", np.inf, 0.0, 0.0))
    assert not pins.agrees(np.nan, pin)


def test_quick_compares_the_headline_only_where_size_does_not_matter(bench):
    def sized(ledger):
        confirmed(ledger)
        ledger.headline("size", ledger.size(full=100, quick=10))

    bench.claims = {"C1": fake(sized, "C1"), "C3": fake(confirmed, "C3")}
    assert bench("--accept") == 0
    assert bench("--quick") == 0
    known = pins.read(bench.ledger)
    pins.write({**known, "C3": pins.Pin("confirmed", "two", 17.0, 0.0, 0.0)}, bench.ledger)
    assert bench("--quick") == 1


def test_accept_keeps_the_pin_of_a_broken_claim_and_of_claims_not_run(bench):
    bench("--accept")
    before = bench.ledger.read_text()
    bench.claims["C1"] = fake(lambda ledger: None, "C1")
    assert bench("--only", "C1", "--accept") == 1
    assert bench.ledger.read_text() == before


def test_a_pin_without_a_claim_differs_in_a_full_run(bench, capsys):
    bench("--accept")
    del bench.claims["C10"]
    assert bench() == 1
    assert "C10 is in ledger.toml, but there is no such claim" in capsys.readouterr().out
    assert bench("--accept") == 0
    assert list(pins.read(bench.ledger)) == ["C1", "C2", "4.3"]


def test_a_broken_claim_tells_why(bench, capsys):
    bench.claims = {"C1": fake(lambda ledger: 1 / 0, "C1")}
    assert bench("--accept") == 1
    assert "raised ZeroDivisionError" in capsys.readouterr().out
    (claim,) = bench.json()
    assert claim["verdict"] == "broken"
    assert "Traceback" in claim["traceback"]
    assert pins.read(bench.ledger) == {}


def test_an_unknown_id_lists_the_valid_ones(bench, capsys):
    assert bench("--only", "C99") == 2
    assert "there is no such claim: got 'C99'\n  fix: one of C1, C2, C10, 4.3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"), [(("--quick", "--accept"), "leave out --quick"), (("--jobs", "0"), "at least 1")]
)
def test_options_that_make_no_sense(bench, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        bench(*words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_damaged_ledger_is_named(bench, capsys):
    for text in ("C1 = [", "[C1]\nverdict = 'confirmed'"):
        bench.ledger.write_text(text)
        assert bench("--only", "C1") == 2
        assert "ledger.toml cannot be read" in capsys.readouterr().err


def test_list(bench, capsys):
    assert bench("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["C1", "C2", "C10", "4.3"]
    assert lines[0] == "   C1  Nobody 2000, eq. (1): two is 2"


def test_witnesses_are_printed_and_saved(bench, capsys):
    bench.claims["4.3"] = fake(rich, "4.3", ASSUMED)
    bench()
    assert "C2  minus one: −1, claimed ≥ 0" in capsys.readouterr().out
    with np.load(bench.out / "witnesses" / "4.3-2.npz", allow_pickle=False) as saved:
        assert saved["big"].shape == (20, 20)
        assert saved["A"][1, 1] == -2.5e-8
    assert (bench.out / "figures" / "4.3-line.png").read_bytes().startswith(b"\x89PNG")


def test_files_of_an_earlier_run_do_not_stay(bench):
    bench()
    bench("--only", "C1")
    assert list((bench.out / "witnesses").iterdir()) == []
    assert list((bench.out / "figures").iterdir()) == []


def test_claims_json(bench):
    bench.claims["4.3"] = fake(rich, "4.3", ASSUMED)
    bench()
    claims = {claim["id"]: claim for claim in bench.json()}
    assert list(claims) == ["C1", "C2", "C10", "4.3"]
    for claim in claims.values():
        assert {"paper", "statement", "verdict", "evidence", "controls", "witness", "headline", "seconds"} <= set(claim)
        assert claim["controls"]
        assert all(control["failed_as_it_must"] for control in claim["controls"])
    assert claims["C1"]["witness"] is None
    assert claims["C2"]["witness"]["violates"] == {
        "kind": "bound",
        "measured": -1.0,
        "at_least": 0.0,
        "at_most": None,
        "passed": False,
        "detail": "",
    }
    (second,) = claims["4.3"]["further_witnesses"]
    assert second["violates"]["measured"] == "-inf"
    assert second["data"]["A"] == [[1.0, "inf"], [0.0, -2.5e-8]]
    assert second["data"]["big"] == {"shape": [20, 20], "dtype": "float64"}
    assert second["data"]["z"] == {"real": 1.0, "imag": 2.0}


def test_the_same_run_gives_the_same_bytes(bench):
    def timeless():
        files = {path.name: path.read_bytes() for path in bench.out.rglob("*.*") if path.suffix in (".png", ".npz")}
        return [{**claim, "seconds": 0} for claim in bench.json()], files

    bench.claims["4.3"] = fake(rich, "4.3", ASSUMED)
    bench()
    first = timeless()
    bench()
    assert timeless() == first
