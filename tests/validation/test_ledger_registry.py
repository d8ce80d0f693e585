"""Claims as they are found: ids, order, sections, skeletons, the table in the README."""

import importlib.util

import pytest

from nlmodel.errors import ChoiceError, DomainError, FileError
from tests.validation.fake_claims import confirmed, fake, refuted
from validation import Section, claims_table, pins, prose
from validation.mathml import mathml
from validation.registry import collect, discover, explore, natural, section_key, select
from validation.run import run_claim
from validation.scaffold import scaffold


REAL = discover()


def test_natural_order():
    shuffled = ["4.12", "P1", "S-2", "C10", "4.3", "C2", "S-1"]
    assert sorted(shuffled, key=natural) == ["C2", "C10", "S-1", "S-2", "P1", "4.3", "4.12"]
    sections = [Section(number, "") for number in ("B", "4.10", "4.2", "A", "3.1")]
    assert [s.number for s in sorted(sections, key=section_key)] == ["3.1", "4.2", "4.10", "A", "B"]


@pytest.mark.parametrize("id", ["", "c6", "C", "C6a", "6", "S--1"])
def test_ids_have_a_shape(id):
    with pytest.raises(DomainError, match="a claim id looks like"):
        fake(confirmed, id)


def test_assumptions_are_a_tuple():
    with pytest.raises(DomainError, match="tuple of strings"):
        fake(confirmed, assumptions="real")


def test_two_claims_with_one_id():
    with pytest.raises(DomainError, match="two claims have the id C1"):
        collect([{"a": fake(confirmed)}, {"b": fake(refuted)}])
    same = fake(confirmed)
    assert list(collect([{"a": same}, {"b": same}])) == ["C1"]


def test_a_section_has_one_title():
    other = fake(confirmed, "C2", section=Section("9.1", "Letters"))
    with pytest.raises(DomainError, match=r"section 9\.1 has two titles"):
        collect([{"a": fake(confirmed), "b": other}])


def test_a_module_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    package = tmp_path / "fake_claim_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text("from tests.validation.fake_claims import confirmed, fake\nc1 = fake(confirmed)\n")
    (package / "bad.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    claims, unreadable = explore("fake_claim_package")
    assert list(claims) == ["C1"]
    (sentence,) = unreadable
    assert sentence.startswith("fake_claim_package.bad cannot be imported: ModuleNotFoundError")


def test_select():
    claims = collect([{"a": fake(confirmed, "C1"), "b": fake(confirmed, "C2")}])
    assert list(select(claims, ["C2"])) == ["C2"]
    with pytest.raises(ChoiceError, match="one of C1, C2"):
        select(claims, ["C3"])


@pytest.mark.parametrize("id", list(REAL))
def test_texts_of_the_real_claims_can_be_typeset(id):
    claim = REAL[id]
    for text in (claim.title, claim.statement, claim.proof, claim.paper, claim.section.intro, *claim.assumptions):
        prose.paragraphs(text)
    if claim.formula:
        mathml(claim.formula, display=True)
    assert claim.paper and claim.title and claim.statement


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return collect([vars(module)])


@pytest.mark.parametrize(("id", "name"), [("C98", "c98"), ("S-98", "s98"), ("9.98", "claim_9_98")])
def test_a_skeleton_runs_and_asks_for_a_control(tmp_path, id, name):
    told = scaffold(id, "new_section", tmp_path)
    path = tmp_path / "new_section.py"
    assert f"--only {id}" in told
    assert f"def {name}(ledger" in path.read_text()
    result = run_claim(load(path)[id])
    assert result.verdict == "broken"
    assert result.reasons == ("no control: nothing shows that the check can fail",)


def test_a_skeleton_with_its_control_is_a_claim(tmp_path):
    scaffold("C98", "new_section", tmp_path)
    scaffold("C99", "new_section", tmp_path)
    path = tmp_path / "new_section.py"
    path.write_text(path.read_text().replace("# controls=", "controls="))
    claims = load(path)
    assert list(claims) == ["C98", "C99"]
    assert {run_claim(claim).verdict for claim in claims.values()} == {"confirmed"}


@pytest.mark.parametrize(("id", "section"), [("C1", "markov"), ("x", "markov"), ("C98", "no-module")])
def test_a_skeleton_needs_a_free_id_and_a_module(tmp_path, id, section):
    with pytest.raises(DomainError):
        scaffold(id, section, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{claims_table.BEGIN}\nold\n{claims_table.END}\nafter\n")
    return path


CLAIMS = collect([{"a": fake(confirmed, "C1", title="$a$ | b"), "b": fake(refuted, "C2")}])
PINS = {"C1": pins.Pin("confirmed", "the number $\\pi$", 3.14159, 1e-6, 0.0)}


def test_the_table_in_the_readme(readme, capsys):
    assert claims_table.update(readme, CLAIMS, PINS, check=True) == 1
    assert "out of date" in capsys.readouterr().out
    assert claims_table.update(readme, CLAIMS, PINS, check=False) == 0
    text = readme.read_text()
    assert "| C1 | a \\| b | Nobody 2000, eq. (1) | **confirmed** | 3.142 (the number π) |" in text
    assert "| C2 | two is 2 | Nobody 2000, eq. (1) | not run |  |" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert claims_table.update(readme, CLAIMS, PINS, check=True) == 0
    assert claims_table.update(readme, CLAIMS, {}, check=True) == 1


@pytest.mark.parametrize("text", ["", claims_table.BEGIN, f"{claims_table.END}{claims_table.BEGIN}"])
def test_a_readme_without_markers(readme, text):
    readme.write_text(text)
    with pytest.raises(FileError, match="one pair of markers"):
        claims_table.update(readme, CLAIMS, PINS, check=False)
    assert readme.read_text() == text


def test_a_readme_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        claims_table.update(tmp_path / "README.md", CLAIMS, PINS, check=True)


def test_pins_survive_a_round_trip(tmp_path):
    path = tmp_path / "ledger.toml"
    some = {
        "C2": pins.Pin("refuted", 'a "quoted" $\\omega$', -1e-300, 1e-6, 0.0),
        "4.3": pins.Pin("confirmed", "ω", float("inf"), 0.0, 1e-12),
    }
    pins.write(some, path)
    assert pins.read(path) == some
    assert pins.read(tmp_path / "none.toml") == {}
