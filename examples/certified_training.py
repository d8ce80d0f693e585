"""Does a certified stage stay certified, whatever an optimiser does?  usage: certified_training.py [STEPS]

Adam moves the weights along random gradients with a drift outwards.  After each step the certificate is found anew, for
a new random input; the same stage without the parametrisation takes the same steps.
"""

import copy
import sys

import torch

import nlmodel as nl


STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
KINDS = {
    "contraction": {"tie": "psd", "symmetric": True},
    "averaging": {"tie": "psd", "symmetric": False},
    "disc": {"tie": None, "symmetric": True},
}


def holds(stage: nl.nn.NonlocalStage, kind: str, x: torch.Tensor) -> bool:
    """What this kind of certificate promises, for this input."""
    certificate = stage.certificate(x)
    if kind == "averaging":  # the maximum principle of each sub-block
        return all(block.maximum.allows(1.0) for block in certificate.blocks)
    return certificate.verdict == "contractive"


def broken(stage: nl.nn.NonlocalStage, kind: str) -> list[int]:
    """The steps after which the certificate does not hold."""
    g = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(stage.parameters(), lr=0.01)
    found = []
    for step in range(1, STEPS + 1):
        for weight in stage.parameters():
            weight.grad = torch.randn(weight.shape, generator=g) + 0.3
        optimiser.step()
        if not holds(stage, kind, torch.randn(4, 6, generator=g)):
            found.append(step)
    return found


print(f"{STEPS} optimiser steps; steps after which the certificate does not hold:")
for kind, form in KINDS.items():
    torch.manual_seed(0)
    free = nl.nn.NonlocalStage(4, 2, inner=3, dimension=1, scale=True, w_init=0.1, **form)
    kept, lost = (broken(stage, kind) for stage in (nl.nn.certified(copy.deepcopy(free), kind), free))
    first = f", first at step {lost[0]}" if lost else ""
    print(f"  {kind:12} certified: {len(kept):5}   free twin: {len(lost):5}{first}")
