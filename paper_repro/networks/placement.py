"""Behind which residual units the nonlocal blocks stand."""

from __future__ import annotations

from nlmodel.errors import DomainError
from paper_repro.config import RunConfig
from paper_repro.networks.preresnet import WIDTHS
from paper_repro.networks.units import LAYERS_PER_ROUND, UNITS


SAME_PLACE = 2  # Tao et al. 2018, sec. 3: "right after the second residual block"


def places(config: RunConfig) -> dict[int, int]:
    """Number of blocks by the unit they follow, counted from 1 over all stages.

    "same": all behind the second unit.  "different": spread evenly, the last behind the last unit, so that three
    blocks end the three stages.

    Raises   DomainError: more blocks at different places than units.
    """
    if config.blocks == 0:
        return {}
    if config.places == "same":
        return {SAME_PLACE: config.blocks}
    units = len(WIDTHS) * ((config.depth - 2) // LAYERS_PER_ROUND[config.unit])
    if config.blocks > units:
        raise DomainError(
            "there must be a unit for each block at a different place",
            got=f"{config.blocks} blocks, {units} units in depth {config.depth}",
        )
    return {k * units // config.blocks: 1 for k in range(1, config.blocks + 1)}


def channels_after(config: RunConfig, unit: int) -> int:
    """Channels of the output of a unit, counted from 1 over all stages."""
    per_stage = (config.depth - 2) // LAYERS_PER_ROUND[config.unit]
    return WIDTHS[(unit - 1) // per_stage] * UNITS[config.unit].expansion
