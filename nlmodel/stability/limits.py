"""The three step limits for a weight W, given what is known of spec(-L) or of the entries of K."""

from __future__ import annotations

import math

import numpy as np

from nlmodel.operators import NonlocalOperator
from nlmodel.stability.bound import StepBound, number
from nlmodel.stability.nonlocal_spectrum import NonlocalSpectrum, outflow
from nlmodel.stability.region import Disc, Interval
from nlmodel.stability.weight import NonzeroEigenvalues, Weight, nonzero_eigenvalues


DEFECTIVE = 1e7  # 1/|y^H x| beyond this: two eigenvalues have met to about sqrt(eps)


def spectral_limit(spectrum: NonlocalSpectrum, weight: Weight) -> StepBound:
    """min 2 Re(1/(mu s)) over the nonzero mu of W and a region that contains spec(-L)."""
    eigenvalues = nonzero_eigenvalues(weight)
    mu = eigenvalues.values
    tau, s = spectrum.region.limits(mu, weight.tolerance)
    if not mu.size or np.all(tau == math.inf):
        cause = "W has no eigenvalue but 0" if not mu.size else "L = 0"
        return StepBound(
            math.inf, f"{cause}: every mode is kept{_zero_note(eigenvalues)}", True, "spectral", spectrum.method
        )
    at = int(np.argmin(tau))
    value, sharp = float(tau[at]), spectrum.sharp
    if value > 0:
        reason = f"2 Re(mu s)/|mu s|^2 {'=' if sharp else '>='} {value:.6g}, with mu = {number(mu[at])} and "
        reason += f"s = {number(s[at])}" if sharp else extent(spectrum)
        reason += _critical_note(eigenvalues, at)
    elif s[at].real > 0 and mu[at].real <= weight.tolerance:
        reason = f"mu = {number(mu[at])} has Re mu <= 0: |1 - tau mu s| > 1 for some s, however small the step"
        sharp = True
    elif isinstance(spectrum.region, Disc):
        reason = f"mu = {number(mu[at])} is not real, and {extent(spectrum)} allows s of any direction near 0"
    else:
        reason = f"Re(mu s) <= 0 with mu = {number(mu[at])}, s = {number(s[at])}: that mode grows at every step > 0"
    critical = (complex(mu[at]), complex(s[at]))
    return StepBound(value, reason + _zero_note(eigenvalues), sharp, "spectral", spectrum.method, critical)


def energy_limit(spectrum: NonlocalSpectrum, weight: Weight) -> StepBound:
    """Largest tau with tau s W^H W <= W + W^H at both ends s of a real spectrum (with -W where s < 0)."""
    limits = []
    for s in filter(None, spectrum.ends):
        unit, why = dissipation(weight, 1 if s > 0 else -1)
        limits.append((unit / abs(s), why, s))
    value, reason, s = min(limits, default=(math.inf, "L = 0: nothing changes", 0.0))
    sharp = spectrum.sharp or value in (0, math.inf)
    if 0 < value < math.inf:
        reason += f", divided by {'s =' if sharp else 's <='} {s:.6g}"
    elif s < 0:
        reason += f", as s = {s:.6g} < 0"
    return StepBound(value, reason, sharp, "energy", spectrum.method)


def dissipation(weight: Weight, sign: int = 1) -> tuple[float, str]:
    """Largest theta with theta W^H W <= sign (W + W^H), and why; inf for W = 0.

    Eigenvalues of W + W^H within 8 C eps ||W|| of zero count as zero.
    """
    W, tolerance = weight.matrix, weight.tolerance
    if not weight.size:
        return math.inf, "W = 0: nothing changes"
    a, Q = np.linalg.eigh(sign * (W + W.conj().T))
    name = "W + W^H" if sign > 0 else "-(W + W^H)"
    negative = int(np.sum(a < -tolerance))
    if negative:
        singular = nonzero_rank(weight) < weight.channels
        tie = "; so it is for almost every W_Z W_g of lower rank, tie W_g = W_Z^H" if singular else ""
        found = f"{negative} negative eigenvalue{'s' * (negative > 1)}, smallest {a[0]:.6g}"
        return 0.0, f"{name} has {found}: a field grows at every step > 0{tie}"
    flat = a <= tolerance
    leak = float(np.linalg.norm(W @ Q[:, flat], 2)) if np.any(flat) else 0.0
    if leak > tolerance:
        return 0.0, f"{name} is 0 in a direction that W stretches by {leak:.6g}: that field grows at every step > 0"
    stretch = float(np.linalg.norm(W @ (Q[:, ~flat] / np.sqrt(a[~flat])), 2)) ** 2
    return 1 / stretch, f"1/||W (W + W^H)^(+1/2)||^2 = {1 / stretch:.6g}"


def nonzero_rank(weight: Weight) -> int:
    """Rank of W: singular values above 8 C eps ||W||."""
    return int(np.sum(np.linalg.svd(weight.matrix, compute_uv=False) > weight.tolerance))


def maximum_limit(op: NonlocalOperator, weight: Weight) -> StepBound:
    """Largest tau with I + tau w L >= 0 entrywise for all eigenvalues w of a symmetric W."""

    def bound(value: float, reason: str, sharp: bool = True) -> StepBound:
        return StepBound(value, reason, sharp, "max", "entries")

    d = float(np.max(outflow(op)))
    if not weight.size:
        return bound(math.inf, "W = 0: nothing changes")
    if not op.nonnegative:
        return bound(0.0, "K has negative entries: no step > 0 forms averages", sharp=False)
    if d == 0:
        return bound(math.inf, "L = 0: nothing changes")
    if not weight.hermitian:
        return bound(0.0, "W is not symmetric: it has no orthogonal coordinates that are averaged one by one")
    w = np.linalg.eigvalsh(weight.matrix)
    if w[0] < -weight.tolerance:
        return bound(0.0, f"W has the eigenvalue {w[0]:.6g} < 0: that coordinate is moved away from its neighbours")
    kept = "Z_i/sqrt(C_i) is averaged" if op.normalize == "symmetric" else "every step is an average"
    reason = f"1/(w_max max_i(r_i - K_ii)) with w_max = {w[-1]:.6g}, max = {d:.6g}; up to there {kept}"
    return bound(1 / (float(w[-1]) * d), reason)


def extent(spectrum: NonlocalSpectrum) -> str:
    """The region in words."""
    region = spectrum.region
    if isinstance(region, Interval):
        return f"{region.low:.6g} <= s <= {region.high:.6g} ({spectrum.method})"
    return f"|s - d| <= d = {region.radius:.6g} ({spectrum.method})" if isinstance(region, Disc) else "spec(-L)"


def _critical_note(eigenvalues: NonzeroEigenvalues, at: int) -> str:
    if eigenvalues.condition[at] < DEFECTIVE:
        return ""
    return "; this mu is defective, so powers grow polynomially at the limit itself"


def _zero_note(eigenvalues: NonzeroEigenvalues) -> str:
    if eigenvalues.index < 2:
        return ""
    size = eigenvalues.index
    return f"; mu = 0 has a Jordan block of size {size}, so powers grow like n^{size - 1} at every step"
