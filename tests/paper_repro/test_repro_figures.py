"""Figures and their numbers: signs against chance, panels for what was run, the same bytes twice."""

import io
import math
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.figure import Figure
from matplotlib.text import Text

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, NlmodelError, NonFiniteError
from nlmodel.spectrum import low_rank_inertia, null_model, sign_z_score
from nlmodel.testing import tolerance
from paper_repro.config import RunConfig
from paper_repro.figures import (
    Panel,
    eigenvalue_panels,
    load_runs,
    null_of,
    outcomes,
    pattern_of,
    pictures,
    save,
    sign_counts,
    sign_history,
    sign_pattern,
    training_curves,
)
from paper_repro.figures.history import patterns
from paper_repro.figures.runs import read_spectra
from paper_repro.sweep import queue, run_folder
from tests.paper_repro.fake_runs import eigenvalues, rows, write_run


RNG = np.random.default_rng(11)
ROWS = ("baseline", "original-1", "original-2", "original-4", "proposed-4")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two seeds of every row; the first of original-4 diverged, and one run is under way."""
    folder = tmp_path_factory.mktemp("runs")
    for job in jobs():
        lean = {"original": -0.7, "proposed": 0.7}.get(job.config.form, 0.0)
        if (job.row, job.seed) == ("original-4", 0):
            write_run(job, folder, status="diverged", epochs=2, lean=lean)
        elif (job.row, job.seed) == ("proposed-4", 1):
            write_run(job, folder, status="running", epochs=1, lean=lean)
        else:
            write_run(job, folder, error=20.0 + job.seed, lean=lean)
    return folder


def jobs():
    return queue(rows(*ROWS), range(2))


@pytest.fixture(scope="module")
def runs(out):
    return load_runs(jobs(), out)


# ---------------------------------------------------------------- signs


def test_the_null_is_sixteen_with_a_spread_of_a_half():
    signs = null_of(64, 32).signs
    assert signs.k == 32 and 14 <= signs.low < 16 < signs.high <= 18
    assert abs(signs.mean - 16) < 3 * signs.std / math.sqrt(300)
    assert 0.5 < signs.std < 0.65
    assert null_of(64, 32) is null_of(64, 32)


def test_all_signs_together_carry_nothing():
    """Sylvester: whatever was learned, half of all eigenvalues are negative; among the largest they need not be."""
    for lean in (0.0, -0.7, 0.7):
        W_Z, W_g = RNG.standard_normal((64, 32)), RNG.standard_normal((32, 64))
        W_g = W_g + lean * W_Z.T
        assert low_rank_inertia(W_Z, W_g).negative == 32
        values = np.linalg.eigvalsh((W_Z @ W_g + (W_Z @ W_g).T) / 2)
        assert (abs(sign_pattern(values, null_of(64, 32)).z) > 5) == (lean != 0)


def test_the_z_score_is_the_librarys():
    W = RNG.standard_normal((64, 32)) @ RNG.standard_normal((32, 64))
    values = np.linalg.eigvalsh((W + W.T) / 2)
    ours, null = sign_pattern(values, null_of(64, 32)), null_of(64, 32).signs
    assert ours.z == sign_z_score(W, 32, null)
    bound = tolerance("solve", n=64, scale=1.0)
    assert abs(ours.balance - np.trace(W) / np.sum(np.abs(values))) <= bound
    shuffled = sign_pattern(RNG.permutation(values), null_of(64, 32))
    assert (shuffled.negatives, shuffled.z) == (ours.negatives, ours.z)
    assert ours.z != sign_z_score(W, 32, null_model(64, 64, 32, rng=np.random.default_rng(0)))  # control: another null


def test_random_weights_show_no_pattern_and_planted_ones_do():
    null = null_of(64, 32)
    found = [sign_pattern(np.array(eigenvalues(RNG)), null) for _ in range(50)]
    assert all(pattern_of(form, f.z) == "none" for f in found for form in ("original", "proposed"))
    assert max(abs(f.balance_z) for f in found) < 5
    negative, positive = (sign_pattern(np.array(eigenvalues(RNG, lean)), null) for lean in (-0.8, 0.8))
    assert negative.z > 5 and positive.z < -5 and negative.balance_z > 5 and positive.balance_z < -5
    assert pattern_of("original", negative.z) == pattern_of("proposed", positive.z) == "damping"
    assert pattern_of("original", positive.z) == pattern_of("proposed", negative.z) == "opposite"


def test_a_weight_that_is_zero_has_no_sign():
    found = sign_pattern(np.zeros(64), null_of(64, 32))
    assert math.isnan(found.z) and found.negatives == 0 and pattern_of("original", found.z) == "none"


def test_smaller_blocks_have_a_null_of_their_own():
    assert null_of(16, 8).signs.k == 8
    assert null_of(64, 4).signs.k == 4
    assert math.isnan(sign_pattern(np.array([1.0, -1.0]), null_of(2, 1)).z) == (null_of(2, 1).signs.std == 0)


# ---------------------------------------------------------------- runs


def test_runs_know_their_spectra_and_status(runs):
    assert len(runs) == 10
    by_name = {(run.row, run.job.seed): run for run in runs}
    assert by_name["original-4", 0].status == "diverged" and "not finite" in by_name["original-4", 0].reason
    assert by_name["proposed-4", 1].status == "paused" and by_name["proposed-4", 1].epochs == 1
    assert [s.epoch for s in by_name["original-2", 0].spectra] == [0, 1, 2, 3, 4]
    assert len(by_name["original-2", 0].last.weights) == 2
    assert by_name["original-2", 0].at(100).epoch == 4
    assert patterns(by_name["original-2", 0])[-1][1][0].z > 5 > patterns(by_name["original-2", 0])[0][1][0].z


def test_jobs_that_never_began_are_left_out(tmp_path):
    assert load_runs(jobs(), tmp_path) == []


def test_a_half_written_line_is_left_out_and_a_foreign_one_refused(tmp_path):
    job = jobs()[1]
    folder = write_run(job, tmp_path, status="running", epochs=1)
    with (folder / "spectra.jsonl").open("a") as file:
        file.write('{"epoch": 2, "wei')
    assert [s.epoch for s in read_spectra(run_folder(job, tmp_path))] == [0, 1]
    with (folder / "spectra.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(FileError, match=r"spectra.jsonl must hold"):
        read_spectra(folder)


# ---------------------------------------------------------------- figures


def panels(lean: float = 0.0, groups=("original-2", "original-2")) -> list[Panel]:
    return [Panel(f"$W^{k}$", group, np.array(eigenvalues(RNG, lean)), 32) for k, group in enumerate(groups, 1)]


FIGURES = {
    "panels": lambda runs: eigenvalue_panels(panels(-0.7, ("a", "b", "b", "c", "c", "c"))),
    "panels, four": lambda runs: eigenvalue_panels(panels(0.7, ("a",) * 4)),
    "panels, zero": lambda runs: eigenvalue_panels([Panel("$W$", "a", np.zeros(64), 32)]),
    "panels, sizes": lambda runs: eigenvalue_panels(
        [Panel("$W$", "a", np.array(eigenvalues(RNG, channels=c)), c // 2) for c in (16, 32)]
    ),
    "sign_counts": lambda runs: sign_counts(panels(-0.7)),
    "curves": training_curves,
    "outcomes": outcomes,
    "history": sign_history,
}


def texts(figure: Figure) -> list[Text]:
    ticks = {label for tick in figure.findobj(Tick) for label in (tick.label1, tick.label2)}
    return [
        text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible() and text not in ticks
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_labelled_and_inside_the_sheet(name, runs):
    before = dict(matplotlib.rcParams)
    figure = FIGURES[name](runs)
    assert isinstance(figure, Figure) and figure.get_figwidth() <= 5.5
    figure.draw_without_rendering()
    sheet = figure.bbox
    for text in texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= sheet.x0 - 1 and box.x1 <= sheet.x1 + 1, text.get_text()
        assert box.y0 >= sheet.y0 - 1 and box.y1 <= sheet.y1 + 1, text.get_text()
    assert any(axes.get_xlabel() for axes in figure.axes)
    assert dict(matplotlib.rcParams) == before


def test_a_panel_says_its_numbers_and_shows_the_null():
    panel = panels(-0.8, ("a",))[0]
    figure = eigenvalue_panels([panel])
    words = [text.get_text() for text in texts(figure)]
    assert f"{panel.pattern.negatives} negative" in words and f"$W^1$:  z = {panel.pattern.z:+.1f}" in words
    assert any(word.startswith("chance: 16.0 ± 0.5") for word in words)
    heights = sorted((bar.get_height() for bar in figure.axes[0].patches), key=abs)
    assert len(heights) == 32 and sum(h < 0 for h in heights) == panel.pattern.negatives


def test_runs_that_diverged_are_marked(runs):
    def crosses(figure: Figure) -> int:
        return sum(line.get_marker() == "x" for line in figure.axes[0].lines)

    assert crosses(training_curves(runs)) == 1
    assert crosses(training_curves([run for run in runs if run.status != "diverged"])) == 0


BAD = {
    "no panel": (lambda: eigenvalue_panels([]), DomainError, "at least one weight"),
    "no run": (lambda: training_curves([]), DomainError, "at least one run"),
    "no outcome": (lambda: outcomes([]), DomainError, "at least one run"),
    "no history": (lambda: sign_history([]), DomainError, "with nonlocal blocks"),
    "nan": (lambda: sign_pattern(np.array([np.nan, 1.0]), null_of(2, 1)), NonFiniteError, "eigenvalues must be finite"),
    "dtype": (lambda: sign_pattern(np.array([1, 2]), null_of(2, 1)), DtypeError, "floating-point"),
    "channels": (lambda: null_of(1, 1), DomainError, "channels must be at least 2"),
    "inner": (lambda: null_of(4, 0), DomainError, "inner must be at least 1"),
    "format": (lambda: save(Figure(), None, "x", ["bmp"]), ChoiceError, "formats must be one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_nothing_to_draw_is_an_error(name):
    call, kind, words = BAD[name]
    with pytest.raises(NlmodelError, match=words) as caught:
        call()
    assert isinstance(caught.value, kind)


# ---------------------------------------------------------------- the paper's figures


def test_the_papers_figures_are_drawn_from_what_there_is(runs):
    found = {picture.name: picture for picture in pictures(runs)}
    assert set(found) == {
        "figure-1", "figure-2", "figure-3a", "figure-3b", "figure-4", "curves", "outcomes", "signs",
    }  # fmt: skip
    assert found["figure-1"].caption.startswith("1, 2 original blocks, seed 0")
    assert "original-1, seed 0, at epochs 1, 2, 3 of 4" in found["figure-2"].caption
    assert len(found["figure-4"].draw().axes) == 5
    baseline = [run for run in runs if run.row == "baseline"]
    assert [picture.name for picture in pictures(baseline)] == ["curves", "outcomes"]
    assert list(pictures([])) == []


def test_figures_of_synthetic_images_say_so(runs):
    (job,) = queue([("baseline", RunConfig(dataset="synthetic"))], [0])
    words = "Synthetic stand-in images, not CIFAR"
    for picture in pictures([replace(runs[0], job=job)]):
        assert picture.caption.startswith(words)
        assert words in [text.get_text() for text in picture.draw().texts]
    for picture in pictures(runs):  # control: real ones do not
        assert words not in picture.caption and words not in [text.get_text() for text in picture.draw().texts]


def test_files_are_the_same_bytes_twice(runs, tmp_path):
    once = [path.read_bytes() for path in save(training_curves(runs), tmp_path / "a", "curves")]
    twice = [path.read_bytes() for path in save(training_curves(runs), tmp_path / "b", "curves")]
    assert once == twice
    assert once[0].startswith(b"<?xml") and once[1].startswith(b"\x89PNG") and once[2].startswith(b"%PDF")
    buffer = io.BytesIO()
    training_curves(runs[:-1]).savefig(buffer, format="png")
    assert buffer.getvalue() != once[1]  # control: other runs, other bytes
