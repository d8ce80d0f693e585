"""The weights W^n of nonlocal modules: their spectra, and which steps they allow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nlmodel.errors import DtypeError
from nlmodel.nn import NonlocalBlock, NonlocalStage
from nlmodel.spectrum import bottleneck_eigenvalues, signed_mass, top_by_magnitude
from nlmodel.stability.limits import spectral_limit
from nlmodel.stability.modes import stage_products
from nlmodel.stability.nonlocal_spectrum import NonlocalSpectrum
from nlmodel.stability.region import Disc, Interval
from nlmodel.stability.weight import as_weight, as_weights


POINTS = 5  # of a region at which the growth of a stage is looked at, its ends among them


@dataclass(frozen=True)
class Modes:
    """Where the numbers s of the update Z <- Z - s h W Z may lie; `points` sample the upper half of their boundary."""

    region: Interval | Disc
    points: np.ndarray

    @classmethod
    def interval(cls, low: float, high: float) -> Modes:
        return cls(Interval(low, high), np.linspace(low, high, POINTS))

    @classmethod
    def disc(cls, radius: float) -> Modes:
        return cls(Disc(radius), radius * (1 + UPPER))


UPPER = np.exp(1j * np.linspace(0, np.pi, POINTS))  # half of the unit circle
REACH = {"psd": 1.0, "reversible": 2.0, "markov": 1.0}  # of the whole family, see `Description.modes`


@dataclass(frozen=True)
class Description:
    """A nonlocal module as the theory sees it.

        difference  Z <- Z + h W (K - I) Z,      sum  Z <- Z + h W K Z           Tao et al. 2018, eqs (8) and (3)

    Attributes
    ----------
    family : of K for every input, "psd", "reversible" or "markov"; None: its spectrum has no bound, or it has none.
    factors : (h W_Z^n, W_g^n) in float64; the scale of a normalisation after W_Z is part of W_Z.
    """

    name: str
    form: str
    family: str | None
    factors: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def matrices(self) -> list[np.ndarray]:
        """h W^n, (C, C) each."""
        return [W_Z @ W_g for W_Z, W_g in self.factors]

    def modes(self, reach: float) -> Modes:
        """The s of affinities of this family, given how far spec(K) reaches from its eigenvalue 1.

        psd, reversible   1 - reach <= lambda <= 1
        markov            |lambda - (1 - reach)| <= reach, the disc of Gershgorin
        difference        s = 1 - lambda;    sum  s = -lambda
        """
        if self.form == "difference":
            return Modes.disc(reach) if self.family == "markov" else Modes.interval(0.0, reach)
        if self.family == "markov":  # |s| <= 1: no step of any W != 0 is stable, on the real part alone either
            return Modes(Interval(-1.0, 1.0), UPPER)
        return Modes.interval(-1.0, reach - 1.0)

    @property
    def worst(self) -> Modes | None:
        """The s of all inputs."""
        return None if self.family is None else self.modes(REACH[self.family])

    def limits(self, modes: Modes) -> list[float]:
        """The largest stable step of each sub-block, in multiples of h; inf for W = 0."""
        spectrum = NonlocalSpectrum(modes.region, True, "family")
        return [spectral_limit(spectrum, as_weight(W)).value for W in self.matrices]

    def growth(self, modes: Modes) -> float:
        """The largest ||(I - s h W^{N-1}) ... (I - s h W^0)||_2 at the points of `modes`."""
        passes = stage_products(modes.points, as_weights(self.matrices))[-1]
        return float(np.max(np.linalg.norm(passes, 2, axis=(-2, -1))))


def describe(name: str, module: nn.Module) -> Description:
    """The description of a `NonlocalStage` or a `NonlocalBlock`."""
    if isinstance(module, NonlocalStage):
        W_Z, W_g = module.step * _float64(module.w_z), _float64(module.w_z.mT if module.w_g is None else module.w_g)
        return Description(name, module.form, family_of(module), tuple(zip(W_Z, W_g, strict=True)))
    if not isinstance(module, NonlocalBlock):
        raise DtypeError("module must be a NonlocalStage or a NonlocalBlock", got=type(module).__name__)
    W_Z, W_g = _float64(module.w_z.weight), _float64(module.g.weight)
    if (norm := module.norm) is not None:
        W_Z = (_float64(norm.weight) / np.sqrt(_float64(norm.running_var) + norm.eps))[:, None] * W_Z
    return Description(name, "sum", family_of(module), ((W_Z, W_g),))


def family_of(module: NonlocalStage | NonlocalBlock) -> str | None:
    """The smallest family that holds K for every input, as `nlmodel.nn.affinity_family`, of either form."""
    kind, subsample = module.embedding.affinity, getattr(module, "subsample", None)
    if kind == "dot_product" or module.normalize in ("size", "none") or subsample is not None:
        return None
    if kind != "gaussian" and not module.embedding.symmetric:
        return "markov"
    return "reversible" if kind == "concatenation" else "psd"


def weight_records(module: Description) -> list[dict[str, Any]]:
    """What is logged of each h W^n: the spectrum of its symmetric part, its own, its size, its step limit."""
    limits = [None] * len(module.factors) if module.worst is None else module.limits(module.worst)
    records = []
    for number, ((W_Z, W_g), limit) in enumerate(zip(module.factors, limits, strict=True)):
        W = W_Z @ W_g
        mass = signed_mass(W)
        complex_eigenvalues = bottleneck_eigenvalues(W_Z, W_g)
        records.append(
            {
                "module": module.name,
                "number": number,
                "eigenvalues": top_by_magnitude(W, len(W)).tolist(),
                "complex_eigenvalues": [[z.real, z.imag] for z in complex_eigenvalues.tolist()],
                "trace": mass.trace,
                "positive": mass.positive,
                "negative": mass.negative,
                "signed_mass": mass.negative / mass.positive if mass.positive > 0 else None,
                "norm": float(np.linalg.norm(W, 2)),
                "limit": "inf" if limit == math.inf else limit,
            }
        )
    return records


def _float64(x: torch.Tensor | None) -> np.ndarray:
    return x.detach().to("cpu", torch.float64).numpy()  # pyright: ignore[reportOptionalMemberAccess]
