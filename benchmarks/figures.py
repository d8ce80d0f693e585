"""Must figures: a ratio, and what it may be at most."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.case import Work
from benchmarks.machine import limit
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

    def value(self, record: Record) -> float | None:
        """The number that was found."""
        return record.seconds(self.key)


@dataclass(frozen=True)
class Peak(Time):
    """Bytes above the data that a measure of a contestant needs at its peak."""

    def trouble(self, record: Record) -> str | None:
        """Why there is none, or none that counts."""
        return super().trouble(record) or record.unweighed.get(self.key)

    def value(self, record: Record) -> float | None:
        """The number that was found."""
        return record.peaks.get(self.key)


@dataclass(frozen=True)
class Cold(Time):
    """Seconds of a measure's first call in a fresh process."""

    def trouble(self, record: Record) -> str | None:
        """Why there is none, or none that counts."""
        return super().trouble(record) or record.warm.get(self.key)

    def value(self, record: Record) -> float | None:
        """The number that was found."""
        return record.cold.get(self.key)


@dataclass(frozen=True)
class Error(Time):
    """How far the result of a measure is from what is true."""

    def value(self, record: Record) -> float | None:
        """The number that was found."""
        return record.errors.get(self.key)


@dataclass(frozen=True)
class Fastest:
    """The shortest of the times of several contestants, of those that could be measured."""

    case: str
    contestants: tuple[str, ...]
    measure: str

    @property
    def contestant(self) -> str:
        """All of them, in words."""
        return f"the fastest of {', '.join(self.contestants)}"

    def chosen(self, record: Record) -> Time:
        """The one that was; the first of them where there is none."""
        times = [Time(self.case, name, self.measure) for name in self.contestants]
        there = [time for time in times if not time.trouble(record) and time.value(record) is not None]
        return min(there, key=lambda time: time.value(record) or 0.0) if there else times[0]


@dataclass(frozen=True)
class Number:
    """A number that is computed and not measured."""

    name: str
    count: float

    def value(self, record: Record) -> float:
        """The number."""
        return self.count


@dataclass(frozen=True)
class Bytes(Number):
    """A number of bytes."""


@dataclass(frozen=True)
class Seconds(Number):
    """A number of seconds."""


@dataclass(frozen=True)
class Limit:
    """Seconds that no way of doing the work can go below, by the rates that the same run has seen."""

    name: str
    work: Work

    def value(self, record: Record) -> float | None:
        """The number of seconds."""
        return limit(self.work, record.ceilings) if record.ceilings else None


@dataclass(frozen=True)
class Figure:
    """`of` over `to` is at most `must`.

    Attributes
    ----------
    name : of the line that tells how it went.
    of, to : two times of one case, two peaks, two errors, or one of them and a number.
    must, goal : what the ratio has to be, and what is aimed at.
    """

    name: str
    of: Time
    to: Time | Fastest | Number | Limit
    must: float
    goal: float | None = None

    @property
    def cases(self) -> set[str]:
        """The cases it needs."""
        return {part.case for part in (self.of, self.to) if isinstance(part, Time | Fastest)}

    @property
    def beside(self) -> str:
        """What it is a multiple of."""
        return self.to.name if isinstance(self.to, Number | Limit) else self.to.contestant


def timed(
    case: str, measure: str, ours: str, beside: str | tuple[str, ...] | Limit, must: float, goal: float | None = None
) -> Figure:
    """The time of `ours` over that of `beside`, or of the fastest of several, in the rounds of one case; or over the
    limit, of which it reaches the share 1 / must."""
    to = Fastest(case, beside, measure) if isinstance(beside, tuple) else beside
    to = Time(case, to, measure) if isinstance(to, str) else to
    return Figure(f"{case}, {measure}, time of {ours}", Time(case, ours, measure), to, must, goal)


def weighed(case: str, measure: str, ours: str, beside: str | Bytes, must: float, goal: float | None = None) -> Figure:
    """The peak memory of `ours` over that of `beside`, or over a number of bytes."""
    to = beside if isinstance(beside, Bytes) else Peak(case, beside, measure)
    return Figure(f"{case}, {measure}, peak of {ours}", Peak(case, ours, measure), to, must, goal)


def cold(case: str, measure: str, ours: str, seconds: float) -> Figure:
    """The cold start of `ours` takes at most so many seconds; the case names the measure in its `cold`."""
    of = Cold(case, ours, measure)
    return Figure(f"{case}, {measure}, cold start of {ours}", of, Seconds(f"{seconds:g} s", seconds), 1.0)


def accurate(case: str, measure: str, ours: str, beside: str | float, must: float = 1.0) -> Figure:
    """The error of `ours` over that of `beside`, or over a bound."""
    to = Error(case, beside, measure) if isinstance(beside, str) else Number(f"{beside:.3g}", beside)
    return Figure(f"{case}, {measure}, error of {ours}", Error(case, ours, measure), to, must)


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
    to = figure.to.chosen(record) if isinstance(figure.to, Fastest) else figure.to
    if isinstance(to, Time) and (reason := to.trouble(record)):
        return Verdict(figure, UNMEASURED, reason)
    runs, spread = _ratios(figure.of, to, record)
    if not runs:
        return Verdict(figure, UNMEASURED, "nothing was measured")
    ratio = median(runs)
    return Verdict(figure, MET if ratio <= figure.must else MISSED, "", ratio, runs, spread)


def exit_status(verdicts: list[Verdict]) -> int:
    """0: every figure is met or not applicable.  1: one is missed.  3: none is missed, but one not measured."""
    found = {verdict.status for verdict in verdicts}
    return 1 if MISSED in found else 3 if UNMEASURED in found else 0


def _ratios(
    of: Time, to: Time | Number | Limit, record: Record
) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    """The ratio of each run, and the middle half of those of all rounds, where there are rounds."""
    if type(of) is Time and isinstance(to, Time):
        if not (rounds := record.ratios(of.key, to.key)):
            return (), None
        each = [ratio for run in rounds for ratio in run]
        low, _, high = quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
        return tuple(median(run) for run in rounds), (low, high)
    mine, other = of.value(record), to.value(record)
    return ((), None) if mine is None or not other else ((mine / other,), None)
