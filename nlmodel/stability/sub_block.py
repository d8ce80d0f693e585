"""One sub-block of a stage: its step limits, its margins, its transient growth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmodel.operators import NonlocalOperator
from nlmodel.spectrum import kreiss_constant
from nlmodel.stability.bound import StepBound
from nlmodel.stability.limits import energy_limit, maximum_limit, spectral_limit
from nlmodel.stability.nonlocal_spectrum import NonlocalSpectrum, outflow
from nlmodel.stability.weight import Weight, nonzero_eigenvalues


@dataclass(frozen=True, repr=False)
class SubBlock:
    """One sub-block Z <- Z + L Z W^T: its step is 1, so it is stable in a sense when that limit is >= 1.

    Attributes
    ----------
    spectral, energy, maximum : `StepBound`; `energy` is None when no measure is known.
    spectral_margin : min over mu != 0, s != 0 of (2 Re(mu s) - |mu s|^2)/|s|, which for s >= 0 is
        min 2 Re mu - |mu|^2 s_max; inf when there is no such pair.
    energy_margin : lambda_min(W + W^H - s_max W^H W), or None; never above 0 when W is singular.
    maximum_margin : 1 - w_max max_i(r_i - K_ii), the smallest diagonal entry of the averages, or w_min when that is
        negative; None when W is not symmetric or K has negative entries.
    norm : largest ||I - s W||_2 over the modes.
    kreiss : Kreiss constant of I - s W at the mode with that norm; inf when its powers are unbounded.
    """

    spectral: StepBound
    energy: StepBound | None
    maximum: StepBound
    spectral_margin: float
    energy_margin: float | None
    maximum_margin: float | None
    norm: float
    kreiss: float

    @property
    def bounded(self) -> bool:
        """Whether repeating this sub-block alone is stable: within the spectral limit, and no Kreiss constant inf."""
        return self.spectral.allows(1.0) and self.kreiss < math.inf

    def __repr__(self) -> str:
        energy = "no measure" if self.energy is None else f"energy {self.energy.value:.6g}"
        return (
            f"SubBlock(step limits: spectral {self.spectral.value:.6g}, {energy}, max {self.maximum.value:.6g}; "
            f"norm {self.norm:.6g}, Kreiss constant {self.kreiss:.6g})"
        )


def sub_block(
    op: NonlocalOperator, spectrum: NonlocalSpectrum, s: np.ndarray, norms: np.ndarray, weight: Weight, slack: float
) -> SubBlock:
    """The limits and margins of one weight; `norms` are ||I - s W|| at the modes s, 1 + `slack` counts as 1."""
    worst = int(np.argmax(norms))
    return SubBlock(
        spectral=spectral_limit(spectrum, weight),
        energy=energy_limit(spectrum, weight) if op.reversible else None,
        maximum=maximum_limit(op, weight),
        spectral_margin=_spectral_margin(s, weight),
        energy_margin=_energy_margin(spectrum, weight) if op.reversible else None,
        maximum_margin=_maximum_margin(op, weight),
        norm=float(norms[worst]),
        kreiss=kreiss_of(np.eye(weight.channels) - s[worst] * weight.matrix, float(norms[worst]), slack),
    )


def kreiss_of(G: np.ndarray, norm: float, slack: float) -> float:
    """The Kreiss constant of G, which is 1 when ||G|| = `norm` is at most 1: 1 <= Kr <= sup_n ||G^n||."""
    return 1.0 if norm <= 1 + slack else kreiss_constant(G).value


def _spectral_margin(s: np.ndarray, weight: Weight) -> float:
    s = s[s != 0]
    q = nonzero_eigenvalues(weight).values[:, None] * s
    return float(np.min((2 * np.real(q) - np.abs(q) ** 2) / np.abs(s), initial=np.inf))


def _energy_margin(spectrum: NonlocalSpectrum, weight: Weight) -> float:
    W = weight.matrix
    forms = [np.sign(s) * (W + W.conj().T) - abs(s) * W.conj().T @ W for s in spectrum.ends if s]
    return min((float(np.linalg.eigvalsh(form)[0]) for form in forms), default=np.inf)


def _maximum_margin(op: NonlocalOperator, weight: Weight) -> float | None:
    if not (weight.hermitian and op.nonnegative):
        return None
    w = np.linalg.eigvalsh(weight.matrix)
    return float(w[0]) if w[0] < -weight.tolerance else 1 - float(w[-1] * np.max(outflow(op)))
