"""All layers in one table: what happens to the features from the first to the last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nlmodel.audit.report import Audit, Fact, Finding, Picture, Section
from nlmodel.audit.words import number
from nlmodel.nn.inspection.passage import Passage
from nlmodel.plot.sheet import BLUE, RED, canvas, styled


COLLAPSED = 2.0  # effective rank
SHRUNK = 0.1


def depth_audit(passages: Mapping[str, Passage], verdicts: Mapping[str, str]) -> Audit:
    """Energy and effective rank through the layers, and the verdict on each."""
    facts = [
        Fact(
            f"verdict.{name}",
            f"`{name}`",
            verdict,
            f"energy {_change(passages[name].energy)}, effective rank {_change(passages[name].rank)}"
            if name in passages
            else "by its weights alone",
        )
        for name, verdict in verdicts.items()
    ]
    pictures = ()
    if len(passages) > 1:
        pictures = (Picture("depth", "Features at the input and the output of each layer.", lambda: _figure(passages)),)
    section = Section(
        "Through depth",
        "The layers in the order in which they act. The energy is that of the affinity of each layer.",
        tuple(facts),
        pictures=pictures,
    )
    return Audit(
        "through depth", "network", f"{len(verdicts)} layers that average", (), tuple(_findings(passages)), (section,)
    )


def _findings(passages: Mapping[str, Passage]) -> list[Finding]:
    if not passages:
        return []
    ends = list(passages.values())
    last, name = ends[-1].rank[1], list(passages)[-1]
    if last < COLLAPSED <= ends[0].rank[0]:
        return [
            Finding(
                "act",
                f"Rank collapse: after `{name}` the features fill {number(last)} directions.",
                "Positions are alike; what follows sees one vector.",
                "use fewer averaging layers, or the difference form within its step limit.",
            )
        ]
    shrinking = [name for name, p in passages.items() if p.energy[0] > 0 and p.energy[1] < SHRUNK * p.energy[0]]
    if shrinking:
        return [
            Finding(
                "watch",
                f"The energy falls below a tenth in {', '.join(f'`{name}`' for name in shrinking)}.",
                "Differences between positions are smoothed away there.",
                "see the layer's own audit.",
            )
        ]
    return [
        Finding("good", f"The features keep their contrast: effective rank {number(last)} after the last layer.", "")
    ]


def _change(ends: tuple[float, float]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


@styled
def _figure(passages: Mapping[str, Passage]):
    figure, (energy, rank) = canvas(1, 2, height=2.6)
    for axes, key, label in ((energy, "energy", "Dirichlet energy"), (rank, "rank", "effective rank")):
        ends = np.array([getattr(p, key) for p in passages.values()])
        at = np.arange(1, len(ends) + 1)
        axes.plot(at - 0.15, ends[:, 0], "o", color=BLUE, label="before")
        axes.plot(at + 0.15, ends[:, 1], "s", color=RED, label="after")
        axes.set(xlabel="layer", ylabel=label, xticks=at)
        if key == "energy" and np.all(ends > 0):
            axes.set_yscale("log")
    rank.legend()
    return figure
