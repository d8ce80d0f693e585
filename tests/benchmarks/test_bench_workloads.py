"""The workloads: their figures are those of the plan, and what they race computes the same."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.case import BOTH, FORWARD, Setting
from benchmarks.cli import main
from benchmarks.figures import Fastest, Limit, Number
from benchmarks.peers import (
    MissingPeer,
    alexhex7,
    deeptime,
    installed,
    mmcv,
    neighbours,
    opencv_nlm,
    pygsp,
    skimage_nlm,
    timm,
)
from benchmarks.record import Record
from benchmarks.run import compare, prepare
from benchmarks.workload import GROUPS, workloads
from benchmarks.workloads import block, markov, stage
from nlmodel.errors import ChoiceError
from nlmodel.images import PatchWeights, patch_operator
from tests.nn import peers as formulas


TINY = Setting(quick=True)
WORKLOADS = [workload for group in GROUPS for workload in workloads(group)]
CASES = [case for workload in WORKLOADS for case in workload.cases]
FIGURES = [figure for workload in WORKLOADS for figure in workload.figures]


@pytest.fixture
def stand_ins(monkeypatch):
    """The peers' formulas in the place of the peers."""
    monkeypatch.setattr(mmcv, "nonlocal2d", lambda channels, inner, mode: formulas.Mmcv(channels, mode=mode))
    monkeypatch.setattr(timm, "nonlocal_attention", lambda channels, inner: formulas.Timm(channels))
    plain = partial(formulas.AlexHex, sub_sample=False, norm=False)
    monkeypatch.setattr(alexhex7, "block", lambda channels, inner: plain(channels))
    monkeypatch.setattr(neighbours, "radius_graph", neighbours.distance_matrix)
    monkeypatch.setattr(skimage_nlm, "denoise", slow_means)
    monkeypatch.setattr(opencv_nlm, "denoise", lambda image, *sizes: image)
    monkeypatch.setattr(pygsp, "chebyshev", lambda laplacian, theta: partial(chebyshev_of, laplacian, theta))
    monkeypatch.setattr(deeptime, "stationary", markov.breadth_first_law)
    monkeypatch.setattr(deeptime, "gap", lambda P: np.array([1 - np.sort(np.linalg.eigvals(P.toarray()).real)[-2]]))


def chebyshev_of(laplacian, theta, signal):
    """The filter from the eigenvalues of a small Laplacian."""
    values, vectors = np.linalg.eigh(laplacian.toarray())
    return vectors @ (np.polynomial.chebyshev.chebval(values - 1, theta) * (vectors.T @ signal).T).T


def slow_means(image, patch, reach, h, sigma, *, fast):
    """What scikit-image's slow mode computes; the fast one is not compared."""
    op = patch_operator(image, PatchWeights(h, patch, reach, sigma, exponential="schraudolph"))
    return op.average(image.reshape(op.size, -1)).reshape(image.shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_agree_and_run(case, stand_ins):
    case = replace(case, contestants=tuple(c for c in case.contestants if not c.compiles))
    record = Record()
    found = compare(case, TINY, record)
    assert record.troubles == {}
    assert [repr(a) for a in found if not a.holds] == []
    assert {a.contestant for a in found} == {c.name for c in case.contestants if c.same_as}
    assert set(prepare(case, TINY, record)) == {c.name for c in case.contestants}
    assert record.troubles == {}


def test_another_weight_is_found_out(stand_ins, monkeypatch):
    """Control: the peer's block with a scale it does not have."""
    monkeypatch.setattr(
        mmcv, "nonlocal2d", lambda channels, inner, mode: formulas.Mmcv(channels, mode=mode, use_scale=False)
    )
    found = compare(block.WORKLOAD.case(block.EMBEDDED), TINY, Record())
    assert not any(a.holds for a in found if a.contestant == "ours")


def test_every_figure_is_about_something_that_is_measured():
    there = {(c.name, one.name, m) for c in CASES for one in c.contestants for m in c.measures}
    for figure in FIGURES:
        assert figure.of.key in there
        to = figure.to.chosen(Record()) if isinstance(figure.to, Fastest) else figure.to
        assert isinstance(to, Number | Limit) or to.key in there
        assert figure.goal is None or figure.goal < figure.must
    assert len({c.name for c in CASES}) == len(CASES)
    assert len({f.name + f.beside for f in FIGURES}) == len(FIGURES)
    assert ("W2 embedded Gaussian", "nobody", FORWARD) not in there  # control


def test_the_work_of_the_stage_is_about_75_gflop():
    assert math.floor(stage.work(block.C)[BOTH].flops / 1e9) == 75
    assert stage.work(block.C)[BOTH].flops == 3 * stage.work(block.C)[FORWARD].flops


def test_the_training_step_moves_the_weights():
    built = block.ours(TINY, "concatenation")
    before = built.values()["output"]
    built.calls["training step"]()
    assert not torch.equal(before, built.values()["output"])


def test_missing_peers_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "FOLDER", tmp_path)
    monkeypatch.setenv(alexhex7.VARIABLE, str(tmp_path))
    with pytest.raises(MissingPeer, match=r"^nobody is not installed$"):
        installed.require("nobody.layers")
    with pytest.raises(MissingPeer, match=r"AlexHex7/Non-local_pytorch is not installed: set ALEXHEX7"):
        alexhex7.block(4, 2)
    (tmp_path / "broken.py").write_text("import nobody_else\n")
    with pytest.raises(MissingPeer, match=r"^broken does not load: No module named 'nobody_else'$"):
        installed.require("broken")


def test_a_checkout_is_loaded_from_its_folder(monkeypatch, tmp_path):
    (tmp_path / "lib").mkdir()
    text = "class NONLocalBlock2D:\n    def __init__(self, *sizes, **more):\n        self.given = sizes, more\n"
    (tmp_path / "lib" / "non_local_embedded_gaussian.py").write_text(text)
    monkeypatch.setenv(alexhex7.VARIABLE, str(tmp_path))
    found = alexhex7.block(4, 2)
    assert found.given == ((4, 2), {"sub_sample": False, "bn_layer": False})


def test_only_selects_cases_and_the_figures_they_suffice_for():
    (found,) = workloads("nn", ["dot product, 128"])
    assert [c.name for c in found.cases] == [block.LARGE]
    assert len(found.figures) == 2
    assert [w.name for w in workloads("nn", ["w3"])] == ["W3"]
    assert workloads("nn", ["W3"])[0].cases == stage.WORKLOAD.cases
    with pytest.raises(ChoiceError, match=r"--only must name workloads or cases: got 'W77'"):
        workloads("nn", ["W77"])
    assert main(["nn", "--only", "W77"]) == 2


def test_list_shows_everything_and_measures_nothing(capsys):
    assert [main([group, "--list"]) for group in GROUPS] == [0] * len(GROUPS)
    out = capsys.readouterr().out
    assert all(case.name in out for case in CASES)
    assert all(figure.name in out for figure in FIGURES)
