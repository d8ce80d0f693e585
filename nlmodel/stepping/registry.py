"""Every method by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nlmodel._arrays import check_choice
from nlmodel.errors import ChoiceError
from nlmodel.stepping.crank_nicolson import CrankNicolson
from nlmodel.stepping.exponential import Exponential
from nlmodel.stepping.forward_euler import ForwardEuler
from nlmodel.stepping.imex import IMEX
from nlmodel.stepping.implicit_euler import ImplicitEuler
from nlmodel.stepping.method import Method
from nlmodel.stepping.rk2 import RK2
from nlmodel.stepping.rk4 import RK4
from nlmodel.stepping.super_time_stepping import SuperTimeStepping


METHODS: Mapping[str, type[Method]] = {
    method.name: method
    for method in (
        ForwardEuler,
        RK2,
        RK4,
        SuperTimeStepping,
        Exponential,
        ImplicitEuler,
        CrankNicolson,
        IMEX,
    )
}


def make_method(name: str, *, reaction: bool, **options: Any) -> Method:
    """The method `name` with those `options` that are not None, after checking that it takes them.

    Raises  ChoiceError: no such method; an option that it does not have; a reaction where it takes none,
            or none where it needs one.
    """
    kind = METHODS[check_choice(name, "method", METHODS)]
    given = {key: value for key, value in options.items() if value is not None}
    known = [field.name for field in fields(kind)]
    for key, value in given.items():
        if key not in known:
            takers = [other for other, cls in METHODS.items() if key in [field.name for field in fields(cls)]]
            raise ChoiceError(
                f"method {name!r} has no option {key}",
                got=f"{key}={value!r}",
                why=f"{key} belongs to {', '.join(map(repr, takers))}",
            )
    if reaction and kind.reaction == "refused":
        raise ChoiceError(
            f"method {name!r} takes no reaction",
            got="a reaction",
            why="it steps the linear part alone",
            fix='method="imex", or an explicit method such as "rk4"',
        )
    if not reaction and kind.reaction == "required":
        raise ChoiceError(f"method {name!r} needs a reaction", got="None", fix='method="implicit_euler"')
    return kind(**given)
