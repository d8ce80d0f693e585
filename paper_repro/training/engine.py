"""What trains a network: one function for a step of SGD, one for a test batch, and the tensors they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nlmodel.errors import FileError
from paper_repro.config import RunConfig
from paper_repro.data.cifar import Cifar
from paper_repro.data.pipeline import Pipeline
from paper_repro.networks import build
from paper_repro.training.group import ALONE, Group
from paper_repro.training.numerics import autocast


TEST_BATCH = {"cuda": 2000, "cpu": 250}  # a few launches there, what fits into the caches here
Batch: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""Which images, how they are cropped, and which are mirrored: order, top, left, flip."""


class Engine:
    """Network, optimiser and images of one configuration on one device; every step runs as it is called.

    Nothing is read back from the device by a step: sums of loss, errors and images stay in `totals`.  A new seed reuses
    the memory, so that whatever was compiled or captured for the configuration serves all its seeds.
    """

    def __init__(self, config: RunConfig, data: Cifar, device: torch.device, group: Group = ALONE):
        self.config, self.device, self.group = config, device, group
        self.classes, self.images = data.classes, len(data.train_images)
        group.check_batches(self.images, config.batch_size)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network = build_network(config, self.classes, 0).to(device, memory_format=layout)  # pyright: ignore
        self.forward: nn.Module = torch.compile(self.network) if config.compile else self.network  # pyright: ignore
        self.pipeline = Pipeline(
            data,
            preprocessing=config.preprocessing,
            pixel_scale=config.pixel_scale,
            augment=config.augment,
            device=device,
            dtype=torch.float32,
            channels_last=config.channels_last,
        )
        self.lr = torch.zeros((), device=device)
        self.totals = torch.zeros(3, dtype=torch.float64, device=device)
        self.parameters = dict(self.network.named_parameters())
        self.momentum = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            self.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,  # the one that reads a learning rate on the device
        )
        for name, p in self.parameters.items():
            self.optimizer.state[p]["momentum_buffer"] = self.momentum[name]

    # ------------------------------------------------------------------ state

    def reset(self, seed: int) -> None:
        """The weights of a seed, drawn anew into the same memory, and no momentum."""
        fresh = build_network(self.config, self.classes, seed).state_dict()
        for name, tensor in self.tensors().items():
            kind, _, key = name.partition(".")
            tensor.copy_(fresh[key]) if kind == "model" else tensor.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes, by name: weights and running averages, momentum, totals."""
        model = {f"model.{name}": t for name, t in self.network.state_dict().items()}
        return model | {f"momentum.{name}": t for name, t in self.momentum.items()} | {"totals": self.totals}

    def state(self) -> dict[str, Tensor]:
        """Copies of `tensors` on the CPU."""
        return {name: t.detach().to("cpu", copy=True) for name, t in self.tensors().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put a `state` back into the same memory.

        Raises   FileError: it is of another network.
        """
        tensors = self.tensors()
        wanted = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
        given = {name: (tuple(t.shape), t.dtype) if isinstance(t, Tensor) else type(t) for name, t in state.items()}
        if wanted != given:
            differs = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
            raise FileError(
                "the checkpoint must hold the tensors of this network",
                got=f"{len(differs)} that differ, the first {differs[0]}",
                fix="delete the folder of the run, or pass resume=False, to train it from the start",
            )
        for name, tensor in tensors.items():
            tensor.copy_(state[name])

    # ------------------------------------------------------------------ work

    def batches(self, epoch: int, seed: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `first` on; each is a function of (seed, epoch, step)."""
        plan, size = self.pipeline.plan(epoch=epoch, seed=seed), self.config.batch_size
        for start in range(first * size, self.images, size):
            part = slice(start, start + size)
            yield plan.order[part], plan.top[part], plan.left[part], plan.flip[part]

    def train_step(self, batch: Batch, lr: float) -> None:
        """One step of SGD."""
        self.lr.fill_(lr)
        self._do(self._train, *batch)

    def evaluate(self) -> tuple[float, float]:
        """Mean loss, and error in percent, over the test images."""
        kept = self.totals.clone()
        self.totals.zero_()
        for x, y in self.pipeline.test_batches(TEST_BATCH[self.device.type]):
            self._do(self._test, x, y)
        loss, error = self.read()
        self.totals.copy_(kept)
        return loss, error

    def read(self) -> tuple[float, float]:
        """Mean loss and error in percent of what `totals` has summed; waits for the device."""
        loss, wrong, count = self.totals.tolist()
        return (loss / count, 100 * wrong / count) if count else (0.0, 0.0)

    def finish_epoch(self) -> None:
        """Bring sums and running averages of all processes together."""
        self.group.sum([self.totals])
        self.group.mean([b for b in self.network.buffers() if b.is_floating_point()])

    def _do(self, function: Callable[..., None], *tensors: Tensor) -> None:
        function(*tensors)

    def _train(self, order: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> None:
        self.network.train()
        x, y = self.pipeline.gather(*map(self.group.share, (order, top, left, flip)))
        with autocast(self.config.precision, self.device):
            scores = self.forward(x)
        loss = F.cross_entropy(scores.float(), y, reduction="sum")
        self.optimizer.zero_grad()
        (loss / len(order)).backward()
        self.group.sum([p.grad for p in self.parameters.values() if p.grad is not None])
        self.optimizer.step()
        self._count(scores, y, loss)

    def _test(self, x: Tensor, y: Tensor) -> None:
        self.network.eval()
        with torch.no_grad():
            with autocast(self.config.precision, self.device):
                scores = self.forward(x)
            self._count(scores, y, F.cross_entropy(scores.float(), y, reduction="sum"))

    def _count(self, scores: Tensor, y: Tensor, loss: Tensor) -> None:
        wrong = (scores.detach().argmax(1) != y).sum()
        self.totals[0] += loss.detach().double()
        self.totals[1] += wrong
        self.totals[2] += len(y)


def build_network(config: RunConfig, classes: int, seed: int) -> nn.Module:
    """The network with the weights of a seed; they are drawn on the CPU and do not depend on the device."""
    return build(config, classes=classes, generator=torch.Generator().manual_seed(seed))
