"""The pre-activation ResNet for 32 x 32 images (He et al. 2016, sec. 3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paper_repro.networks.units import LAYERS_PER_ROUND, UNITS


WIDTHS = (16, 32, 64)


class PreResNet(nn.Module):
    """A convolution, three stages of n units on maps of 32, 16 and 8, norm, mean over positions, linear classifier.

    Parameters
    ----------
    depth : 9n + 2 with "bottleneck" units, 6n + 2 with "basic" ones.
    after : nonlocal modules by the number of the unit they follow, counted from 1 over all stages.

    Attributes
    ----------
    stem, stage1, stage2, stage3 : the parts whose outputs are feature maps; unit k of a stage is "unit{k}" and what
        follows it "nonlocal{k}", k counted over all stages.
    """

    def __init__(
        self,
        depth: int,
        unit: str,
        classes: int,
        *,
        stride_at: str = "3x3",
        shortcut: str = "raw",
        after: Mapping[int, nn.Module] | None = None,
    ):
        super().__init__()
        kind, n = UNITS[unit], (depth - 2) // LAYERS_PER_ROUND[unit]
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        channels, number = WIDTHS[0], 0
        for stage, width in enumerate(WIDTHS, start=1):
            parts: OrderedDict[str, nn.Module] = OrderedDict()
            for first in [True] + [False] * (n - 1):
                number += 1
                stride = 2 if first and stage > 1 else 1
                parts[f"unit{number}"] = kind(
                    channels, width, stride, preactivated=shortcut == "preactivated", stride_at=stride_at
                )
                channels = width * kind.expansion
                if after and number in after:
                    parts[f"nonlocal{number}"] = after[number]
            self.add_module(f"stage{stage}", nn.Sequential(parts))
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, classes) logits."""
        for name in ("stem", "stage1", "stage2", "stage3"):
            x = self.get_submodule(name)(x)
        return self.classifier(torch.relu_(self.norm(x)).mean((-2, -1)))
