"""Intervals, verdicts and tables: a true difference is supported, none is undecided, and captions say what was run."""

import csv
import io
import math
import re
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nlmodel.errors import DomainError, DtypeError, FileError, NlmodelError, NonFiniteError, ShapeError
from nlmodel.testing import tolerance
from paper_repro.config import RunConfig
from paper_repro.presets import preset
from paper_repro.sweep.collect import COLUMNS, DIGEST
from paper_repro.tables import build_table, readme, to_csv, to_latex, to_markdown, to_terminal
from paper_repro.tables.gather import RowRuns, chance, gather, is_papers
from paper_repro.tables.orderings import TOLD, orderings
from paper_repro.tables.printed import printed
from paper_repro.tables.statistics import paired_difference, runs_needed, summarize, unpaired_difference
from paper_repro.tables.verdicts import (
    NOT_SUPPORTED,
    OTHER_RECIPE,
    SUPPORTED,
    UNDECIDED,
    Ordering,
    judge_ordering,
    judge_row,
)


PAPER = RunConfig()
SHORT = RunConfig(epochs=20, milestones=(10, 15))
A_LOWER = Ordering("a", "b", "a is better")


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def runs(errors, row: str = "a", config: RunConfig = PAPER, first: int = 0, diverged: int = 0) -> RowRuns:
    last = {first + k: float(error) for k, error in enumerate(errors)}
    lost = {first + len(errors) + k: "the loss is not finite" for k in range(diverged)}
    return RowRuns(row, config, last, {seed: error - 0.1 for seed, error in last.items()}, lost)


def result(row: str, config: RunConfig, seed: int, error: float | None, status: str = "finished") -> dict[str, str]:
    told = dict.fromkeys(COLUMNS, "") | {"row": row, "config_digest": config.digest()[:DIGEST], "seed": str(seed)}
    told |= {"status": status, "reason": "lost" if status == "diverged" else "", "data": config.dataset}
    return told if error is None else told | {"final_error": f"{error:.2f}", "best_error": f"{error - 0.2:.2f}"}


# ---------------------------------------------------------------- statistics


def test_the_summary_is_students():
    x = np.array([8.0, 8.2, 7.9, 8.4, 8.1])
    found = summarize(x)
    low, high = stats.t.interval(0.95, 4, loc=x.mean(), scale=stats.sem(x))
    bound = tolerance("solve", n=5, scale=10.0)
    assert found.median == 8.1 and abs(found.low - low) <= bound and abs(found.high - high) <= bound
    assert not abs(found.low - stats.norm.interval(0.95, x.mean(), stats.sem(x))[0]) <= bound  # control
    assert math.isnan(summarize(x[:1]).low) and summarize(x[:1]).mean == 8.0


def test_a_planted_difference_is_found_and_none_is_not():
    draw = np.random.default_rng(1)
    a, b = draw.normal(8.0, 0.2, 20), draw.normal(8.4, 0.2, 20)
    found, none = paired_difference(a, b, rng=rng()), paired_difference(a, b - 0.4, rng=rng())
    assert found.high < 0 and none.low < 0 < none.high
    found, none = unpaired_difference(a, b, rng=rng()), unpaired_difference(a, b - 0.4, rng=rng())
    assert found.high < 0 and none.low < 0 < none.high


def false_alarms(interval, runs: int, times: int = 300) -> float:
    """How often the interval for a difference of 0 does not hold it."""
    draw, wrong = np.random.default_rng(3), 0
    for _ in range(times):
        low, high = interval(draw.normal(0, 0.2, runs), draw.normal(0, 0.2, runs))
        wrong += not low <= 0 <= high
    return wrong / times


def plain_percentile(a, b) -> tuple[float, float]:
    drawn = rng().choice(a - b, (999, len(a))).mean(axis=1)
    return tuple(np.quantile(drawn, [0.025, 0.975]))


