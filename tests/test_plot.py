"""Figures: they show the numbers they were given, stay inside their sheet, and leave no trace outside it."""

import io
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.figure import Figure
from matplotlib.text import Text

import nlmodel as nl
from nlmodel import plot
from nlmodel.errors import DomainError, DtypeError, MissingPackageError, NonFiniteError, ShapeError
from nlmodel.spectrum import null_model
from nlmodel.stepping import evolve
from nlmodel.testing import tolerance


RNG = np.random.default_rng(7)
X = RNG.standard_normal((40, 2))
OMEGA = np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, axis=-1))
OP = nl.NonlocalOperator.from_affinity(OMEGA)
LAMBDA = np.linalg.eigvalsh(OP.symmetrized().to_dense())
SHARES = np.full(40, 1 / 40)
W = RNG.standard_normal((12, 5)) @ RNG.standard_normal((5, 12))
NULL = null_model(12, 5, 5, draws=40, rng=np.random.default_rng(1))
H = 1 / np.array([10, 20, 40, 80, 160])
STATES = np.stack([np.exp(-t) * (np.linspace(0, 1, 50) > 0.5) for t in (0.0, 1.0)])
FIGURES = {
    "spectrum_against_null": lambda: plot.spectrum_against_null(W, NULL),
    "cfl_disc": lambda: plot.cfl_disc(np.linalg.eigvals(W), {"psd": 1.0, "any": 2.0}),
    "cfl_disc, one": lambda: plot.cfl_disc(np.array([0.5, 3.0]), 1.3),
    "mode_damping": lambda: plot.mode_damping(0.5),
    "mode_damping, data": lambda: plot.mode_damping(0.5, LAMBDA, SHARES, blocks=3),
    "backward_growth": lambda: plot.backward_growth(H, 178 + H, 4 / H**2, bound=182.6),
    "convergence": lambda: plot.convergence(H, H**2, 2),
    "convergence, two": lambda: plot.convergence(H, {"a": H, "b": H**2}, {"a": 1, "b": 2}),
    "spectrum_of": lambda: plot.spectrum_of(OP),
    "spectrum_of, complex": lambda: plot.spectrum_of(np.exp(2j * np.pi * np.arange(7) / 7)),
    "jump_persistence": lambda: plot.jump_persistence(np.linspace(0, 1, 50), STATES, (0.0, 1.0)),
    "gillespie_vs_expm": lambda: plot.gillespie_vs_expm(
        ["a", "b"], np.array([0.4, 0.6]), np.array([0.41, 0.59]), np.array([0.02, 0.02])
    ),
    "affinity_map": lambda: plot.affinity_map(OMEGA),
    "affinity_map, signed": lambda: plot.affinity_map(X @ X.T),
    "position_maps": lambda: plot.position_maps({"law": OMEGA[0], "mode": X[:, 0]}, (5, 8)),
    "trajectory": lambda: plot.trajectory(evolve(OP, X, step=0.5, steps=8)),
    "trajectory, unstable": lambda: plot.trajectory(evolve(OP, X, step=2.6, steps=40, on_unstable="ignore")),
}


@pytest.mark.parametrize("name", FIGURES)
def test_labelled_and_inside_the_sheet(name):
    before = dict(matplotlib.rcParams)
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() <= 5.5
    figure.draw_without_rendering()
    for axes in figure.axes:
        named = axes.get_xlabel() or axes.get_ylabel() or axes.get_title(loc="left") or axes.get_label() == "<colorbar>"
        assert named or name == "mode_damping, data"
    assert outside(figure) == []
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def outside(figure):
    """Texts, tick labels apart, that reach over the edge of the figure by more than a pixel."""
    sheet = figure.bbox.padded(1)
    ticks = [label for tick in figure.findobj(Tick) for label in (tick.label1, tick.label2)]
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text() and text not in ticks:
            box = text.get_window_extent()
            if not (sheet.x0 <= box.x0 and box.x1 <= sheet.x1 and sheet.y0 <= box.y0 and box.y1 <= sheet.y1):
                found.append(text.get_text())
    return found


def test_the_check_for_text_over_the_edge_can_fail():
    figure, axes = plot.canvas()
    axes.annotate("far away", (2, 0.5), xycoords="axes fraction", annotation_clip=False)
    figure.draw_without_rendering()
    assert outside(figure) == ["far away"]


def test_same_input_same_bytes():
    first, second = (io.BytesIO(), io.BytesIO())
    for stream in (first, second):
        FIGURES["cfl_disc, one"]().savefig(stream, format="svg", metadata={"Date": None})
    assert first.getvalue() == second.getvalue()


def test_cfl_disc_colours_by_the_limit():
    def dots(mu, s_max):
        (axes,) = plot.cfl_disc(np.asarray(mu), s_max).axes
        return {tuple(np.round(c.get_facecolor()[0], 3)): len(c.get_offsets()) for c in axes.collections}

    inside, outside_ = [0.1, 1.0, 1.9, 1 + 0.99j], [2.1, -0.1, 0.5j]
    both = dots(inside + outside_, 1.0)
    assert sorted(both.values()) == [3, 4]
    assert list(dots(inside, 1.0).values()) == [4]
    assert sorted(dots(inside, 2.0).values()) == [2, 2]  # the control: a smaller disc loses two of them


