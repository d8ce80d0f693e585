"""W8: a training step of the pre-activation ResNet-20 of the CIFAR experiments, 128 images of 32 x 32."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.apart import apart
from benchmarks.case import TRAINING, Built, Call, Case, Contestant, Setting
from benchmarks.figures import timed
from benchmarks.peers import preresnet
from benchmarks.torch_calls import data, ready
from benchmarks.workload import Workload
from benchmarks.workloads.block import no_bf16_units
from paper_repro.config import RunConfig
from paper_repro.data.synthetic import synthetic
from paper_repro.networks import build
from paper_repro.training import Engine
from paper_repro.training.engine import Batch
from paper_repro.training.memory import kept_memory
from paper_repro.training.numerics import numerics


BATCH, CLASSES, RATE = 128, 10, 0.01
DATA_SHARE = 0.03  # of a step, at most, for cropping, mirroring and normalising its images


@dataclass(frozen=True)
class Images:
    """A batch, and the network of the experiments whose weights all contestants start from."""

    x: Tensor
    y: Tensor
    net: nn.Module

    @classmethod
    def of(cls, setting: Setting) -> Images:
        """The same numbers for the same setting."""
        count = 8 if setting.quick else setting.images or BATCH
        y = torch.arange(count, device=setting.device) % CLASSES
        net = build(RunConfig(), classes=CLASSES, generator=torch.Generator().manual_seed(0))
        return cls(data(setting, count, 3, 32, 32), y, ready(net, setting))

    def values(self, net: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        """Logits, and the gradient of the loss in double precision.

        In single precision a ReLU within rounding of its kink may switch, and the gradient jumps.
        """
        exact = copy.deepcopy(net).double()
        loss = F.cross_entropy(exact(x.double()), self.y)
        found = torch.autograd.grad(loss, list(exact.parameters()))
        return {"logits": net(x).detach(), "gradient of the weights": torch.cat([d.flatten() for d in found])}


def engine_of(images: Images, precision: str) -> tuple[Engine, Batch]:
    """The engine of the experiments on a set of one batch, and this batch."""
    count = len(images.y)
    config = RunConfig(dataset="synthetic", batch_size=count, precision=precision)
    engine = Engine(config, synthetic(train=max(count, CLASSES), test=CLASSES), images.x.device)
    return engine, next(engine.batches(0, 0))


@contextmanager
def trained(setting: Setting, precision: str) -> Iterator[Call]:
    """A step of the experiments in a process that is set up as `paper_repro.training.train` does it."""
    with numerics(precision, torch.device(setting.device)), kept_memory():
        yield step_of(setting, precision)


def step_of(setting: Setting, precision: str) -> Call:
    """A step of the experiments, which crops, mirrors and normalises its images too."""
    engine, batch = engine_of(Images.of(setting), precision)
    return lambda: engine.train_step(batch, RATE)


def ours(setting: Setting, precision: str = "float32") -> Built:
    """The step of the experiments; on a CPU in a process of its own, since it changes how a process keeps memory."""
    images = Images.of(setting)
    on_cpu = setting.device == "cpu"
    step = apart(partial(trained, setting, precision)) if on_cpu else step_of(setting, precision)
    return Built({TRAINING: step}, partial(images.values, *last(images.net, images.x)))


def images_alone(setting: Setting) -> Built:
    """That part of a step which is the images."""
    engine, batch = engine_of(Images.of(setting), "float32")
    return Built({TRAINING: lambda: engine.pipeline.gather(*batch)}, dict)


def plain(setting: Setting, channels_last: bool = False) -> Built:
    """The same network written down plainly, its parameters in the same order."""
    images, net = Images.of(setting), ready(preresnet.PreResNet(), setting)
    with torch.no_grad():
        for mine, other in zip(net.parameters(), images.net.parameters(), strict=True):
            mine.copy_(other)
    net, x = last(net, images.x) if channels_last else (net, images.x)
    return Built({TRAINING: preresnet.training_step(net, x, images.y, RATE)}, partial(images.values, net, x))


def last(net: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
    """Network and images with the channels of a pixel side by side."""
    return net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


STEP, BF16 = "W8 training step", "W8 training step, bfloat16"
ABOUT = f"PreResNet-20, bottleneck units, batch {BATCH}, 32 x 32 images, SGD with momentum"
PLAIN, ALONE = Contestant("plain torch", plain), "ours, images alone"
CASES = (
    Case(STEP, f"{ABOUT}, float32", (
        Contestant("ours", ours, same_as="plain torch"),
        PLAIN,
        Contestant("plain, channels last", partial(plain, channels_last=True), same_as="plain torch"),
        Contestant(ALONE, images_alone),
    ), measures=(TRAINING,)),
    Case(BF16, f"{ABOUT}, under autocast", (
        Contestant("ours bfloat16", partial(ours, precision="bfloat16")), PLAIN,
    ), measures=(TRAINING,), idle=no_bf16_units),
)  # fmt: skip

WORKLOAD = Workload("W8", "a training step of the CIFAR experiments", __name__, CASES, (
    timed(STEP, TRAINING, "ours", "plain torch", 1 / 1.5, 1 / 1.7),
    timed(STEP, TRAINING, ALONE, "ours", DATA_SHARE),
    timed(BF16, TRAINING, "ours bfloat16", "plain torch", 1 / 2.8, 1 / 3.2),
))  # fmt: skip
