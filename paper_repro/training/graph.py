"""Whole steps as CUDA graphs: captured once for each batch size, replayed for every step and every seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from paper_repro.config import RunConfig
from paper_repro.data.cifar import Cifar
from paper_repro.training.engine import Engine
from paper_repro.training.group import ALONE, Group


WARM_UP = 3  # runs before a capture: libraries choose algorithms and allocate on first use


class Replay(Protocol):
    """A captured call."""

    def replay(self) -> None: ...


@dataclass(frozen=True)
class Captured:
    """A call on fixed memory: fill the `inputs`, then replay."""

    inputs: tuple[Tensor, ...]
    graph: Replay


class GraphEngine(Engine):
    """An engine whose steps are replayed from graphs: crop, forward, backward, SGD and the sums, or a test batch.

    The learning rate and the indices of the batch are read from the device, so that one capture serves every step,
    epoch and seed.  The tensors of the engine must stay where they are: they are only ever written in place.
    """

    def __init__(self, config: RunConfig, data: Cifar, device: torch.device, group: Group = ALONE):
        super().__init__(config, data, device, group)
        self._graphs: dict[tuple[str, int], Captured] = {}

    def _do(self, function: Callable[..., None], *tensors: Tensor) -> None:
        key = function.__name__, len(tensors[0])
        if key not in self._graphs:
            self._graphs[key] = self._captured(function, tensors)
        call = self._graphs[key]
        for fixed, given in zip(call.inputs, tensors, strict=True):
            fixed.copy_(given)
        call.graph.replay()

    def _captured(self, function: Callable[..., None], tensors: tuple[Tensor, ...]) -> Captured:
        """Capture a call; what the runs before it changed is put back."""
        inputs = tuple(t.clone() for t in tensors)
        before = {name: t.detach().clone() for name, t in self.tensors().items()}
        graph = self._capture(lambda: function(*inputs))
        self.load(before)
        return Captured(inputs, graph)

    def _capture(self, call: Callable[[], None]) -> Replay:
        current, side = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                call()
        current.wait_stream(side)
        self.optimizer.zero_grad()  # so that gradients are allocated in the graph's own memory
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph
