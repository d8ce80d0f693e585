"""The recorder that a claim receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nlmodel.errors import DomainError
from validation.outcome import Outcome, as_outcome, number
from validation.record import CONTROL, INSTEAD, NOISE, STATED, UNDER, Control, Drawing, Headline, Record, Witness
from validation.registry import Claim
from validation.scope import Scope


if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Ledger(Scope):
    """The recorder. Evidence written on the ledger itself counts for the claim as stated.

    Attributes
    ----------
    claim : the claim under examination.
    quick : True when fewer examples and smaller sizes are wanted.
    rng : NumPy generator, seeded from the id of the claim.
    control : scope of wrong twins, written with the same methods; each must fail.
    record : what has been written.
    """

    def __init__(self, claim: Claim, *, quick: bool = False):
        super().__init__(self, STATED)
        self.claim, self.quick, self.rng, self.record = claim, quick, claim.rng(), Record()
        self.control = Scope(self, CONTROL)

    def under(self, assumption: str) -> Scope:
        """The claim under a named assumption that it does not state."""
        return Scope(self, UNDER, assumption)

    def instead(self, statement: str) -> Scope:
        """What is true in place of a claim that is refuted."""
        return Scope(self, INSTEAD, statement)

    def size(self, full: int, quick: int) -> int:
        """`full`, or `quick` in a quick run, whose headline is then not compared."""
        self.record.size_dependent |= full != quick
        return quick if self.quick else full

    def witness(
        self,
        name: str,
        *,
        satisfies: Mapping[str, Outcome | bool],
        violates: Outcome | bool,
        data: Mapping[str, Any] | None = None,
        controls: Mapping[str, Outcome | bool] | None = None,
        note: str = "",
    ) -> None:
        """A concrete object that satisfies the stated assumptions and violates the statement.

        Parameters
        ----------
        name : what the object is.
        satisfies : for each assumption of the claim, by its words, the condition that must hold.
        violates : what the statement promises of the object; must come out false.
        data : arrays, numbers or strings that make the object, to be saved.
        controls : the same promise, measured on objects that keep it: the detector must stay silent.
        """
        conditions = {words: as_outcome(condition) for words, condition in satisfies.items()}
        self.record.witnesses.append(Witness(name, conditions, as_outcome(violates), dict(data or {}), note))
        for words, condition in (controls or {}).items():
            at = len(self.record.witnesses) - 1
            self.record.controls.append(Control(words, as_outcome(condition), name, at, must="hold"))

    def headline(self, label: str, value: Any, *, rel: float = 1e-6, absolute: float = NOISE) -> None:
        """Choose the number that the tables show and `ledger.toml` pins; without it, the first witness or evidence."""
        self.record.headline = Headline(label, number(value), rel, absolute)

    def figure(self, name: str, make: Callable[[], Figure], caption: str) -> None:
        """A figure for the report, made only when the report is."""
        if not name.replace("-", "").isalnum():
            raise DomainError("a figure name is made of letters, digits and hyphens", got=repr(name))
        self.record.figures.append(Drawing(name, make, caption))