def test_the_intervals_hold_the_truth_about_as_often_as_they_say():
    def expanded(a, b):
        found = paired_difference(a, b, rng=rng())
        return found.low, found.high

    noise = 3 * math.sqrt(0.05 * 0.95 / 300)
    assert false_alarms(expanded, 10) <= 0.05 + noise
    assert false_alarms(expanded, 5) <= 2 * 0.05 + noise
    assert false_alarms(plain_percentile, 5) > 2 * 0.05 + noise  # control: why the interval is expanded


def test_a_difference_that_never_varies_has_no_width():
    d = paired_difference(np.full(5, 8.0), np.full(5, 9.0), rng=rng())
    assert d.low == d.high == d.mean == -1.0


def test_runs_needed():
    assert runs_needed(0.2, 0.2 * math.sqrt(2)) == 18  # paired; 0.2 points at a spread of 0.2
    assert runs_needed(-0.2, 0.2 * math.sqrt(2)) == 18
    assert runs_needed(0.0, 0.2) is None
    assert runs_needed(5.0, 0.1) == 2


def power(runs: int, ratio: float) -> float:
    """P(|T| > t), as an integral over the spread of the sample."""
    t, shift = stats.t.ppf(0.975, runs - 1), ratio * math.sqrt(runs)
    u = np.linspace(1e-9, 8, 20001)
    beyond = stats.norm.sf(t * u - shift) + stats.norm.cdf(-t * u - shift)
    return float(np.trapezoid(beyond * 2 * u * (runs - 1) * stats.chi2.pdf((runs - 1) * u**2, runs - 1), u))


@hypothesis.settings(max_examples=40)
@given(st.floats(0.2, 3.0), st.floats(0.05, 1.0))
def test_one_run_less_has_less_power(effect, std):
    n = runs_needed(effect, std)
    assert n is not None

    assert power(n, effect / std) >= 0.8
    assert n == 2 or power(n - 1, effect / std) < 0.8


