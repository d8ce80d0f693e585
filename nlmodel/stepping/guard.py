"""Whether a step is within the stability bound of its method, and what is said when it is not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nlmodel.errors import UnstableStepError, UnstableStepWarning
from nlmodel.operators import DenseAffinity, NonlocalOperator
from nlmodel.stability.bound import StepBound, number
from nlmodel.stability.cfl import cfl_limit
from nlmodel.stability.nonlocal_spectrum import EXACT_UP_TO, eigenvalues_of_generator
from nlmodel.stability.weight import as_weight, nonzero_eigenvalues
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Weight


UNIT_SLACK = 1e-12  # by which |p| = 1 may be exceeded: the eigenvalues are known no better


def stability_bound(
    method: Method, op: NonlocalOperator, weight: Weight, step: float, *, cheap: bool = False
) -> StepBound:
    """A step up to which `method` keeps every mode of Z' = L Z W^T bounded.

    With q = mu s running through the products of eigenvalues of W and -L, and the forward Euler limit tau_E:

    - all q real: tau_E times `method.real_limit` / 2;
    - otherwise tau_E itself suffices, because p(z) = sum_k a_k (1 - z)^k with a_k >= 0 for every
      explicit method here; where `step` is larger, |p(step q)| <= 1 is checked on all q (up to 2000 positions).

    `cheap` tries Gershgorin's bound first where K >= 0, and finds eigenvalues only if `step` is beyond it.
    """
    if cheap and op.nonnegative:
        quick = _single_bound(method, op, weight, step, "gershgorin")
        if quick.allows(step):
            return quick
    return _single_bound(method, op, weight, step, "auto")


def _single_bound(method: Method, op: NonlocalOperator, weight: Weight, step: float, how: str) -> StepBound:
    euler = min((cfl_limit(part, weight, method=how) for part in batch_of(op)), key=float)
    if method.name == "forward_euler":
        return euler
    W = as_weight(weight)
    mu = nonzero_eigenvalues(W).values
    real = op.reversible and bool(np.all(np.abs(np.imag(mu)) <= W.tolerance))
    if real:
        ratio = method.real_limit / 2
        reason = f"{ratio:.5g} times the forward Euler limit {euler.value:.6g}: {euler.reason}"
        return replace(euler, value=euler.value * ratio, reason=reason)
    if euler.allows(step) or how == "gershgorin" or op.size > EXACT_UP_TO:
        return replace(euler, reason=f"the forward Euler limit suffices: {euler.reason}", sharp=False)
    s = np.concatenate([eigenvalues_of_generator(part) for part in batch_of(op)])
    q = np.multiply.outer(mu, s)
    factor = np.abs(method.amplification(step * q))
    worst = np.unravel_index(int(np.argmax(factor)), factor.shape)
    if factor[worst] <= 1 + UNIT_SLACK:
        return replace(euler, value=step, reason="|p(step mu s)| <= 1 at every pair of eigenvalues", sharp=False)
    reason = f"|p(step mu s)| = {factor[worst]:.6g} at mu s = {number(q[worst])}; the forward Euler limit is safe"
    return replace(euler, reason=reason, sharp=False)


def batch_of(op: NonlocalOperator) -> Iterator[NonlocalOperator]:
    """The operators of a batch one by one; `op` itself where it is one."""
    if len(op.shape) == 2 or not isinstance(op.averaging, DenseAffinity):
        yield op
        return
    K, found = op.averaging, op.potentials
    for index in np.ndindex(*op.shape[:-2]):
        at = (*index, ...)
        yield NonlocalOperator(
            replace(K, values=K.values[at]),
            replace(
                found,
                left=found.left[at],
                right=found.right[at],
                degree=found.degree[at],
                exit_rate=found.exit_rate[at],
                measure=None if found.measure is None else found.measure[at],
            ),
        )


@dataclass
class Guard:
    """Checks steps as a run goes on: raises, warns once, or only remembers, as `on_unstable` says."""

    method: Method
    weight: Weight
    step: float
    on_unstable: str
    recomputed: bool
    bound: StepBound | None = None
    exceeded_at: int | None = None

    def check(self, op: NonlocalOperator, k: int) -> None:
        """Find the bound for step k; explicit methods only."""
        if not self.method.explicit or self.exceeded_at is not None:
            return
        bound = stability_bound(self.method, op, self.weight, self.step, cheap=self.recomputed)
        if self.bound is None or bound.value < self.bound.value:
            self.bound = bound
        if bound.allows(self.step):
            return
        self.exceeded_at, self.bound = k, bound
        error = self.error()
        if self.on_unstable == "raise":
            raise error
        if self.on_unstable == "warn":
            warnings.warn(str(error), UnstableStepWarning, stacklevel=3)

    @property
    def excess(self) -> str:
        """By how much the step exceeds the bound, in words."""
        value = 0.0 if self.bound is None else self.bound.value
        if value == 0:
            return f"step {self.step:.6g}, but no step > 0 is stable"
        return f"step {self.step:.6g}, {self.step / value:.4g} times the bound {value:.6g}"

    def error(self) -> UnstableStepError:
        """The finding as an error: bound, reason, remedy."""
        bound, when = self.bound, f" at step {self.exceeded_at}" if self.exceeded_at else ""
        remedy = 'method="implicit_euler", or on_unstable="ignore" to look at the growth'
        if bound is not None and bound.value > 0:
            remedy = f"pass step <= {bound.value:.6g}, {remedy}"
        elif bound is not None:
            remedy = f'for imaginary mu s method="rk4"; for a flow that grows by itself on_unstable="ignore"; {remedy}'
        return UnstableStepError(
            f"the step is beyond the stability bound of {self.method.name}{when}",
            got=self.excess,
            why="unknown" if bound is None else bound.reason,
            fix=remedy,
        )
