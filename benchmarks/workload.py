"""A workload: its cases, and the figures that they must reach."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.case import Case
from benchmarks.figures import Figure
from nlmodel.errors import ChoiceError


GROUPS = {
    "nn": ("benchmarks.workloads.block", "benchmarks.workloads.stage"),
    "cifar": ("benchmarks.workloads.training",),
    "scale": (
        "benchmarks.workloads.streamed",
        "benchmarks.workloads.approximate",
        "benchmarks.workloads.sparse",
        "benchmarks.workloads.grid",
        "benchmarks.workloads.chebyshev",
        "benchmarks.workloads.nonlocal_means",
        "benchmarks.workloads.markov",
    ),
}
ALL = "all"


@dataclass(frozen=True)
class Workload:
    """One file of `benchmarks.workloads`: module-level `WORKLOAD`.

    Attributes
    ----------
    name, title : "W2", and what it is about.
    module : where it is found again by the processes that measure memory.
    cases, figures : what is measured, and what is demanded of it.
    """

    name: str
    title: str
    module: str
    cases: tuple[Case, ...]
    figures: tuple[Figure, ...]

    def case(self, name: str) -> Case:
        """The case of this name."""
        return next(c for c in self.cases if c.name == name)

    def only(self, words: Sequence[str]) -> Workload:
        """The cases that some word names, or all when one names the workload, and the figures they suffice for."""
        named = any(word.casefold() == self.name.casefold() for word in words)
        cases = tuple(c for c in self.cases if named or any(w.casefold() in c.name.casefold() for w in words))
        there = {c.name for c in cases}
        figures = tuple(f for f in self.figures if f.cases <= there)
        return Workload(self.name, self.title, self.module, cases, figures)


def load(module: str) -> Workload:
    """The workload of a module."""
    return importlib.import_module(module).WORKLOAD


def workloads(group: str, only: Sequence[str] = ()) -> list[Workload]:
    """The workloads of a group, or of all of them, or those cases of them that `only` names.

    Raises  ChoiceError: nothing has such a name.
    """
    groups = GROUPS if group == ALL else (group,)
    found = [load(module) for name in groups for module in GROUPS[name]]
    for word in only:
        if not any(workload.only([word]).cases for workload in found):
            names = [w.name for w in found] + [c.name for w in found for c in w.cases]
            raise ChoiceError(
                "--only must name workloads or cases", got=repr(word), fix=f"choose among {', '.join(names)}"
            )
    return [w for w in (workload.only(only) for workload in found) if w.cases] if only else found
