"""Which of a file's arrays are features, affinities or weights, and why we think so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import check_choice
from nlmodel.audit.readers import Entry
from nlmodel.audit.words import literal
from nlmodel.errors import DtypeError, FileError, NlmodelError, NonFiniteError, ShapeError


ROLES = ("features", "affinity", "weights")
LARGEST_MATRIX = 2000  # positions of an affinity, channels of a weight: a dense eigensolve takes seconds
AUDITS = 12  # of one file
NAMES = {
    "affinity": r"omega|affinit|kernel_?matrix|adjacen|attention|similarit|transition",
    "weights": r"weight|^w\d*$|w_z|w_g|conv",
    "features": r"feature|activation|embedding|^[xzu]$|patches|points|positions",
}
LEFT = re.compile(r"(^|[._/])(w_?z|conv_out|w|out)(?=$|[._/])")  # W_Z in the spellings of common releases
RIGHT = {"w_z": "w_g", "wz": "wg", "conv_out": "g", "w": "g", "out": "g"}


@dataclass(frozen=True)
class Task:
    """One audit to do.

    Attributes
    ----------
    arrays : one array, or the two factors W_Z, W_g of a bottleneck.
    assumed : what the reader should know about how it was read.
    unit : machine epsilon of the precision in which it was stored.
    """

    name: str
    role: str
    arrays: tuple[np.ndarray, ...]
    assumed: tuple[str, ...]
    unit: float = float(np.finfo(np.float64).eps)


def tasks(found: Sequence[Entry], role: str = "auto", keys: Sequence[str] = ()) -> tuple[list[Task], list[str]]:
    """The audits that a file asks for, and notes on what was left out.

    Parameters
    ----------
    found : the arrays of a file.
    role : "features", "affinity", "weights", or "auto" to decide for each by its name, shape and sign.
    keys : names of the arrays to take; all of them when empty.  Two names with role "weights" are a pair W_Z, W_g.

    Raises   FileError: no such name, or nothing to audit.  The error of the array itself when there is only one.
    """
    check_choice(role, "role", (*ROLES, "auto"))
    chosen = _by_name(found, keys)
    work, notes = _pairs(chosen, role, paired=len(keys) == 2 and role == "weights")
    paired = {name for task in work for name in task.name.split(" · ")}
    rest = [entry for entry in chosen if entry.name not in paired]
    for entry in rest:
        try:
            if len(work) < AUDITS:
                work.append(_single(entry, role))
            else:
                notes.append(
                    f"Left out {literal(entry.name)}: one run audits at most {AUDITS} arrays; take it with `--key`."
                )
        except NlmodelError as error:
            if len(chosen) == 1 or keys:
                raise
            notes.append(f"Left out {literal(entry.name)} of shape {entry.shape}: {literal(error.what)}.")
    if not work:
        raise FileError(
            "the file holds nothing to audit",
            got="; ".join(notes)[:400],
            fix="save one matrix: features (positions, channels), an affinity (M, M), or weights (C, C)",
        )
    return work, notes


def _by_name(found: Sequence[Entry], keys: Sequence[str]) -> list[Entry]:
    known = {entry.name: entry for entry in found}
    for key in keys:
        if key not in known:
            raise FileError(
                "no array of this name in the file", got=repr(key), fix=f"pass one of {', '.join(known)[:300]}"
            )
    return [known[key] for key in keys] if keys else list(found)


def _pairs(chosen: Sequence[Entry], role: str, *, paired: bool) -> tuple[list[Task], list[str]]:
    """Bottleneck pairs W_Z (C, r), W_g (r, C): the two named ones, or those whose names say so."""
    if paired:
        return [_pair(*chosen)], []
    if role not in ("weights", "auto"):
        return [], []
    known = {entry.name.lower(): entry for entry in chosen}
    work = []
    for entry in chosen:
        partner = known.get(_partner(entry.name.lower()) or "")
        if partner and len(work) < AUDITS and _matrix_shape(entry)[::-1] == _matrix_shape(partner) != ():
            work.append(_pair(entry, partner))
    return work, []


def _partner(name: str) -> str | None:
    """The name that W_g would have beside a W_Z of this name, in lower case."""
    found = list(LEFT.finditer(name))
    return name[: found[-1].start(2)] + RIGHT[found[-1][2]] + name[found[-1].end(2) :] if found else None


def _pair(left: Entry, right: Entry) -> Task:
    W_Z, W_g = (_matrix(entry, LARGEST_MATRIX) for entry in (left, right))
    if W_Z.shape != W_g.shape[::-1]:
        raise ShapeError(
            "a pair of weights must be W_Z of shape (C, r) and W_g of shape (r, C)",
            got=f"{left.name} {W_Z.shape} and {right.name} {W_g.shape}",
            fix="name W_Z first: --key W_Z --key W_g",
        )
    if W_Z.shape[0] < W_Z.shape[1]:
        left, right, W_Z, W_g = right, left, W_g, W_Z
    names = f"$W_Z$ = {literal(left.name)}, $W_g$ = {literal(right.name)}"
    said = f"Read as a bottleneck $W = W_Z W_g$ with {names}."
    return Task(f"{left.name} · {right.name}", "weights", (W_Z, W_g), (said, *_cast(left)))


def _single(entry: Entry, role: str) -> Task:
    if entry.image:
        if role not in ("auto", "features"):
            raise ShapeError(f"an image holds features, not {role}", got=entry.name, fix="leave out --as")
        return Task(entry.name, "features", (entry.load(),), ())
    values = _matrix(entry, None)
    guessed, reason = (role, "as asked") if role != "auto" else guess(entry.name, values)
    if guessed != "features" and max(values.shape) > LARGEST_MATRIX:
        raise ShapeError(
            f"{entry.name} is too large for a dense eigensolve",
            got=f"shape {values.shape}",
            fix=f"save a block of at most {LARGEST_MATRIX} positions",
        )
    if guessed != "features" and values.shape[0] != values.shape[1]:
        raise ShapeError(
            f"{'an affinity' if guessed == 'affinity' else 'a weight'} must be square",
            got=f"{entry.name} of shape {values.shape}",
            fix="use --as features, or name a pair: --as weights --key W_Z --key W_g",
        )
    others = " or ".join(f"`--as {name}`" for name in ROLES if name != guessed)
    said = f"Read as {guessed} ({reason})" + ("." if role != "auto" else f"; otherwise pass {others}.")
    return Task(entry.name, guessed, (values,), (said, *_cast(entry)), float(np.finfo(entry.dtype).eps))


def guess(name: str, values: np.ndarray) -> tuple[str, str]:
    """A role and the reason for it, from the last part of the name, the shape and the signs."""
    rows, columns = values.shape
    last = [part for part in re.split(r"[./]", name) if part][-1:] or [name]
    named = [role for role, pattern in NAMES.items() if re.search(pattern, last[0], re.IGNORECASE)]
    if rows != columns:
        return "features", f"{rows} rows are positions, {columns} columns are channels"
    if len(named) == 1 and named[0] != "affinity":
        return named[0], f"by its name {literal(last[0])!r}"
    if values.min() >= -1e-3 * max(values.max(), 0.0):
        return "affinity", f"square {rows} x {columns} with {'no' if values.min() >= 0 else 'nearly no'} negative entry"
    if named:
        return named[0], f"by its name {literal(last[0])!r}"
    return "weights", f"square {rows} x {columns} with entries of both signs"


def _matrix_shape(entry: Entry) -> tuple[int, ...]:
    """The shape as a matrix: a 1 x 1 convolution (C, r, 1, 1) is one."""
    shape = entry.shape
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape if len(shape) == 2 else ()


def _matrix(entry: Entry, largest: int | None) -> np.ndarray:
    """The array in double precision, once it is known to be a finite real matrix."""
    if entry.dtype not in ("float16", "float32", "float64", "float128", ">f4", ">f8", ">f2"):
        raise DtypeError(
            f"{entry.name} must be real floating-point numbers",
            got=f"dtype {entry.dtype}",
            why="integers and complex numbers are not cast silently",
            fix="save it as float32 or float64",
        )
    shape = _matrix_shape(entry)
    if not shape:
        raise ShapeError(
            f"{entry.name} must be a matrix",
            got=f"shape {entry.shape}",
            why="rows are positions, columns channels",
            fix="for activations (channels, height, width) save x.reshape(channels, -1).T",
        )
    if 0 in shape or (largest and max(shape) > largest):
        raise ShapeError(f"{entry.name} {'is empty' if 0 in shape else 'is too large'}", got=f"shape {entry.shape}")
    values = entry.load().reshape(shape).astype(np.float64)
    if not np.all(np.isfinite(values)):
        bad = np.argwhere(~np.isfinite(values))
        raise NonFiniteError(
            f"{entry.name} must be finite",
            got=f"{len(bad):,} entries that are NaN or infinite, the first at row {bad[0][0]}, column {bad[0][1]}",
            why="one bad entry reaches every position through the affinity",
            fix="find where it comes from; training that diverged leaves such files",
        )
    return values


def _cast(entry: Entry) -> tuple[str, ...]:
    return () if entry.dtype == "float64" else (f"Stored in {entry.dtype}, analysed in float64.",)
