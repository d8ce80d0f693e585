"""Must figures: a ratio, and what it may be at most."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.record import Key, Record


MET, MISSED, UNMEASURED, IDLE = "met", "missed", "could not be measured", "not applicable"


@dataclass(frozen=True)
class Time:
    """Seconds of a measure of a contestant."""

    case: str
    contestant: str
    measure: str

    @property
    def key(self) -> Key:
        """Under which it is recorded."""
        return self.case, self.contestant, self.measure

    def trouble(self, record: Record) -> str | None:
        """Why there is none, or none that counts."""
        return record.trouble(self.case, self.contestant)


@dataclass(frozen=True)
class Peak(Time):
    """Bytes above the data that a measure of a contestant needs at its peak."""

    def trouble(self, record: Record) -> str | None:
        """Why there is none, or none that counts."""
        return super().trouble(record) or record.unweighed.get(self.key)


@dataclass(frozen=True)
class Bytes:
    """A number of bytes that is computed and not measured."""

    name: str
    count: float


@dataclass(frozen=True)
class Figure:
    """`of` over `to` is at most `must`.

    Attributes
    ----------
    name : of the line that tells how it went.
    of, to : two times of one case, two peaks, or a peak and a number of bytes.
    must, goal : what the ratio has to be, and what is aimed at.
    """

    name: str
    of: Time
    to: Time | Bytes
    must: float
    goal: float | None = None

    @property
    def cases(self) -> set[str]:
        """The cases it needs."""
        return {part.case for part in (self.of, self.to) if isinstance(part, Time)}

    @property
    def beside(self) -> str:
        """What it is a multiple of."""
        return self.to.name if isinstance(self.to, Bytes) else self.to.contestant


def timed(case: str, measure: str, ours: str, beside: str, must: float, goal: float | None = None) -> Figure:
    """The time of `ours` over that of `beside` in the rounds of one case."""
    times = Time(case, ours, measure), Time(case, beside, measure)
    return Figure(f"{case}, {measure}, time of {ours}", *times, must, goal)


def weighed(case: str, measure: str, ours: str, beside: str | Bytes, must: float, goal: float | None = None) -> Figure:
    """The peak memory of `ours` over that of `beside`, or over a number of bytes."""
    to = beside if isinstance(beside, Bytes) else Peak(case, beside, measure)
    return Figure(f"{case}, {measure}, peak of {ours}", Peak(case, ours, measure), to, must, goal)


@dataclass(frozen=True)
class Verdict:
    """What a record says of a figure: the ratio of each run, their median, and the middle half of all rounds."""

    figure: Figure
    status: str
    reason: str = ""
    ratio: float | None = None
    runs: tuple[float, ...] = ()
    spread: tuple[float, float] | None = None

    @property
    def reaches_goal(self) -> bool:
        """Whether the goal holds too."""
        return self.ratio is not None and self.figure.goal is not None and self.ratio <= self.figure.goal


def judge(figure: Figure, record: Record) -> Verdict:
    """The verdict on one figure.  Ours failing or disagreeing is a miss; a peer failing leaves it unmeasured."""
    if idle := [record.idle[case] for case in sorted(figure.cases) if case in record.idle]:
        return Verdict(figure, IDLE, idle[0])
    if reason := figure.of.trouble(record):
        return Verdict(figure, MISSED, reason)
    if isinstance(figure.to, Time) and (reason := figure.to.trouble(record)):
        return Verdict(figure, UNMEASURED, reason)
    runs, spread = _ratios(figure, record)
    if not runs:
        return Verdict(figure, UNMEASURED, "nothing was measured")
    ratio = median(runs)
    return Verdict(figure, MET if ratio <= figure.must else MISSED, "", ratio, runs, spread)


def exit_status(verdicts: list[Verdict]) -> int:
    """0: every figure is met or not applicable.  1: one is missed.  3: none is missed, but one not measured."""
    found = {verdict.status for verdict in verdicts}
    return 1 if MISSED in found else 3 if UNMEASURED in found else 0


def _ratios(figure: Figure, record: Record) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    """The ratio of each run, and the middle half of those of all rounds."""
    of, to = figure.of, figure.to
    if isinstance(of, Peak):
        mine, other = record.peaks.get(of.key), to.count if isinstance(to, Bytes) else record.peaks.get(to.key)
        return ((), None) if mine is None or not other else ((mine / other,), None)
    rounds = None if isinstance(to, Bytes) else record.ratios(of.key, to.key)
    if not rounds:
        return (), None
    each = [ratio for run in rounds for ratio in run]
    low, _, high = quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    return tuple(median(run) for run in rounds), (low, high)
