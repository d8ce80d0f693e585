"""What a kernel claims about itself: the laws that hold on every finite set of points."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel.errors import DomainError, DtypeError


@dataclass(frozen=True)
class Declared:
    """Laws of a kernel: True proven, False refuted by some finite set of points, None unknown.

        strictly positive definite  =>  positive semidefinite  =>  symmetric

    is filled in along both directions, and a declaration that contradicts it raises `DomainError`.

    Parameters
    ----------
    symmetric : omega(x, y) = omega(y, x).
    nonnegative : omega(x, y) >= 0.
    positive_definite : the Gram matrix of every finite set of points is symmetric positive semidefinite.
    strictly_positive_definite : it is moreover nonsingular when the points are distinct.
    """

    symmetric: bool | None = None
    nonnegative: bool | None = None
    positive_definite: bool | None = None
    strictly_positive_definite: bool | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not isinstance(value, bool):
                raise DtypeError(f"{name} must be True, False or None (unknown)", got=repr(value))
        chain = ("strictly_positive_definite", "positive_definite", "symmetric")
        for strong, weak in ((chain[0], chain[1]), (chain[1], chain[2])):
            self._imply(strong, True, weak)
        for strong, weak in ((chain[1], chain[2]), (chain[0], chain[1])):
            self._imply(weak, False, strong)

    def _imply(self, premise: str, value: bool, conclusion: str) -> None:
        if getattr(self, premise) is not value:
            return
        if getattr(self, conclusion) is not None and getattr(self, conclusion) is not value:
            raise DomainError(
                f"{premise}={value} implies {conclusion}={value}",
                got=f"{conclusion}={not value}",
                why="strictly positive definite implies positive semidefinite implies symmetric",
                fix="declare None for what you do not know",
            )
        object.__setattr__(self, conclusion, value)
