"""The affinity as a Markov chain: reversibility, stationary law, mixing, contraction."""

from __future__ import annotations

import math

import numpy as np

from nlmodel.audit.measured import Measured
from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.sections.mixing import mixing
from nlmodel.audit.words import number
from nlmodel.markov import (
    detailed_balance_gap,
    dobrushin_coefficient,
    entropy_production,
    kolmogorov_cycle_gap,
    recurrent_classes,
    stationary,
)
from nlmodel.plot import position_maps


def chain(x: Measured) -> tuple[Section, list[Finding]]:
    """Which way the chain runs, where it stays, and how soon it forgets its start."""
    P, classes = x.chain, recurrent_classes(x.chain)
    tau = dobrushin_coefficient(P)
    facts = [
        Fact(
            "reversible",
            "reversible",
            bool(x.op.reversible),
            "detailed balance by construction: $\\omega$ is symmetric"
            if x.op.reversible
            else "the affinity is not symmetric: measured below",
        ),
        Fact("kolmogorov_gap", "Kolmogorov cycle gap", kolmogorov_cycle_gap(P), "0: no cycle prefers a direction"),
        Fact("recurrent_classes", "recurrent classes", len(classes), "1: the stationary law is unique"),
        Fact("dobrushin", "Dobrushin coefficient $\\tau$", tau, "one $K$ shrinks every spread by this factor or more"),
    ]
    findings, pictures = [_direction(x, P)], []
    if len(classes) == 1:
        law = stationary(P)
        facts_of_mixing, findings_of_mixing = mixing(x, P)
        facts += [*_equilibrium_facts(x, P, law), *facts_of_mixing]
        findings += [_hubs(x, law), *findings_of_mixing]
        if x.grid is not None:
            pictures.append(_maps(x, law))
    section = Section(
        "As a Markov chain",
        "Row $i$ of $K$ is a law on positions: a walker at $i$ moves to $j$ with probability $K_{ij}$. "
        "Densities evolve by $K^\\top$, features by $K$.",
        tuple(facts),
        r"\pi_i K_{ij} = \pi_j K_{ji}, \qquad \pi^\top K = \pi^\top",
        tuple(pictures),
    )
    return section, findings


def _direction(x: Measured, P: np.ndarray) -> Finding:
    if x.op.reversible:
        return Finding(
            "good",
            "The chain is reversible: $\\pi_i K_{ij} = \\pi_j K_{ji}$ with $\\pi_i$ proportional to its measure.",
            "Its spectrum is real, its time reversal is itself, and the energy of the flow decreases.",
        )
    gap = kolmogorov_cycle_gap(P)
    return Finding(
        "watch",
        f"The chain is not reversible: some cycle prefers a direction by {number(gap)} in log-probability.",
        "Probability circulates in equilibrium, modes may rotate, and no energy bounds the transient.",
        "use $\\theta = \\phi$ in the embedding, or average $\\omega$ with its transpose.",
    )


def _equilibrium_facts(x: Measured, P: np.ndarray, law: np.ndarray) -> list[Fact]:
    spread = math.exp(-float(np.sum(law * np.log(np.maximum(law, np.finfo(float).tiny)))))
    facts = [
        Fact(
            "stationary_positions",
            "positions that carry the stationary law",
            spread,
            f"exp of its entropy; {x.size:,} for a uniform law",
        ),
        Fact(
            "stationary_range",
            "stationary law, smallest to largest, times $M$",
            f"{number(x.size * law.min())} to {number(x.size * law.max())}",
            "1 everywhere: uniform",
        ),
    ]
    if not x.op.reversible:
        facts += [
            Fact("detailed_balance_gap", "detailed balance gap", detailed_balance_gap(P), "0 reversible, 1 one-way"),
            Fact("entropy_production", "entropy production a step", entropy_production(P), "0 exactly when reversible"),
        ]
    return facts


def _hubs(x: Measured, law: np.ndarray) -> Finding:
    top, at = x.size * float(law.max()), int(np.argmax(law))
    where = f"row {at}" if x.grid is None else f"patch ({at // x.grid[1]}, {at % x.grid[1]})"
    if top > 10:
        return Finding(
            "watch",
            f"Position {at} ({where}) carries {number(top)} times its fair share of the stationary law.",
            "The conserved mean is dominated by few positions; with enough blocks all features approach theirs.",
            "normalise the features (exp of scalar products favours long vectors), or use `--normalize "
            "sinkhorn`, whose law is uniform.",
        )
    return Finding(
        "good",
        f"No position dominates: the largest stationary weight is {number(top)} times the uniform one.",
        "The conserved mean is close to the plain mean of the positions."
        if top < 2
        else "The conserved mean counts typical positions more than rare ones.",
    )


def _maps(x: Measured, law: np.ndarray) -> Picture:
    rows, columns = x.grid or (1, x.size)
    fields = {"stationary law, $M \\pi_i$": x.size * law}
    if x.op.reversible:
        slow = x.modes[1][:, 1] / np.sqrt(np.asarray(x.op.measure))
        fields["slowest mode, $\\lambda_2$"] = slow / np.max(np.abs(slow))
    return Picture(
        "maps",
        "The same facts on the image, one pixel a patch. Left: where a walker spends its time. Right: the "
        "pattern that survives the longest; its two signs are the two groups that exchange the least.",
        lambda: position_maps(fields, (rows, columns)),
    )
