"""W2: one nonlocal block, 32 images of 32 x 32 positions, 64 channels, inner width 32, float32."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.case import BOTH, FORWARD, TRAINING, Built, Case, Contestant, Setting, Work
from benchmarks.figures import Bytes, timed, weighed
from benchmarks.machine import bf16_units
from benchmarks.peers import alexhex7, mmcv, timm
from benchmarks.torch_calls import built, data, drawn, ready
from benchmarks.workload import Workload
from nlmodel.nn import NonlocalBlock, from_alexhex, from_mmcv, from_timm


C, INNER, SIDE, BATCH = 64, 32, 32, 32
M = SIDE**2
NUMBER = 4  # bytes of a float32


def images(setting: Setting, batch: int = BATCH, side: int = SIDE) -> Tensor:
    """The input."""
    batch, side = (2, 8) if setting.quick else (batch, side)
    return data(setting, batch if setting.images is None else min(batch, setting.images), C, side, side)


def compared(block: NonlocalBlock) -> list[str]:
    """Our parameters, in the order of the peers'."""
    layers = ("embedding.theta", "embedding.phi", "g", "w_z", "norm")
    names = [*(f"{layer}.{part}" for layer in layers for part in ("weight", "bias")), "embedding.w"]
    there = dict(block.named_parameters())
    return [name for name in names if name in there]


def ours(setting: Setting, mode: str, half: bool = False, **sizes: int) -> Built:
    """Our block with the weights of mmcv's."""
    block = from_mmcv(drawn(mmcv.shapes(C, INNER, mode)), mode=mode, use_scale=True)
    ready(block, setting)
    return built(block, images(setting, **sizes), compared(block), Half(block) if half else None)


def theirs(setting: Setting, mode: str, compiled: bool = False, **sizes: int) -> Built:
    """mmcv's block."""
    block = ready(mmcv.nonlocal2d(C, INNER, mode), setting, drawn(mmcv.shapes(C, INNER, mode)))
    step = torch.compile(block) if compiled else None
    return built(block, images(setting, **sizes), mmcv.compared(mode), step)


def ours_of_alexhex7(setting: Setting) -> Built:
    """Our block with the weights of AlexHex7's."""
    block = from_alexhex(drawn(alexhex7.shapes(C, INNER)), mode="embedded_gaussian")
    ready(block, setting)
    return built(block, images(setting), compared(block))


def alexhex7s(setting: Setting) -> Built:
    """AlexHex7's block."""
    block = ready(alexhex7.block(C, INNER), setting, drawn(alexhex7.shapes(C, INNER)))
    return built(block, images(setting), alexhex7.compared())


def timm_weights() -> dict[str, Tensor]:
    """With theta and phi large enough that averages differ, which the batch norm would else blow up from rounding."""
    return {name: 2 * w if name in ("t.weight", "p.weight") else w for name, w in drawn(timm.shapes(C, INNER)).items()}


def ours_of_timm(setting: Setting) -> Built:
    """Our block with the weights of timm's."""
    block = from_timm(timm_weights(), use_scale=True)
    ready(block, setting)
    return built(block, images(setting), compared(block))


def timms(setting: Setting) -> Built:
    """timm's block."""
    block = ready(timm.nonlocal_attention(C, INNER), setting, timm_weights())
    return built(block, images(setting), timm.compared())


class Half(nn.Module):
    """A module under autocast to bfloat16."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Of the module."""
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.module(x)


def work(layers: int, compared: int, averaged: int, batch: int = BATCH) -> dict[str, Work]:
    """1x1 convolutions between C and `INNER` channels, and two products with an M x M matrix; two more for the gradient
    of each.  Between memory and processor: the input and output, and for the gradients both again and theirs."""
    products = 2 * batch * M * (layers * C * INNER + M * (compared + averaged))
    features = NUMBER * batch * M * C
    return {FORWARD: Work(products, 2 * features), BOTH: Work(3 * products, 5 * features)}


def beside_mmcv(mode: str, **sizes: int) -> tuple[Contestant, Contestant]:
    """Ours and mmcv's in one mode."""
    return (
        Contestant("ours", partial(ours, mode=mode, **sizes), same_as="mmcv"),
        Contestant("mmcv", partial(theirs, mode=mode, **sizes)),
    )


def no_bf16_units(device: str) -> str:
    """Why bfloat16 cannot be faster here."""
    return "" if bf16_units(device) else "this processor has no bfloat16 units"


