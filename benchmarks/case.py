"""What is compared: cases of contestants that do the same work on the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias


FORWARD, BOTH, TRAINING = "forward", "forward+backward", "training step"

Call: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """Where and how large a contestant is built.

    Attributes
    ----------
    device : "cpu" or "cuda".
    precision : "float32" or "float64".
    images : how many instead of the case's own number; None is the case's own.
    quick : tiny sizes, which show that everything runs and agrees, and nothing of its speed.
    """

    device: str = "cpu"
    precision: str = "float32"
    images: int | None = None
    quick: bool = False

    def on(self, images: int | None, precision: str = "float32") -> Setting:
        """The same for another number of images and in another precision."""
        return replace(self, images=images, precision=precision)


@dataclass(frozen=True)
class Built:
    """A contestant with its data.

    Attributes
    ----------
    calls : one call of each measure.
    values : what must agree with another contestant, by name: outputs and gradients.
    errors : of some measures, how far the result is from what is true: a reference in double precision on sampled
        rows, or what the data hide.
    """

    calls: Mapping[str, Call]
    values: Callable[[], Mapping[str, Any]]
    errors: Mapping[str, Callable[[], float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    """One way of doing the work of a case.

    Attributes
    ----------
    name : unique in its case; those that are no peer begin with "ours".
    build : makes it; contestants that must agree get the same weights and data from the same setting.
    same_as : the contestant with whose values its own must agree, or None.
    within : how closely, relative to the largest value; None is what the precision allows.
    compiles : whether its first call at full size compiles, so that only a second one shows its memory.
    """

    name: str
    build: Callable[[Setting], Built]
    same_as: str | None = None
    within: float | None = None
    compiles: bool = False

    @property
    def is_peer(self) -> bool:
        """Whether it is one of those that we are measured against."""
        return not self.name.startswith("ours")


@dataclass(frozen=True)
class Work:
    """The least that any way of doing it costs.

    Attributes
    ----------
    flops : operations that matrix products could do.
    bytes : between memory and processor.
    exponentials : evaluated one after the other with the operations.
    precision : of the operations and the exponentials.
    stream : "copy" or "read", as whose rate the bytes can come at best.
    """

    flops: float
    bytes: float
    exponentials: float = 0.0
    precision: str = "float32"
    stream: str = "copy"


@dataclass(frozen=True)
class Case:
    """Contestants that are timed together.

    Attributes
    ----------
    name : unique, begins with that of its workload.
    about : its sizes, for the reader of the table.
    contestants : in the order of a round.
    measures : which calls are timed and weighed.
    work : of a measure, where it is known.
    idle : why a device cannot show it, or "".
    precision : in which it is timed; in float64 it is compared in float64 only.
    cold : measures whose cold start is taken too.
    """

    name: str
    about: str
    contestants: tuple[Contestant, ...]
    measures: tuple[str, ...] = (FORWARD, BOTH)
    work: Mapping[str, Work] = field(default_factory=dict)
    idle: Callable[[str], str] = lambda device: ""
    precision: str = "float32"
    cold: tuple[str, ...] = ()

    def contestant(self, name: str) -> Contestant:
        """The contestant of this name."""
        return next(c for c in self.contestants if c.name == name)
