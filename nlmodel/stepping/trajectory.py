"""What a run gives back: states, diagnostics, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmodel._arrays import Array, to_numpy
from nlmodel.operators import NonlocalOperator
from nlmodel.stability.bound import StepBound
from nlmodel.stepping.problem import State


STATUSES = {
    "completed": "every step was taken, within the stability bound where the method has one",
    "unstable_step_ignored": "every step was taken, though the step exceeds the stability bound",
    "unstable_step": "stopped before a step beyond the stability bound of an operator found on the way",
    "blew_up": "stopped before the last step: the state stopped being finite or outgrew the limit",
}


@dataclass(frozen=True, repr=False)
class Trajectory:
    """A run of `evolve`.

    n is the number of steps taken; one diagnostic a step, the initial state first.

    Attributes
    ----------
    times : (n + 1,) array.
    states : the saved states, in the library of Z0; first and last always.
    saved : the steps at which they were saved, so that `times[list(saved)]` are their times.
    mass : (n + 1, ..., C) weighted mean of each channel in the measure of L, or None when it has none.
    energy : (n + 1, ...) -<Z, L Z>_m, or None.
    minimum, maximum : (n + 1,) extreme entries.
    norm : (n + 1,) root of sum_i m_i |Z_i|^2, with m = 1 where no measure is known.
    status : one of `STATUSES`: "completed", "unstable_step_ignored", "unstable_step", "blew_up".
    message : when and why, in words.
    method, step : as given.
    bound : the smallest stability bound found, or None for methods that need none.
    """

    times: np.ndarray
    states: tuple[Array, ...]
    saved: tuple[int, ...]
    mass: np.ndarray | None
    energy: np.ndarray | None
    minimum: np.ndarray
    maximum: np.ndarray
    norm: np.ndarray
    status: str
    message: str
    method: str
    step: float
    bound: StepBound | None

    @property
    def final(self) -> Array:
        """The last state: after the last step, or the last one before a blow-up."""
        return self.states[-1]

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.times) - 1

    @property
    def mass_drift(self) -> float | None:
        """Largest change of the weighted mean of any channel since the start; None when there is no measure.

        Where L is recomputed its measure moves, and the drift is a property of the flow, not an error.
        """
        return None if self.mass is None else float(np.max(np.abs(self.mass - self.mass[0])))

    def __repr__(self) -> str:
        drift = "" if self.mass_drift is None else f", mass_drift={self.mass_drift:.2g}"
        return (
            f"Trajectory({self.method}, {self.steps} steps of {self.step:.6g}, {len(self.states)} states of "
            f"shape {tuple(self.final.shape)}, status={self.status!r}{drift})"
        )


@dataclass
class Recorder:
    """Collects diagnostics and states while a run goes on."""

    save_every: int
    vector: bool
    states: list[Array] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    rows: list[tuple] = field(default_factory=list)
    last: Array = None
    op: NonlocalOperator | None = None
    measure: np.ndarray | None = None

    def record(self, state: State) -> None:
        """Note the state after one more step."""
        k, self.last = len(self.rows), state.Z
        if k % self.save_every == 0:
            self._save(k)
        z = to_numpy(state.Z).astype(np.float64)
        m = self._measure(state.op)
        weighted = z if m is None else m * z
        mass = None if m is None else np.sum(weighted, axis=-2) / np.sum(m, axis=-2)
        energy = None if m is None else -np.sum(weighted * to_numpy(state.change), axis=(-2, -1))
        self.rows.append((mass, energy, np.min(z), np.max(z), np.sqrt(np.sum(weighted * z))))

    def _measure(self, op: NonlocalOperator) -> np.ndarray | None:
        """The measure of `op`, (..., M, 1); found once while `op` stays the same."""
        if op is not self.op:
            self.op = op
            self.measure = None if op.measure is None else to_numpy(op.measure).astype(np.float64)[..., None]
        return self.measure

    def _save(self, k: int) -> None:
        self.states.append(self.last[..., 0] if self.vector else self.last)
        self.saved.append(k)

    def trajectory(self, step: float, method: str, bound: StepBound | None, status: str, message: str) -> Trajectory:
        """The run as a value."""
        last = len(self.rows) - 1
        if self.saved[-1] != last:
            self._save(last)
        mass, energy, *extremes = zip(*self.rows, strict=True)
        known = all(m is not None for m in mass)
        return Trajectory(
            step * np.arange(last + 1),
            tuple(self.states),
            tuple(self.saved),
            np.stack(mass) if known else None,
            np.stack(energy) if known else None,
            *(np.asarray(values) for values in extremes),
            status=status,
            message=message,
            method=method,
            step=step,
            bound=bound,
        )
