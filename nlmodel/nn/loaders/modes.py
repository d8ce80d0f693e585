"""What a state dict does not tell, and what it contradicts."""

from __future__ import annotations

from nlmodel._arrays import check_choice
from nlmodel.errors import ChoiceError
from nlmodel.nn.choices import AFFINITIES


def mode_of(given: str | None, *, theta: bool, concat: bool) -> str:
    """The affinity, from what was said and which weights there are."""
    told = "concatenation" if concat else None if theta else "gaussian"
    if given is None:
        if told is None:
            raise ChoiceError(
                "mode must be told",
                got="weights of an embedded Gaussian or of a dot product",
                why="both have the same weights",
                fix='pass mode="embedded_gaussian" or mode="dot_product"',
            )
        return told
    check_choice(given, "mode", AFFINITIES)
    if given != told and (told is not None or given in ("gaussian", "concatenation")):
        raise ChoiceError(
            "mode must fit the weights",
            got=f"mode={given!r} with weights of {told or 'an embedded Gaussian or a dot product'}",
        )
    return given


def needed(value: bool | None, name: str) -> bool:
    """`value`, which must have been said."""
    if not isinstance(value, bool):
        raise ChoiceError(
            f"{name} must be told",
            got=repr(value),
            why="a state_dict does not say it, and the output depends on it",
            fix=f"pass {name}=True or {name}=False",
        )
    return value
