"""What is certified of a stage: the verdict, the numbers behind it, and both in words."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel.stability.bound import number
from nlmodel.stability.modes import Amplification
from nlmodel.stability.sub_block import SubBlock


MEANING = {
    "contractive": "No field grows, not even within the stage.",
    "stable": "No field leaves a pass larger than it came, but one may grow on the way.",
    "transient_growth": "A field may leave a pass larger than it came; repeated passes stay bounded.",
    "unstable": "Repeated passes grow without bound.",
}


@dataclass(frozen=True, repr=False)
class Certificate:
    """The stability of a stage of sub-blocks, see `certify`.

    Attributes
    ----------
    verdict : "contractive", "stable", "transient_growth" or "unstable".
    norm, norm_lower : upper and lower bound of the operator norm of one pass; equal when `exact`.
    transient : largest norm at the end of any sub-block, or an upper bound of it; at least 1.
    exact : whether `norm` and `transient` are the operator norms themselves.
    measure : "energy", the norm of the operator's measure, or "euclidean" when none is known.
    radius : largest spectral radius over the modes, the growth rate of repeated passes.
    kreiss : largest Kreiss constant Kr of the modes of the stage: Kr <= sup_n ||P^n|| <= e C Kr for repeated passes.
        Looked at are modes on the unit circle and those of the largest norm, 4 (C >= 18) to 64 of them.
    unstable_product : every sub-block alone is spectrally stable, their product is not.
    maximum_principle : every coordinate in an eigenbasis common to the weights stays between its extremes.
    modes : amplification of every mode looked at.
    blocks : one `SubBlock` for each weight.
    """

    verdict: str
    norm: float
    norm_lower: float
    transient: float
    exact: bool
    measure: str
    radius: float
    kreiss: float
    unstable_product: bool
    maximum_principle: bool
    modes: Amplification
    blocks: tuple[SubBlock, ...]

    def __repr__(self) -> str:
        return (
            f"Certificate({self.verdict}: {len(self.blocks)} sub-blocks, {self.measure} norm {self.norm:.6g}, "
            f"spectral radius {self.radius:.6g}, within the stage {self.transient:.6g})"
        )

    def explain(self) -> str:
        """The findings in a few lines of plain words."""
        modes, N = self.modes, len(self.blocks)
        norm = f"{self.norm:.6g}" if self.exact else f"between {self.norm_lower:.6g} and {self.norm:.6g}"
        stage = f"{N} sub-block{'s' * (N > 1)} on {modes.weights[0].channels} channels"
        lines = [
            f"{stage}: {self.verdict}. {MEANING[self.verdict]}",
            f"one pass: {self.measure} norm {norm}, worst mode s = {number(modes.s[modes.worst])};"
            f" within the stage at most {self.transient:.6g}",
            f"repeated passes: spectral radius {self.radius:.6g}, largest Kreiss constant of a mode {self.kreiss:.6g}",
        ]
        if self.unstable_product:
            lines.append("every sub-block alone is spectrally stable, their product is not: no norm contracts them all")
        if self.maximum_principle:
            lines.append("maximum principle: each coordinate in the weights' eigenbasis stays between its extremes")
        for n, block in enumerate(self.blocks):
            lines.append(f"sub-block {n}: norm {block.norm:.6g}, Kreiss constant {block.kreiss:.6g}")
            for bound in filter(None, (block.spectral, block.energy, block.maximum)):
                outcome = "holds" if bound.allows(1.0) else "fails" if bound.sharp else "not shown"
                lines.append(f"  {bound.norm}: {outcome}, step limit {bound.value:.6g}: {bound.reason}")
        return "\n".join(lines)
