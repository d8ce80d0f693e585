"""What the cost of a block or a stage depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What the cost depends on.

    Attributes
    ----------
    batch, receivers, senders : B images, M and N positions.
    compared, averaged : D features that the kernel compares, r that are averaged.
    times : n, how often the affinity is applied.
    channels : C.
    layers : operations of the 1x1 convolutions.
    moments : operations of the whole block from second moments, where that exists.
    held : matrices of how many images are held together by algorithms that take a few at a time.
    rows : how many of their rows, where not all.
    """

    batch: int
    receivers: int
    senders: int
    compared: int
    averaged: int
    times: int = 1
    channels: int = 0
    layers: int = 0
    moments: int = 0
    held: int = 1
    rows: int = 0

    @property
    def entries(self) -> int:
        """Entries of all M x N matrices."""
        return self.batch * self.receivers * self.senders

    @property
    def features(self) -> int:
        """Entries of both sides, of the averaged features and of the averages."""
        M, N = self.receivers, self.senders
        return self.batch * ((M + N) * self.compared + self.times * (M + N) * self.averaged)
