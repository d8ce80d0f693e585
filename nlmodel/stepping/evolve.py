"""Run Z' = L Z W^T + R(Z) forward in time, and say how it went."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, check_array, check_choice, check_count, check_number, to_numpy
from nlmodel.errors import (
    BlowUpError,
    DomainError,
    DtypeError,
    NonFiniteError,
    NormalizationError,
    UnstableStepError,
    UnstableStepWarning,
)
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping.guard import Guard
from nlmodel.stepping.method import Method
from nlmodel.stepping.problem import Problem, State, checked_weight
from nlmodel.stepping.registry import make_method
from nlmodel.stepping.trajectory import Recorder, Trajectory


ON_UNSTABLE = ("raise", "warn", "ignore")


def evolve(
    op: NonlocalOperator | Callable[[Array], NonlocalOperator],
    Z0: Array,
    *,
    step: float,
    steps: int,
    method: str = "forward_euler",
    weight: float | Array | None = None,
    reaction: Callable[[Array], Array] | None = None,
    on_unstable: str = "raise",
    save_every: int = 1,
    growth_limit: float = 1e12,
    stages: int | None = None,
    damping: float | None = None,
    tolerance: float | None = None,
) -> Trajectory:
    """Solve Z' = L Z W^T + R(Z) from Z(0) = Z0 with `steps` steps of length `step`.

        Z^{n+1} = Z^n + step (L Z^n W^T + R(Z^n))          Tao et al. 2018, eqs (8), (15), (29): "forward_euler"

    Before the first step of an explicit method the step is compared with the method's stability bound for the
    linear part L Z W^T.  The reaction does not enter: where R itself is stiff or grows, only the run can tell.

    Parameters
    ----------
    op : the operator L, or a function Z -> L(Z) when the kernel is found anew from the features.  "rk2" and "rk4"
        then find it at every stage and keep their order; the others freeze it during a step.  The bound is
        checked at every step, for K >= 0 from K_ii alone unless the step is beyond that.
    Z0 : (..., M, C) or (M,) array of any array library; NumPy where `method` needs it.
    step : > 0.
    steps : >= 1.
    method : "forward_euler", "rk2", "rk4", "super_time_stepping", "exponential", "implicit_euler",
        "crank_nicolson" or "imex" (reaction explicit, the rest implicit).
    weight : W: None (identity), a number, or a (C, C) array.  Negative numbers run diffusion backwards.
    reaction : function Z -> R(Z) of the shape of Z, given Z as (..., M, C); for "forward_euler", "rk2", "rk4" and
        "imex".
    on_unstable : what to do about a step beyond the bound and about a run that blows up: "raise", "warn", or
        "ignore", which leaves it to the status.
    save_every : keep the state after every so many steps; first and last are kept always.
    growth_limit : the run has blown up when max|Z| exceeds this many times max|Z0| (this number, when Z0 = 0);
        with math.inf only when numbers are no longer finite.
    stages, damping : of "super_time_stepping".
    tolerance : of the linear solver or of the Krylov exponential.

    Returns  `Trajectory`; `.final` is the last state, `.status` says how the run ended.
    Raises   UnstableStepError: the step exceeds the bound; names bound, reason and remedy.
             BlowUpError: the state is no longer finite or exceeds `growth_limit`.  Both carry what was computed
             until then as `.trajectory`.
             ConvergenceError: a linear system was not solved to tolerance.
    Accuracy the order of `method` in `step` ("exponential": exact for a frozen L); mass, constants to rounding.
    Cost     as the method says; the energy shares the first product of the next step.  One `cfl_limit`.
             Gradients flow to Z0, W and the parameters of L through every method that takes torch tensors.
    """
    check_array(Z0, "Z0", min_ndim=1)
    check_number(step, "step", above=0.0)
    check_count(steps, "steps", at_least=1)
    check_count(save_every, "save_every", at_least=1)
    check_choice(on_unstable, "on_unstable", ON_UNSTABLE)
    if not (isinstance(growth_limit, float) and growth_limit == math.inf):
        check_number(growth_limit, "growth_limit", above=1.0)
    if not isinstance(op, NonlocalOperator) and not callable(op):
        raise DtypeError("op must be a NonlocalOperator or a function that returns one", got=type(op).__name__)
    if reaction is not None and not callable(reaction):
        raise DtypeError("reaction must be a function of Z", got=type(reaction).__name__)
    scheme = make_method(method, reaction=reaction is not None, stages=stages, damping=damping, tolerance=tolerance)
    Z = Z0[:, None] if Z0.ndim == 1 else Z0
    problem = Problem(op, checked_weight(weight, Z), reaction)
    guard = Guard(scheme, problem.weight, float(step), on_unstable, problem.recomputed)
    limit = _largest(Z) * growth_limit if _largest(Z) > 0 else growth_limit
    run = Run(scheme, problem, guard, Recorder(save_every, Z0.ndim == 1), limit)
    return run.go(Z, steps)


@dataclass
class Run:
    """One run under way."""

    scheme: Method
    problem: Problem
    guard: Guard
    recorder: Recorder
    limit: float

    @np.errstate(over="ignore", invalid="ignore")  # every state is checked
    def go(self, Z: Array, steps: int) -> Trajectory:
        """Take the steps, or as many as can be."""
        state = self.problem.check(Z)
        self.guard.check(state.op, 0)
        self.recorder.record(state)
        for k in range(1, steps + 1):
            try:
                state = self._advance(state)
            except _Stop as stop:
                return self._blew_up(k, str(stop))
            self.recorder.record(state)
            if self.problem.recomputed and k < steps:
                self._check_again(state.op, k)
        return self._finished()

    def _advance(self, state: State) -> State:
        """The next state; `_Stop` where there is none."""
        try:
            Z = self.scheme.advance(self.problem, state, self.guard.step)
            size = _largest(Z)
            if not math.isfinite(size):
                raise _Stop("the state is not finite")
            if size > self.limit:
                raise _Stop(f"the largest entry {size:.3g} exceeds growth_limit, {self.limit:.3g}")
            return self.problem.state(Z)
        except NormalizationError:
            raise
        except (NonFiniteError, DomainError) as error:
            raise _Stop(f"the kernel or the reaction could not be evaluated ({error.what})") from error

    def _check_again(self, op: NonlocalOperator, k: int) -> None:
        try:
            self.guard.check(op, k)
        except UnstableStepError as error:
            error.trajectory = self._trajectory("unstable_step", f"stopped after step {k}: {error.what}")
            raise

    def _finished(self) -> Trajectory:
        done = f"{len(self.recorder.rows) - 1} steps to t = {self._time(len(self.recorder.rows) - 1):.6g}"
        if self.guard.exceeded_at is None:
            return self._trajectory("completed", done)
        return self._trajectory("unstable_step_ignored", f"{done}; {self.guard.excess}")

    def _blew_up(self, k: int, what: str) -> Trajectory:
        message = f"blew up at step {k}, t = {self._time(k):.6g}: {what}; {self._cause()}"
        trajectory = self._trajectory("blew_up", message)
        if self.guard.on_unstable == "raise":
            error = BlowUpError(
                f"the run {message}",
                fix='on_unstable="ignore" returns the run until then, which is also .trajectory of this error',
            )
            error.trajectory = trajectory
            raise error
        if self.guard.on_unstable == "warn":
            warnings.warn(message, UnstableStepWarning, stacklevel=4)
        return trajectory

    def _cause(self) -> str:
        if self.guard.exceeded_at is not None:
            return self.guard.excess
        if self.problem.recomputed or self.problem.reaction is not None:
            return "the step is within the bound of the linear part, so the growth is nonlinear"
        return "the step is stable or the method needs no bound, so the flow itself grows (Re mu s < 0)"

    def _trajectory(self, status: str, message: str) -> Trajectory:
        return self.recorder.trajectory(self.guard.step, self.scheme.name, self.guard.bound, status, message)

    def _time(self, k: int) -> float:
        return k * self.guard.step


class _Stop(Exception):
    """The run cannot go on; says why."""


def _largest(Z: Array) -> float:
    """max |Z|, NaN where an entry is NaN."""
    return float(np.max(np.abs(to_numpy(Z))))
