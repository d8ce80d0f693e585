"""The affinities of a layer as Markov chains: do they average, both ways, and how soon is everything alike?"""

from __future__ import annotations

import numpy as np

from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.sections.width import neighbours
from nlmodel.audit.words import number
from nlmodel.markov import dobrushin_coefficient
from nlmodel.nn.inspection.layer import Chain, Inspected
from nlmodel.plot import spectrum_of


OVERSMOOTHING = 0.1
LISTEN_TO_ALL = 0.9


def mixing_section(layer: Inspected) -> tuple[Section, list[Finding]]:
    """Row sums, reversibility, gap, Dobrushin coefficient; over several heads the range."""
    chains, M = layer.chains, len(layer.chains[0].K)
    laws = [c for c in chains if c.stochastic]
    tau = [dobrushin_coefficient(c.P) for c in laws]
    second = [float(np.abs(c.eigenvalues[1])) for c in chains]
    width = [float(np.median(neighbours(c.K))) for c in chains]
    facts = (
        Fact("positions", "positions $M$", M),
        Fact("heads", "affinities", len(chains)),
        Fact("row_sums", "row sums of $K$", _range([v for c in chains for v in (c.row_sums.min(), c.row_sums.max())])),
        Fact("smallest_entry", "smallest $K_{ij}$", float(min(c.K.min() for c in chains)), "below 0: no average"),
        Fact("stochastic", "transition matrices", f"{len(laws)} of {len(chains)}"),
        Fact("reversible", "reversible", f"{sum(c.reversible for c in chains)} of {len(chains)}", "real spectrum"),
        Fact("lambda_2", "second largest $|\\lambda|$ of $K$", _range(second), "what one average leaves of a mode"),
        Fact("gap", "spectral gap", _range([1 - v for v in second]), "1 - $|\\lambda_2|$") if laws else
        Fact("gap", "spectral gap", None, "of transition matrices only"),
        Fact("dobrushin", "Dobrushin coefficient", _range(tau) if tau else None, "one $K$ shrinks every spread by it"),
        Fact("listens_to", "positions that the median position listens to", _range(width), f"of {M:,}"),
    )  # fmt: skip
    section = Section(
        "The affinity on this sample",
        "Row $i$ of $K$ weighs what position $i$ receives. Several heads: smallest to largest.",
        facts,
        r"\max_{ij} |(K z)_i - (K z)_j| \le \tau \max_{ij} |z_i - z_j|, \qquad \tau = \frac12 \max_{ij} \sum_k |K_{ik} "
        r"- K_{jk}|",
        (Picture("affinity", "Eigenvalues of $K$ (of the first head).", lambda: spectrum_of(_drawable(chains[0]))),),
    )
    return section, [_finding(chains, tau, width, M)]


def _drawable(chain: Chain) -> np.ndarray:
    return chain.eigenvalues


def _range(values: list[float]) -> str | float:
    low, high = float(min(values)), float(max(values))
    return low if number(low) == number(high) else f"{number(low)} to {number(high)}"


def _finding(chains: tuple[Chain, ...], tau: list[float], width: list[float], M: int) -> Finding:
    if len(tau) < len(chains):
        return Finding(
            "watch",
            "The affinity is no transition matrix: rows do not sum to one, or have negative entries.",
            "It is no average: no maximum principle holds, and its size grows with the features.",
            "normalise by rows (softmax), or divide by the row sums of a nonnegative affinity.",
        )
    if max(tau) < OVERSMOOTHING:
        return Finding(
            "watch",
            f"Oversmoothing: one average leaves at most {number(max(tau))} of any spread (Dobrushin).",
            "All positions receive nearly the same: the layer adds one vector to every position.",
            "sharpen the affinity (larger scale), or use a global context, which does the same for less.",
        )
    if min(width) > LISTEN_TO_ALL * M:
        return Finding(
            "watch",
            "Every position listens to almost all others alike.",
            "The average hardly depends on the position.",
            "sharpen the affinity.",
        )
    return Finding("good", "The affinity averages, and tells positions apart.", "")
