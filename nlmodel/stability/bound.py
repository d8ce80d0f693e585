"""The answer of every step-size question: a number, and why it is that number."""

from __future__ import annotations

from dataclasses import dataclass


ROUNDING = 1e-10  # relative: a step beyond its bound by less than this counts as within


@dataclass(frozen=True, repr=False)
class StepBound:
    """Largest stable step of Z <- Z + tau L Z W^T, with its reason.

    Attributes
    ----------
    value : the bound, a float in [0, inf]; every tau in [0, value] is stable.
    reason : one sentence with the numbers that decide.
    sharp : True when a step beyond `value` (by more than rounding) breaks the criterion; False when `value` is a
        safe lower bound of the true limit only.
    norm : the criterion, "spectral", "energy" or "max".
    method : how the spectrum of L was found: "exact", "lanczos", "gershgorin", "entries" or "family".
    critical : the pair (mu, s) of eigenvalues of W and -L that decides, or None.
    """

    value: float
    reason: str
    sharp: bool
    norm: str
    method: str
    critical: tuple[complex, complex] | None = None

    def __float__(self) -> float:
        return self.value

    def allows(self, step: float) -> bool:
        """Whether `step` is within the bound, up to rounding: step <= value (1 + 1e-10)."""
        return step <= self.value * (1 + ROUNDING)

    def __repr__(self) -> str:
        kind = "sharp" if self.sharp else "safe"
        return f"StepBound({self.value:.6g}, {self.norm}, {kind}, {self.method}: {self.reason})"


def number(z: complex) -> str:
    """A real or complex number in six digits, without an imaginary part that is zero."""
    z = complex(z)
    return f"{z.real:.6g}" if z.imag == 0 else f"{z.real:.6g}{z.imag:+.6g}i"