EMBEDDED, GAUSSIAN, DOT, CONCAT = (f"W2 {x}" for x in ("embedded Gaussian", "Gaussian", "dot product", "concatenation"))
ALEXHEX7, TIMM, BF16 = "W2 AlexHex7", "W2 timm", "W2 bfloat16"
LARGE, MANY = "W2 dot product, 128 x 128", "W2 concatenation, batch 128"
LARGE_SIDE = 128
USUAL = f"batch {BATCH}, {SIDE} x {SIDE} positions, C = {C}, inner {INNER}, float32"
LARGE_SIZE = {"batch": 1, "side": LARGE_SIDE}

CASES = (
    Case(EMBEDDED, USUAL, (
        *beside_mmcv("embedded_gaussian"),
        Contestant("mmcv compiled", partial(theirs, mode="embedded_gaussian", compiled=True), "mmcv", compiles=True),
    ), work=work(4, INNER, INNER)),
    Case(ALEXHEX7, f"{USUAL}, logits not scaled", (
        Contestant("ours", ours_of_alexhex7, same_as="AlexHex7"), Contestant("AlexHex7", alexhex7s),
    ), work=work(4, INNER, INNER)),
    Case(TIMM, f"{USUAL}, with batch norm", (
        Contestant("ours", ours_of_timm, same_as="timm"), Contestant("timm", timms),
    ), work=work(4, INNER, INNER)),
    Case(GAUSSIAN, USUAL, beside_mmcv("gaussian"), work=work(2, C, INNER)),
    Case(DOT, USUAL, beside_mmcv("dot_product")),
    Case(LARGE, "one image, too large for an M x M matrix", (
        Contestant("ours", partial(ours, mode="dot_product", **LARGE_SIZE)),
    )),
    Case(CONCAT, USUAL.replace(str(BATCH), "4", 1), beside_mmcv("concatenation", batch=4)),
    Case(MANY, "where the tensor of all pairs of features would need 34.4 GB", (
        Contestant("ours", partial(ours, mode="concatenation", batch=128)),
    ), measures=(TRAINING,)),
    Case(BF16, f"{USUAL} and under autocast", (
        Contestant("ours bfloat16", partial(ours, mode="embedded_gaussian", half=True), same_as="ours", within=0.03),
        Contestant("ours", partial(ours, mode="embedded_gaussian")),
    ), work=work(4, INNER, INNER), idle=no_bf16_units),
)  # fmt: skip


WORKLOAD = Workload("W2", "one nonlocal block", __name__, CASES, (
    timed(EMBEDDED, FORWARD, "ours", "mmcv", 0.35, 0.30),
    timed(EMBEDDED, BOTH, "ours", "mmcv", 0.55, 0.45),
    weighed(EMBEDDED, FORWARD, "ours", "mmcv", 0.25, 0.15),
    weighed(EMBEDDED, BOTH, "ours", "mmcv", 0.25, 0.15),
    timed(GAUSSIAN, FORWARD, "ours", "mmcv", 0.35, 0.30),
    timed(GAUSSIAN, BOTH, "ours", "mmcv", 0.55, 0.45),
    weighed(GAUSSIAN, FORWARD, "ours", "mmcv", 0.25, 0.15),
    weighed(GAUSSIAN, BOTH, "ours", "mmcv", 0.25, 0.15),
    timed(DOT, BOTH, "ours", "mmcv", 0.08),
    weighed(LARGE, FORWARD, "ours", Bytes("one M x M matrix", NUMBER * LARGE_SIDE**4), 1.0),
    weighed(LARGE, BOTH, "ours", Bytes("one M x M matrix", NUMBER * LARGE_SIDE**4), 1.0),
    timed(CONCAT, FORWARD, "ours", "mmcv", 0.02),
    timed(CONCAT, BOTH, "ours", "mmcv", 0.02),
    weighed(CONCAT, FORWARD, "ours", "mmcv", 0.01),
    weighed(CONCAT, BOTH, "ours", "mmcv", 0.01),
    weighed(MANY, TRAINING, "ours", Bytes("1.5 GB", 1.5e9), 1.0),
    timed(BF16, FORWARD, "ours bfloat16", "ours", 1 / 1.5),
    timed(BF16, BOTH, "ours bfloat16", "ours", 1 / 1.5),
))  # fmt: skip
