"""Twelve seeded faults: small wrong twins of the library's own code, put in place by monkeypatching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nlmodel.kernels import Gaussian, RadialKernel
from nlmodel.markov import JumpProcess
from nlmodel.normalization import dense
from nlmodel.normalization import potentials as found_potentials
from nlmodel.operators import GridAffinity, NonlocalOperator
from nlmodel.operators import nonlocal_operator as operator_module
from nlmodel.operators.grid_product import Convolution
from nlmodel.stepping import problem


Patch = pytest.MonkeyPatch
FAULTS: dict[str, Callable[[Patch], None]] = {}


def fault(words: str):
    def register(seed: Callable[[Patch], None]) -> Callable[[Patch], None]:
        FAULTS[words] = seed
        return seed

    return register


@fault("wrong sign of the diagonal")
def _sign(patch: Patch) -> None:
    def apply(self, Z):
        return self.averaging.apply(Z) + operator_module.match(self.exit_rate, Z)[..., None] * Z

    patch.setattr(NonlocalOperator, "apply", apply)


def _potentials(change) -> Callable[[Patch], None]:
    """A fault in the normalisation as the operators use it, which no later division by the row sums mends."""

    def seed(patch: Patch) -> None:
        right = found_potentials
        patch.setattr(dense, "UNIT_ROWS", ())

        def wrong(sums, how, log_weights, **options):
            return change(right, sums, how, log_weights, **options)

        for module in (operator_module, dense):
            patch.setattr(module, "potentials", wrong)

    return seed


@fault("missing normaliser")
@_potentials
def _normaliser(right, sums, how, log_weights, **options):
    found = right(sums, how, log_weights, **options)
    return replace(found, left=0 * found.left) if how == "row" else found


@fault("row and symmetric form swapped")
@_potentials
def _swapped(right, sums, how, log_weights, **options):
    return right(sums, {"row": "symmetric", "symmetric": "row"}.get(how, how), log_weights, **options)


@fault("transposed W")
def _transposed(patch: Patch) -> None:
    right = problem.mix

    def wrong(Z, weight):
        return right(Z, weight.T if getattr(weight, "ndim", 0) == 2 else weight)

    from nlmodel import network

    patch.setattr(problem, "mix", wrong)
    patch.setattr(network, "mix", wrong)


@fault("< for <= at the horizon")
def _open_ball(patch: Patch) -> None:
    patch.setattr(RadialKernel, "reach", lambda self, x: self.horizon * (1 - 1e-9))


@fault("h^2 for h in the quadrature weight")
def _squared_cell(patch: Patch) -> None:
    right = GridAffinity.log_weights
    patch.setattr(GridAffinity, "log_weights", lambda self, w: 2 * right(self, w) if w is None else right(self, w))


@fault("dropped factor 1/2")
def _half(patch: Patch) -> None:
    right = Gaussian.log_evaluate
    patch.setattr(Gaussian, "log_evaluate", lambda self, X, Y: 2 * right(self, X, Y))


@fault("softmax over the wrong axis")
def _axis(patch: Patch) -> None:
    right = dense.log_sum_exp
    patch.setattr(dense, "UNIT_ROWS", ())
    patch.setattr(dense, "log_sum_exp", lambda x: right(x, axis=-2))


@fault("periodic wrap off by one")
def _wrap(patch: Patch) -> None:
    right = Convolution.__call__

    def wrong(self, source):
        shifted = right(self, source)
        return np.roll(shifted, 1, axis=-1) if self.padded == self.grid else shifted

    patch.setattr(Convolution, "__call__", wrong)


@fault("float32 leak")
def _leak(patch: Patch) -> None:
    right = operator_module.NonlocalOperator.apply

    def wrong(self, Z):
        result = right(self, Z)
        return result.astype(np.float32).astype(Z.dtype) if isinstance(result, np.ndarray) else result

    patch.setattr(NonlocalOperator, "apply", wrong)


@fault("seed reused")
def _seed(patch: Patch) -> None:
    right = JumpProcess.sample

    def wrong(self, start, t, paths, *, rng):
        return right(self, start, t, paths, rng=np.random.default_rng(0))

    patch.setattr(JumpProcess, "sample", wrong)


@fault("stale buffer")
def _stale(patch: Patch) -> None:
    right, buffers = NonlocalOperator.apply, {}

    def wrong(self, Z):
        result = right(self, Z)
        if not isinstance(result, np.ndarray):
            return result
        buffer = buffers.setdefault((result.shape, result.dtype), np.empty_like(result))
        np.copyto(buffer, result)
        return buffer

    patch.setattr(NonlocalOperator, "apply", wrong)
