"""Figures 1 to 4 of Tao et al. 2018 from the logs of our runs, with what chance gives drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nlmodel.plot.sheet import RED
from paper_repro.figures.curves import training_curves
from paper_repro.figures.history import inner_of, sign_history
from paper_repro.figures.outcomes import outcomes
from paper_repro.figures.panels import Panel, eigenvalue_panels
from paper_repro.figures.runs import Run, Spectra


if TYPE_CHECKING:
    from matplotlib.figure import Figure


EPOCHS, PAPER_EPOCHS = (36, 82, 125), 164
STAND_IN = "Synthetic stand-in images, not CIFAR"
HOW = (
    "Bars: the largest eigenvalues of $(W + W^{\\top})/2$ by magnitude, blue positive, red negative. Grey outline: "
    "mean magnitudes of random weights of the same norm. Grey band: what chance gives, with its mean and standard "
    "deviation."
)


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn when it is needed, with its caption; `of` says which figure of the paper it stands for."""

    name: str
    caption: str
    draw: Callable[[], Figure] = field(repr=False)
    of: str = ""


def pictures(runs: Sequence[Run]) -> Iterator[Picture]:
    """The paper's figures as far as there are runs for them, then those that the paper does not have.

    A picture shows the first seed of a row that has spectra; the curves show all seeds.  Runs on synthetic images are
    named as such in the caption and on the figure itself.
    """
    synthetic = any(run.job.config.dataset == "synthetic" for run in runs)
    return map(_stand_in, _pictures(runs)) if synthetic else _pictures(runs)


def _stand_in(picture: Picture) -> Picture:
    """The picture with the words that it shows nothing about CIFAR."""

    def draw() -> Figure:
        figure = picture.draw()
        figure.text(0.995, 0.995, STAND_IN, ha="right", va="top", fontsize=6, color=RED)
        return figure

    return replace(picture, caption=f"{STAND_IN}. {picture.caption}", draw=draw)


def _pictures(runs: Sequence[Run]) -> Iterator[Picture]:
    original = [run for run in runs if run.job.config.form == "original" and run.job.config.places == "same"]
    proposed = [run for run in runs if run.job.config.form == "proposed" and run.job.config.places == "same"]
    yield from _spectra("figure-1", "Fig. 1", [_first(original, n) for n in (1, 2, 3)], "original blocks")
    yield from _epochs(next((run for n in (1, 2, 3, 4) for run in [_first(original, n)] if run), None))
    if original:
        yield Picture(
            "figure-3a",
            "Training curves with original blocks at one place. A cross: the run diverged there.",
            lambda: training_curves(original),
            "Fig. 3 (a)",
        )
    yield from _spectra("figure-3b", "Fig. 3 (b)", _all_of(original, 4), "original blocks")
    yield from _spectra("figure-4", "Fig. 4", [_first(proposed, 4)], "proposed blocks")
    if runs:
        yield Picture("curves", "Training curves of all rows, one line a seed.", lambda: training_curves(runs))
        yield Picture("outcomes", "How far each run came.", lambda: outcomes(runs))
    if any(spectra.weights for run in runs for spectra in run.spectra):
        words = (
            "The signs of each weight during training: left the number of negative eigenvalues among the largest, "
            "right the sum of all eigenvalues over the sum of their magnitudes, sign reversed, both in standard "
            "deviations of chance. Above the grey band negative eigenvalues lead, below it positive ones."
        )
        yield Picture("signs", words, lambda: sign_history(runs))


def panels(run: Run, spectra: Spectra, group: str) -> list[Panel]:
    """One panel a weight of a network at one epoch."""
    return [
        Panel(
            f"$W^{{{k}}}$",
            group,
            weight.eigenvalues,
            inner_of(run, len(weight.eigenvalues)),
        )
        for k, weight in enumerate(spectra.weights, 1)
    ]


def _first(runs: Sequence[Run], blocks: int) -> Run | None:
    return next((run for run in runs if run.job.config.blocks == blocks and run.last and run.last.weights), None)


def _all_of(runs: Sequence[Run], blocks: int) -> list[Run | None]:
    """The first run with spectra of each row with that many blocks: the paper's recipe, and the reduced rate."""
    rows = dict.fromkeys(run.row for run in runs if run.job.config.blocks == blocks)
    return [_first([run for run in runs if run.row == row], blocks) for row in rows]


def _spectra(name: str, of: str, runs: Sequence[Run | None], what: str) -> Iterator[Picture]:
    there = [run for run in runs if run is not None]
    if not there:
        return
    blocks = ", ".join(dict.fromkeys(str(run.job.config.blocks) for run in there))
    found = [
        panel for run in there if run.last for panel in panels(run, run.last, f"{run.row}\nepoch {run.last.epoch}")
    ]
    seeds = ", ".join(dict.fromkeys(str(run.job.seed) for run in there))
    caption = f"{blocks} {what}, seed {seeds}, last logged epoch. {HOW}"
    yield Picture(name, caption, lambda: eigenvalue_panels(found), of)


def _epochs(run: Run | None) -> Iterator[Picture]:
    """The weights of one network at three epochs of training: the same shares of the run as in the paper."""
    if run is None:
        return
    planned = run.job.config.epochs
    wanted = [round(epoch * planned / PAPER_EPOCHS) for epoch in EPOCHS]
    times = {s.epoch: s for s in (run.at(epoch) for epoch in wanted) if s is not None and s.weights}
    found = [panel for epoch, s in times.items() for panel in panels(run, s, f"epoch {epoch}")]
    epochs = ", ".join(map(str, times))
    paper = f"the paper: one block, {', '.join(map(str, EPOCHS))} of {PAPER_EPOCHS}"
    caption = f"{run.row}, seed {run.job.seed}, at epochs {epochs} of {planned} ({paper}). {HOW}"
    yield Picture("figure-2", caption, lambda: eigenvalue_panels(found), "Fig. 2")
