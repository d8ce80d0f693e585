"""The signs of the symmetric part of W, and what they can and cannot say."""

from __future__ import annotations

from functools import cache

import numpy as np

from nlmodel.audit.report import Fact, Finding, Picture, Section
from nlmodel.audit.weighed import Weighed
from nlmodel.audit.words import number
from nlmodel.plot import spectrum_against_null
from nlmodel.spectrum import NullModel, null_model, sign_z_score, signed_mass, top_by_magnitude


DRAWS = 300
FEWEST = 4  # eigenvalues, below which a count of signs says nothing
SEED = 2018  # of the null model: the same file gives the same report


def signs(x: Weighed) -> tuple[Section, list[Finding]]:
    """Inertia with its theorem, the null model for the largest eigenvalues, trace and signed mass."""
    positive, negative, zero = x.inertia
    mass = signed_mass(x.matrix)
    facts = [
        Fact("rank", "rank $r$ of $W$", x.rank, f"of {x.channels:,} channels"),
        Fact(
            "inertia",
            "eigenvalues of $\\tilde{W}$: positive, negative, zero",
            f"{positive}, {negative}, {zero}",
            _theorem(x),
        ),
        Fact("trace", "trace of $W$", mass.trace, "sum of the eigenvalues, of $W$ and of $\\tilde{W}$ alike"),
        Fact("positive_mass", "sum of the positive eigenvalues of $\\tilde{W}$", mass.positive),
        Fact("negative_mass", "sum of the negative eigenvalues of $\\tilde{W}$", mass.negative),
    ]
    findings = [_count(x, positive, negative)]
    pictures = []
    null = null_of(x)
    if null is not None:
        found = int(np.sum(top_by_magnitude(x.matrix, null.k) < 0))
        z = sign_z_score(x.matrix, null.k, null) if null.std else None
        facts += [
            Fact("negative_in_top", f"negative among the {null.k} largest in magnitude", found, "what the paper plots"),
            Fact(
                "null",
                "the same for random weights",
                f"{null.mean:.3g} ± {null.std:.2g}",
                f"{DRAWS} draws, from {null.low} to {null.high}",
            ),
            Fact("z_score", "z-score", z, "standard deviations away from chance"),
        ]
        if z is not None:
            findings.append(_chance(found, null, z))
        caption = (
            "Left: eigenvalues of the symmetric part. Right: how many of the largest are negative, against "
            "weights that have learned nothing."
        )
        pictures.append(Picture("signs", caption, lambda: spectrum_against_null(x.matrix, null)))
    section = Section(
        "Signs of the symmetric part",
        "The energy of a symmetric kernel sees $\\tilde{W}$ only. Count its signs with care: the shape of "
        "a bottleneck fixes most of them before any training.",
        tuple(facts),
        r"\tilde{W} = \frac{W + W^\top}{2}, \qquad n_+(\tilde{W}),\ n_-(\tilde{W}) \le r, \qquad n_+ = n_- "
        r"= r \ \text{ if } \ \mathrm{rank}\,[W_Z, W_g^\top] = 2r",
        tuple(pictures),
    )
    return section, findings


def _theorem(x: Weighed) -> str:
    if 2 * x.rank <= x.channels:
        return f"a generic $W$ of this rank has {x.rank}, {x.rank}, {x.channels - 2 * x.rank}, trained or not"
    return f"at most {x.rank} of each sign, by the inertia theorem"


def null_of(x: Weighed) -> NullModel | None:
    """Random bottlenecks of the same rank; None where there are too few to count."""
    k = min(x.rank, x.channels // 2)
    return _drawn(x.channels, x.rank, k) if k >= FEWEST else None


@cache
def _drawn(channels: int, rank: int, k: int) -> NullModel:
    """Once for all layers and heads of one shape, which have one null model."""
    return null_model(channels, rank, k, draws=DRAWS, rng=np.random.default_rng(SEED))


def _count(x: Weighed, positive: int, negative: int) -> Finding:
    if x.rank == 0:
        return Finding(
            "watch", "The weight is zero.", "The block is the identity.", "train it, or leave the block out."
        )
    if positive == negative == 0:
        return Finding(
            "watch",
            "$W$ is antisymmetric: its symmetric part is zero.",
            "It rotates channels; the energy does not change at first order, and forward Euler makes it grow.",
            "use an implicit or exponential step for such a weight, or add a multiple of the identity.",
        )
    if positive == 0:
        return Finding(
            "watch",
            f"$\\tilde{{W}}$ has no positive eigenvalue ({negative} negative).",
            "In the proposed form the energy of every field grows; in the original form it falls.",
            "use $-W$ in the proposed form.",
        )
    if negative == 0:
        return Finding(
            "good",
            f"$\\tilde{{W}}$ has no negative eigenvalue ({positive} positive): $W$ is dissipative.",
            "In the proposed form the energy of every field falls, as long as the step is within its limit.",
        )
    if positive == negative == x.rank and 2 * x.rank <= x.channels:
        return Finding(
            "watch",
            f"$\\tilde{{W}}$ has exactly {positive} positive and {negative} negative eigenvalues, as every "
            f"generic weight of rank {x.rank} has.",
            "The count says nothing about training, and $W$ is never purely positive or negative: some "
            "field grows in one step at every scaling, however small.",
            "read the sizes (sums of either sign) instead of counts; for a guarantee tie the factors, $W_g "
            "= W_Z^\\top$.",
        )
    return Finding(
        "watch",
        f"$\\tilde{{W}}$ is indefinite: {positive} positive and {negative} negative eigenvalues.",
        "Some fields lose energy in a step, others gain.",
        "tie the factors, $W = B B^\\top$, for a weight that only damps.",
    )


def _chance(found: int, null: NullModel, z: float) -> Finding:
    chance = f"chance gives {null.mean:.3g} ± {null.std:.2g}"
    share = f"{found} of the {null.k} largest eigenvalues of $\\tilde{{W}}$ are negative; {chance}"
    if abs(z) < 3:
        return Finding(
            "watch",
            f"{share} ($z$ = {number(z)}): indistinguishable from a random weight.",
            "No statement about damping or growth follows from these signs.",
            "compare several trained networks before you read a trend into them.",
        )
    side = (
        "negative: the original block damps, the proposed one amplifies"
        if z > 0
        else ("positive: the proposed block damps, the original one amplifies")
    )
    return Finding(
        "good",
        f"{share} ($z$ = {number(z)}).",
        f"The large eigenvalues lean {side}.",
    )