def test_mode_damping_draws_both_factors():
    (axes,) = plot.mode_damping(0.25, blocks=2).axes
    original, proposed = axes.lines[:2]
    x = original.get_xdata()
    bound = tolerance("elementwise", scale=2.0)
    assert np.max(np.abs(original.get_ydata() - (1 - 0.25 * x) ** 2)) <= bound
    assert np.max(np.abs(proposed.get_ydata() - (1 - 0.25 * (1 - x)) ** 2)) <= bound
    assert np.max(np.abs(original.get_ydata() - proposed.get_ydata())) > bound
    assert abs(proposed.get_ydata()[-1] - 1) <= bound


@pytest.mark.parametrize("shares", [np.eye(1, 40)[0], np.zeros(40), SHARES, np.geomspace(1e-30, 1, 40)])
def test_mode_damping_takes_any_distribution_of_the_data(shares):
    figure = plot.mode_damping(0.5, LAMBDA, shares)
    figure.draw_without_rendering()
    assert len(figure.axes) == len(plot.mode_damping(0.5, np.ones(40), shares).axes) == 2


def test_the_null_panel_shows_this_weight():
    left, right = plot.spectrum_against_null(W, NULL).axes
    values = np.linalg.eigvalsh((W + W.T) / 2)
    top = values[np.argsort(-np.abs(values))[:5]]
    assert right.lines[0].get_xdata()[0] == np.sum(top < 0)
    strong = [bar.get_height() for bar in left.patches if bar.get_alpha() is None]
    assert np.max(np.abs(np.sort(strong) - np.sort(top))) <= tolerance("reduction", n=12, scale=np.abs(top).max())


def test_spectrum_of_finds_the_eigenvalues_of_K():
    curve = plot.spectrum_of(OP).axes[0].lines[0].get_ydata()
    exact = np.sort(np.linalg.eigvals(OP.averaging.to_dense()).real)[::-1]
    assert np.max(np.abs(curve - exact)) <= tolerance("solve", n=40, cond=10)
    cycle = nl.NonlocalOperator.from_affinity(np.roll(np.eye(5), 1, axis=1))
    (axes,) = plot.spectrum_of(cycle).axes
    assert np.max(np.abs(np.hypot(*axes.collections[0].get_offsets().T) - 1)) <= tolerance("solve", n=5)


def test_jump_is_drawn_as_a_break():
    lines = plot.jump_persistence(np.linspace(0, 1, 50), STATES, (0.0, 1.0)).axes[0].lines
    assert np.sum(np.isnan(lines[0].get_ydata())) == 1
    heights = [abs(np.diff(line.get_ydata())[0]) for line in lines[1::2]]
    assert np.max(np.abs(np.array(heights) - np.exp([0.0, -1.0]))) <= tolerance("elementwise")


BAD = {
    "nan": (lambda: plot.affinity_map(np.full((3, 3), np.nan)), NonFiniteError, "K must be finite"),
    "integers": (lambda: plot.affinity_map(np.ones((3, 3), int)), DtypeError, "floating"),
    "not square": (lambda: plot.affinity_map(np.ones((3, 4))), ShapeError, "square"),
    "s_max": (lambda: plot.cfl_disc(np.ones(2), 0.0), DomainError, "s_max must be > 0"),
    "mu": (lambda: plot.cfl_disc(np.ones((2, 2)), 1.0), ShapeError, "mu must have 1"),
    "empty": (lambda: plot.cfl_disc(np.ones(0), 1.0), ShapeError, "empty"),
    "step": (lambda: plot.mode_damping(-0.5), DomainError, "mu must be > 0"),
    "blocks": (lambda: plot.mode_damping(0.5, blocks=0), DomainError, "blocks"),
    "shares": (lambda: plot.mode_damping(0.5, LAMBDA, SHARES[1:]), ShapeError, "shares"),
    "negative h": (lambda: plot.convergence(-H, H, 1), DomainError, "h must be positive"),
    "zero error": (lambda: plot.convergence(H, 0 * H, 1), DomainError, "errors must be positive"),
    "lengths": (lambda: plot.convergence(H, H[1:], 1), ShapeError, "one length"),
    "rates": (lambda: plot.backward_growth(H, H, H[1:]), ShapeError, "one length"),
    "states": (lambda: plot.jump_persistence(np.ones(3), np.ones((2, 4)), (0, 1)), ShapeError, "times, positions"),
    "ci": (lambda: plot.gillespie_vs_expm([1], np.ones(1), np.ones(1), np.ones(2)), ShapeError, "one length"),
    "grid": (lambda: plot.position_maps({"a": np.ones(5)}, (2, 3)), ShapeError, "rows \\* columns"),
    "null": (lambda: plot.spectrum_against_null(np.eye(3), NULL), ShapeError, "number of channels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"(?s)matplotlib.*pip install 'nlmodel\[plot\]'"):
        plot.mode_damping(0.5)
