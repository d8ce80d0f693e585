"""One layer of a network with all that its audit looks at, found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import nn

from nlmodel.audit.weighed import Weighed
from nlmodel.markov import is_reversible, stationary
from nlmodel.nn.checkpoint.layers import Weight
from nlmodel.nn.inspection.affinities import Averages
from nlmodel.nn.stage import NonlocalStage
from nlmodel.stability import Certificate


@dataclass(frozen=True, eq=False, repr=False)
class Inspected:
    """A layer: its affinities K_h, one for each head, and its weights W_h, one for each head or sub-block.

    Attributes
    ----------
    module : as it is in the network.
    averages : None where the affinity is not known; `silent` then says why.
    certificate : of a stage of the difference form.
    """

    name: str
    module: nn.Module
    weights: tuple[Weight, ...]
    averages: Averages | None
    certificate: Certificate | None
    silent: str = ""

    @cached_property
    def weighed(self) -> tuple[Weighed, ...]:
        """The weights with their spectra."""
        return tuple(
            Weighed(w.arrays[0] if len(w.arrays) == 1 else w.arrays[0] @ w.arrays[1], _factors(w), w.unit)
            for w in self.weights
        )

    @property
    def difference(self) -> bool:
        """Whether Z changes by (K - I) Z W^T, and not by K Z W^T."""
        return isinstance(self.module, NonlocalStage) and self.module.form == "difference"

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """The affinities of the heads."""
        return tuple(Chain(K) for K in self.averages.K) if self.averages else ()


@dataclass(frozen=True, eq=False, repr=False)
class Chain:
    """K of one head: whether it is a transition matrix, and its spectrum."""

    K: np.ndarray

    @cached_property
    def row_sums(self) -> np.ndarray:
        """Of K."""
        return self.K.sum(axis=1)

    @cached_property
    def stochastic(self) -> bool:
        """Whether K is nonnegative with rows that sum to one, to the rounding of single precision in the logits."""
        slack = 4 * len(self.K) * float(np.finfo(np.float32).eps)
        return bool(np.all(self.K >= 0) and np.all(np.abs(self.row_sums - 1) <= slack))

    @cached_property
    def P(self) -> np.ndarray:
        """K with rows that sum to one in float64."""
        return self.K / self.row_sums[:, None]

    @cached_property
    def reversible(self) -> bool:
        """Whether K is stochastic and self-adjoint in some measure."""
        return self.stochastic and bool(np.all(self.K > 0)) and is_reversible(self.P)

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Of K, by falling modulus; real where K is reversible or symmetric."""
        if self.reversible:
            root = np.sqrt(stationary(self.P))
            S = root[:, None] * self.P / root
            values = np.linalg.eigvalsh((S + S.T) / 2)
        elif np.array_equal(self.K, self.K.T):
            values = np.linalg.eigvalsh(self.K)
        else:
            values = np.linalg.eigvals(self.K)
        return values[np.argsort(-np.abs(values), kind="stable")]


def _factors(weight: Weight) -> tuple[np.ndarray, np.ndarray] | None:
    if len(weight.arrays) == 1 or weight.arrays[0].shape[1] > weight.arrays[0].shape[0]:
        return None
    return weight.arrays[0], weight.arrays[1]
