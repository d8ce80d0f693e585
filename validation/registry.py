"""Claims as values, the sections they belong to, and how they are found."""

from __future__ import annotations

import importlib
import pkgutil
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np

from nlmodel.errors import ChoiceError, DomainError


if TYPE_CHECKING:
    from validation.ledger import Ledger


@dataclass(frozen=True)
class Section:
    """A section of the paper ("4.1"), or an appendix for what goes beyond it ("A")."""

    number: str
    title: str
    intro: str = ""


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the function that examines it.

    Parameters
    ----------
    id : "C6", "S-1", "P3", "4.12".
    section : where the claim stands.
    paper : source, with equation numbers.
    title : a few words, for tables.
    statement : the claim in the paper's words; prose with $latex$.
    formula : its equation in LaTeX.
    assumptions : what the claim assumes, as stated; a witness must show each of them.
    proof : short proof or derivation; prose with $latex$.
    examine : function of a `Ledger` that records evidence, witnesses and controls.
    """

    id: str
    section: Section
    paper: str
    title: str
    statement: str
    formula: str
    assumptions: tuple[str, ...]
    proof: str
    examine: Callable[[Ledger], None] = field(repr=False)

    @property
    def seed(self) -> int:
        """The same number on every machine, from the id alone."""
        return zlib.crc32(self.id.encode())

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed))


def claim(
    id: str,
    *,
    section: Section,
    paper: str,
    title: str,
    statement: str,
    formula: str = "",
    assumptions: Iterable[str] = (),
    proof: str = "",
) -> Callable[[Callable[[Ledger], None]], Claim]:
    """Turn a function of a ledger into a `Claim`."""
    if not re.fullmatch(r"[A-Z]-?\d+|\d+\.\d+", id):
        raise DomainError("a claim id looks like C6, S-1, P3 or 4.12", got=repr(id))
    if isinstance(assumptions, str):
        raise DomainError("assumptions must be a tuple of strings", got=repr(assumptions))

    def wrap(examine: Callable[[Ledger], None]) -> Claim:
        return Claim(id, section, paper, title, dedent(statement), formula, tuple(assumptions), dedent(proof), examine)

    return wrap


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key: C2 before C10, 4.3 before 4.12, letters C, S, P in this order before plain numbers."""
    order = {"C": 0, "S": 1, "P": 2}
    parts = re.findall(r"\d+|[A-Za-z]+", text)
    if not parts[0].isdigit():
        head: tuple[int, int, str] = (order.get(parts[0], 3), 0, parts[0])
    else:
        head = (4, int(parts[0]), "")
    return (head, *((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts[1:]))


def section_key(section: Section) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a section: numbers before letters."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in section.number.split("."))


def collect(namespaces: Iterable[dict[str, object]]) -> dict[str, Claim]:
    """The claims among the values of `namespaces`, by id in natural order."""
    found: dict[str, Claim] = {}
    for namespace in namespaces:
        for value in namespace.values():
            if isinstance(value, Claim) and found.setdefault(value.id, value) is not value:
                raise DomainError(f"two claims have the id {value.id}", got=value.title)
    titles: dict[str, str] = {}
    for value in found.values():
        if titles.setdefault(value.section.number, value.section.title) != value.section.title:
            raise DomainError(
                f"section {value.section.number} has two titles",
                got=f"{titles[value.section.number]!r} and {value.section.title!r}",
            )
    return dict(sorted(found.items(), key=lambda item: natural(item[0])))


def discover() -> dict[str, Claim]:
    """Every claim of `validation.claims`, by id in natural order; `DomainError` when a module cannot be imported."""
    claims, unreadable = explore()
    if unreadable:
        raise DomainError("a module of claims cannot be imported", got="; ".join(unreadable))
    return claims


def explore(package: str = "validation.claims") -> tuple[dict[str, Claim], list[str]]:
    """The claims of the modules that can be imported, and one sentence for each module that cannot."""
    namespaces, unreadable = [], []
    for module in sorted(pkgutil.iter_modules(importlib.import_module(package).__path__), key=lambda found: found.name):
        try:
            namespaces.append(vars(importlib.import_module(f"{package}.{module.name}")))
        except Exception as error:  # an unfinished module may raise anything
            unreadable.append(f"{package}.{module.name} cannot be imported: {type(error).__name__}: {error}")
    return collect(namespaces), unreadable


def select(claims: dict[str, Claim], ids: Iterable[str]) -> dict[str, Claim]:
    """The claims with the given ids; `ChoiceError` listing the valid ones."""
    wanted = list(ids)
    for id in wanted:
        if id not in claims:
            raise ChoiceError("there is no such claim", got=repr(id), fix=f"one of {', '.join(claims)}")
    return {id: claims[id] for id in claims if id in wanted}
