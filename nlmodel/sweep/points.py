"""Points of a parameter study, and how a value is written so that it is found again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, TypeAlias

from nlmodel.errors import DomainError, DtypeError, NonFiniteError


Value: TypeAlias = bool | int | float | str
Point: TypeAlias = dict[str, Value]

TAKEN = ("function", "error")  # columns of every table
KINDS = (bool, int, float, str)


def grid(**parameters: Iterable[Any]) -> list[Point]:
    """All combinations of the values, the last parameter varying fastest.

    grid(M=[100, 1000], scale=[0.1, 0.2])
    """
    for name, values in parameters.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise DtypeError(f"the values of {name} must be a sequence", got=repr(values), fix=f"{name}=[{values!r}]")
    return checked_points(dict(zip(parameters, values, strict=True)) for values in product(*parameters.values()))


def checked_points(points: Any) -> list[Point]:
    """The points with plain values; all with the same names, each name with values of one type, none twice."""
    if isinstance(points, Mapping):
        return grid(**points)
    if isinstance(points, str) or not isinstance(points, Iterable):
        raise DtypeError("the points must be a grid or a sequence of mappings", got=repr(points))
    found = [_checked_point(point) for point in points]
    if not found or not found[0]:
        raise DomainError("a study needs a point", got="none" if not found else "a point without parameters")
    for point in found:
        if list(point) != list(found[0]):
            raise DomainError(
                "all points must have the same parameters in the same order",
                got=f"{list(found[0])} and {list(point)}",
                why="they are the columns of the table",
            )
        for name, value in point.items():
            if type(value) is not type(found[0][name]):
                raise DtypeError(
                    f"the values of {name} must be of one type",
                    got=f"{found[0][name]!r} and {value!r}",
                    why="they are a column of the table, and 1 would not be found again as 1.0",
                )
    if len({key(point) for point in found}) < len(found):
        raise DomainError("the points must differ", got="one of them twice")
    return found


def key(point: Mapping[str, Value]) -> tuple[str, ...]:
    """The values as they are written."""
    return tuple(written(value) for value in point.values())


def written(value: object) -> str:
    """A value as a cell: numbers by the shortest text that reads back as the same, nothing for None."""
    return "" if value is None else str(value)


def plain(value: object, name: str) -> Any:
    """`value` as a bool, int, float or str; a scalar of NumPy or of torch, which hold no more, as the one it equals."""
    item = getattr(value, "item", None)
    if item is not None and getattr(value, "ndim", None) == 0 and type(value) not in KINDS:
        value = item()
    for kind in KINDS:
        if isinstance(value, kind):
            return kind(value)
    raise DtypeError(
        f"{name} must be a number, a truth value or a string",
        got=f"{type(value).__name__} {value!r}",
        why="it becomes a cell of a table",
        fix="give each number a name of its own, and save arrays in files",
    )


def _checked_point(point: Any) -> Point:
    if not isinstance(point, Mapping):
        raise DtypeError("a point must be a mapping from names to values", got=repr(point))
    found: Point = {}
    for name, value in point.items():
        check_name(name)
        found[name] = parameter = plain(value, name)
        if isinstance(parameter, float) and math.isnan(parameter):
            raise NonFiniteError(f"{name} must not be NaN", got="nan", why="it would not be found again in the table")
    return found


def check_name(name: object) -> str:
    """Return `name` when it can be a column."""
    if not isinstance(name, str) or not name or name in TAKEN:
        raise DomainError(f"a name must be a non-empty string other than {' and '.join(TAKEN)}", got=repr(name))
    return name
