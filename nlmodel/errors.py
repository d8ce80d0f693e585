"""The errors a user can meet: each says what, what was given, why it matters and what to do."""

from __future__ import annotations

from typing import Any


class NlmodelError(Exception):
    """Base of every error that nlmodel raises on purpose.

    Parameters
    ----------
    what : the rule that was broken, in one sentence.
    got : what was given instead.
    why : why it matters.
    fix : what to do.
    """

    def __init__(self, what: str, *, got: object = None, why: str | None = None, fix: str | None = None):
        self.what, self.got, self.why, self.fix = what, got, why, fix
        lines = [what if got is None else f"{what}: got {got}"]
        lines += [f"  why: {why}"] if why else []
        lines += [f"  fix: {fix}"] if fix else []
        super().__init__("\n".join(lines))


class ShapeError(NlmodelError, ValueError):
    """An array has the wrong number of dimensions, or two arrays do not fit together."""


class DtypeError(NlmodelError, TypeError):
    """Not an array, a wrong element type, or arrays of different libraries or precisions."""


class NonFiniteError(NlmodelError, ValueError):
    """NaN or infinity where a finite number is needed."""


class DomainError(NlmodelError, ValueError):
    """A number or an array outside the set on which the definition makes sense."""


class ChoiceError(NlmodelError, ValueError):
    """A name that is not one of the valid ones."""


class NormalizationError(DomainError):
    """A row sum that vanishes or is negative, so that no normalisation exists."""


class NotReversibleError(DomainError):
    """No measure is known in which the operator is self-adjoint."""


class UnstableStepError(NlmodelError, ArithmeticError):
    """A time step beyond the stability bound of its method; `trajectory` is the run until then, if it had begun."""

    trajectory: Any = None


class BlowUpError(NlmodelError, ArithmeticError):
    """A run whose state is no longer finite or has outgrown its limit; `trajectory` is the run until then."""

    trajectory: Any = None


class UnstableStepWarning(UserWarning):
    """The same finding, when the caller asked for a warning instead of an error."""


class ConvergenceError(NlmodelError, ArithmeticError):
    """An iteration that stopped before it reached its tolerance."""


class FileError(NlmodelError, OSError):
    """A file that cannot be read, or does not hold what it should."""


class MissingPackageError(NlmodelError, ImportError):
    """An optional package that the called function needs."""


class ProcessError(NlmodelError, RuntimeError):
    """Another process of a distributed run that failed, ended, or no longer answers."""