BAD = {
    "empty": (lambda: summarize(np.array([])), ShapeError, "errors must not be empty"),
    "nan": (lambda: summarize(np.array([1.0, np.nan])), NonFiniteError, "errors must be finite"),
    "whole": (lambda: summarize(np.array([1, 2])), DtypeError, "floating-point"),
    "level": (lambda: summarize(np.array([1.0, 2.0]), level=1.0), DomainError, "level must be"),
    "lengths": (lambda: paired_difference(np.ones(3), np.ones(4), rng=rng()), DomainError, "pairs need two samples"),
    "one pair": (lambda: paired_difference(np.ones(1), np.ones(1), rng=rng()), DomainError, "pairs need two samples"),
    "one run": (lambda: unpaired_difference(np.ones(1), np.ones(4), rng=rng()), DomainError, "at least two runs"),
    "rng": (lambda: paired_difference(np.ones(3), np.ones(3), rng=7), DtypeError, "rng must be"),
    "std": (lambda: runs_needed(1.0, 0.0), DomainError, "std must be > 0"),
    "power": (lambda: runs_needed(1.0, 1.0, power=1.0), DomainError, "power must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_samples_are_refused(name):
    call, kind, words = BAD[name]
    with pytest.raises(NlmodelError, match=words) as caught:
        call()
    assert isinstance(caught.value, kind)


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("errors", "diverged", "word"),
    [
        ([8.0, 8.1, 8.2, 8.3, 8.4], 0, SUPPORTED),
        ([8.5, 8.6, 8.7, 8.8, 8.9], 0, NOT_SUPPORTED),
        ([8.2, 8.2, 8.2, 8.2], 0, UNDECIDED),
        ([8.0, 8.1, 8.2], 2, SUPPORTED),
        ([8.1, 8.2], 3, NOT_SUPPORTED),
        ([], 5, NOT_SUPPORTED),
        ([], 0, UNDECIDED),
    ],
)
def test_a_row_is_judged_by_its_median(errors, diverged, word):
    assert judge_row(runs(errors, diverged=diverged), 8.19).word == word


def test_rows_that_cannot_be_compared_are_not_judged():
    errors = [8.0, 8.1, 8.2, 8.3, 8.4]
    assert judge_row(runs(errors, config=SHORT), 8.19).word == OTHER_RECIPE
    assert judge_row(runs(errors, config=RunConfig(dataset="synthetic")), 8.19).word == OTHER_RECIPE
    assert judge_row(runs(errors), None).word == ""
    assert is_papers(PAPER) and not is_papers(RunConfig(train_images=5000))


def judged(a: RowRuns, b: RowRuns, gap: float | None = -0.4):
    return judge_ordering(A_LOWER, a, b, gap, rng=rng())


def test_an_ordering_that_is_true_is_supported_and_its_reverse_is_not():
    draw = np.random.default_rng(2)
    a, b = runs(draw.normal(8.0, 0.2, 10)), runs(draw.normal(8.6, 0.2, 10), "b")
    assert judged(a, b).verdict.word == SUPPORTED
    assert judged(b, a).verdict.word == NOT_SUPPORTED


def test_no_difference_is_undecided_with_the_number_of_runs_that_the_papers_needs():
    draw = np.random.default_rng(5)
    found = judged(runs(draw.normal(8, 0.2, 10)), runs(draw.normal(8, 0.2, 10), "b"), -0.1)
    assert found.verdict.word == UNDECIDED and "holds zero" in found.verdict.reason
    assert found.verdict.needed == runs_needed(-0.1, found.difference.std) > 10
    assert judged(runs([8.0] * 10), runs([8.0] * 10, "b"), None).verdict.needed is None


def test_a_handful_is_not_enough():
    found = judged(runs([8.0, 8.1, 8.0, 8.1]), runs([9.0, 9.1, 9.0, 9.1], "b"))
    assert found.verdict.word == UNDECIDED and found.verdict.needed == 7
    assert judged(runs([8.0]), runs([9.0], "b")).difference is None
    assert judged(runs([]), runs([], "b")).verdict.word == UNDECIDED


def test_seeds_are_paired_where_they_can_be():
    shared = np.random.default_rng(4).normal(0, 2.0, 6)  # seeds differ much, rows little
    a, b = runs(8.0 + shared), runs(8.3 + shared + 0.01 * np.arange(6), "b")
    paired, apart = judged(a, b), judged(a, replace(b, last={seed + 50: e for seed, e in b.last.items()}))
    assert paired.difference.paired and paired.verdict.word == SUPPORTED
    assert not apart.difference.paired and apart.verdict.word == UNDECIDED


def test_divergence_counts():
    fine, lost = runs([8.0, 8.1, 8.2, 8.1, 8.0, 8.2]), runs([], "b", diverged=6)
    assert judged(fine, lost).verdict.word == SUPPORTED
    assert judged(fine, runs([], "b")).verdict.word == UNDECIDED  # control: not there is not diverged
    assert chance(RunConfig(dataset="cifar100")) == 99.0


def test_another_recipe_is_said():
    draw = np.random.default_rng(2)
    a, b = runs(draw.normal(8, 0.2, 10), config=SHORT), runs(draw.normal(9, 0.2, 10), "b", config=SHORT)
    assert "another recipe" in judged(a, b).verdict.reason


def test_the_statements_are_those_of_the_printed_numbers():
    for name in ("table1", "table2"):
        rows, told = dict(preset(name)), printed(name)
        assert set(told) <= set(rows)
        for statement in orderings(rows):
            if statement.lower in told and statement.higher in told:
                assert told[statement.lower] < told[statement.higher], statement
    assert len(orderings(dict(preset("table1")))) == len(TOLD)
    assert orderings(["baseline"]) == []


# ---------------------------------------------------------------- tables


@pytest.fixture
def table():
    rows = [
        (row, config)
        for row, config in preset("table1")
        if row in ("baseline", "original-2", "original-4", "proposed-4")
    ]
    draw = np.random.default_rng(0)
    numbers = {"baseline": 8.19, "original-2": 8.6, "proposed-4": 7.37}
    results = [
        result(row, config, seed, numbers[row] + draw.normal(0, 0.05))
        for row, config in rows if row in numbers for seed in range(6)
    ]  # fmt: skip
    results += [result("original-4", dict(rows)["original-4"], seed, None, "diverged") for seed in range(6)]
    results += [result("baseline", SHORT, 0, 99.0)]
    return build_table("table1", rows, results, printed("table1"))


def test_only_runs_of_the_rows_own_configuration_count(table):
    assert [line.runs.runs for line in table.lines] == [6, 6, 6, 6]
    assert max(table.lines[0].runs.last.values()) < 10
    assert "1 runs with other configurations are left out" in table.caption
    rows = [("baseline", SHORT)]
    assert gather(rows, [result("baseline", SHORT, 0, 99.0)])[0].last == {0: 99.0}  # control


def test_the_verdicts_of_a_table(table):
    by_row = {line.runs.row: line.verdict.word for line in table.lines}
    assert by_row == {"baseline": SUPPORTED, "original-2": NOT_SUPPORTED, "proposed-4": SUPPORTED, "original-4": ""}
    words = {(found.ordering.lower, found.ordering.higher): found.verdict.word for found in table.statements}
    assert words["original-2", "baseline"] == NOT_SUPPORTED
    assert words["proposed-4", "baseline"] == words["proposed-4", "original-4"] == SUPPORTED


def test_the_same_results_give_the_same_table(table):
    rows = [(line.runs.row, line.runs.config) for line in table.lines]
    results = [
        result(line.runs.row, line.runs.config, seed, error)
        for line in table.lines
        for seed, error in line.runs.last.items()
    ]
    once, twice = (to_markdown(build_table("table1", rows, results, printed("table1"))) for _ in range(2))
    assert once == twice


def test_markdown_latex_and_csv_have_the_same_rows(table):
    markdown, latex, text = to_markdown(table), to_latex(table), to_csv(table)
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.count(" | ") for line in lines}) == 1
    assert len(lines) == 4 + len(table.lines) + len(table.statements)
    assert latex.count(r" \\") == 2 + len(table.lines) + len(table.statements)
    assert latex.count("{") == latex.count("}") and not re.search(r"(?<!\\)[%&_](?!\s)", re.sub(r" & ", "", latex))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(table.lines) + len(table.statements)
    assert {row["name"]: row["median"] for row in rows}["original-4"] == ""
    assert len(to_terminal(table)) == 2


def test_a_subset_of_the_test_images_is_not_the_papers_recipe():
    assert judge_row(runs([8.2] * 5), 8.19).word == SUPPORTED
    assert judge_row(runs([8.2] * 5, config=PAPER.with_(test_images=1000)), 8.19).word == OTHER_RECIPE


def test_captions_say_what_was_run():
    rows = [("baseline", RunConfig(train_images=2000, epochs=12, milestones=(6,)))]
    told = build_table("mini", rows, [result("baseline", rows[0][1], 0, 50.0)], {}).caption
    for words in ("2,000 of 50,000 CIFAR-10 training images", "12 epochs", "1 seed a row", "Not the paper's recipe"):
        assert words in told
    told = build_table("mini (synthetic)", [("baseline", RunConfig(dataset="synthetic"))], [], {}).caption
    assert "NOT results on CIFAR" in told and "no finished run" in told
    told = build_table("table1", [("baseline", PAPER)], [result("baseline", PAPER, 0, 8.0)], {}).caption
    assert "Not the paper's" not in told and "NOT" not in told


# ---------------------------------------------------------------- README


def test_the_tables_of_the_readme(table, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    assert not readme.update(page, [table], check=True)
    assert "old" in page.read_text()
    assert not readme.update(page, [table])
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert readme.COMMAND in text and "6 seeds a row" in text
    assert readme.update(page, [table], check=True)


def test_a_readme_without_runs_says_so(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{readme.BEGIN}\n{readme.END}")
    readme.update(page, [build_table("table1", [("baseline", PAPER)], [], {})])
    assert "No run is finished yet." in page.read_text()


@pytest.mark.parametrize("text", ["", readme.BEGIN, f"{readme.END}{readme.BEGIN}", 2 * f"{readme.BEGIN}{readme.END}"])
def test_a_readme_without_markers_is_refused(text, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(FileError, match="one pair of markers"):
        readme.update(page, [])
    with pytest.raises(FileError, match="no such file"):
        readme.update(tmp_path / "nowhere.md", [])
    assert page.read_text() == text
