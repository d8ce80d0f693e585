"""W3: a stage of five sub-blocks, 32 images of 32 x 32 positions, 64 channels, inner width 32, float32."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.case import BOTH, FORWARD, Built, Case, Contestant, Setting, Work
from benchmarks.figures import timed, weighed
from benchmarks.peers import mmcv
from benchmarks.peers.plain import Stage
from benchmarks.torch_calls import built, drawn, ready
from benchmarks.workload import Workload
from benchmarks.workloads.block import BATCH, INNER, NUMBER, USUAL, C, M, compared, images
from nlmodel.nn import NonlocalStage, from_mmcv
from nlmodel.nn.embedding import Embedding


N = 5


def weights(blocks: int, rank: int | None) -> dict[str, torch.Tensor]:
    """theta, phi and all W; rank None: W of all channels, else W_Z and W_g."""
    shapes = {"theta": (INNER, C), "phi": (INNER, C), "w_z": (blocks, C, rank or C)}
    return drawn(shapes | ({"w_g": (blocks, rank, C)} if rank else {}))


def ours(setting: Setting, rank: int | None, blocks: int = N) -> Built:
    """Our stage; for W of all channels W_g = 1, and theta and phi stay as narrow as in the other form."""
    stage, given = NonlocalStage(C, blocks, inner=rank or C), weights(blocks, rank)
    if rank is None:
        stage.embedding = Embedding("embedded_gaussian", C, INNER)
        given["w_g"] = torch.eye(C, dtype=torch.float64).expand(blocks, C, C)
    given = {f"embedding.{name}.weight" if name in ("theta", "phi") else name: w for name, w in given.items()}
    names = ["embedding.theta.weight", "embedding.phi.weight", "w_z", *(["w_g"] if rank else [])]
    return built(ready(stage, setting, given), images(setting), names)


def plain(setting: Setting, rank: int | None) -> Built:
    """The stage as one writes it down."""
    stage = ready(Stage(C, INNER, N, rank), setting, weights(N, rank))
    return built(stage, images(setting), ["theta", "phi", "w_z", *(["w_g"] if rank else [])])


def blocks_in_a_row(setting: Setting, of_mmcv: bool) -> Built:
    """Five blocks, which find five affinities."""
    state, mode = drawn(mmcv.shapes(C, INNER, "embedded_gaussian")), "embedded_gaussian"
    if of_mmcv:
        row = [ready(mmcv.nonlocal2d(C, INNER, mode), setting, state) for _ in range(N)]
        names = mmcv.compared(mode)
    else:
        row = [from_mmcv(state, mode=mode, use_scale=True) for _ in range(N)]
        names = compared(row[0])
    every = [f"{n}.{name}" for n in range(N) for name in names]
    return built(ready(nn.Sequential(*row), setting), images(setting), every)


def work(width: int, blocks: int = N) -> dict[str, Work]:
    """The affinity from theta and phi, a product with it and a weight for each sub-block; two more for the gradients of
    each.  Between memory and processor: the input and output, and for the gradients both again and theirs."""
    weight = C if width == C else 2 * width
    layers = 2 * INNER + blocks * weight
    products = 2 * BATCH * M * (layers * C + M * (INNER + blocks * width))
    features = NUMBER * BATCH * M * C
    return {FORWARD: Work(products, 2 * features), BOTH: Work(3 * products, 5 * features)}


WIDE, LOW, SIXTH = "W3 stage, 64 channels", "W3 stage, low rank", "W3 sixth sub-block"
CASES = (
    Case(WIDE, f"{N} sub-blocks, W 64 x 64, {USUAL}", (
        Contestant("ours", partial(ours, rank=None), same_as="plain torch"),
        Contestant("plain torch", partial(plain, rank=None)),
    ), work=work(C)),
    Case(LOW, f"{N} sub-blocks, W = W_Z W_g, {USUAL}", (
        Contestant("ours", partial(ours, rank=INNER), same_as="plain torch"),
        Contestant("five mmcv", partial(blocks_in_a_row, of_mmcv=True)),
        Contestant("five of our blocks", partial(blocks_in_a_row, of_mmcv=False), same_as="five mmcv"),
        Contestant("plain torch", partial(plain, rank=INNER)),
    ), work=work(INNER)),
    Case(SIXTH, f"W = W_Z W_g, {USUAL}", (
        Contestant("six", partial(ours, rank=INNER, blocks=N + 1)),
        Contestant("five", partial(ours, rank=INNER)),
    )),
)  # fmt: skip

WORKLOAD = Workload("W3", "a nonlocal stage of five sub-blocks", __name__, CASES, (
    timed(WIDE, FORWARD, "ours", "plain torch", 0.65),
    timed(WIDE, BOTH, "ours", "plain torch", 0.75, 0.58),
    weighed(WIDE, FORWARD, "ours", "plain torch", 0.17),
    weighed(WIDE, BOTH, "ours", "plain torch", 0.17),
    timed(LOW, BOTH, "ours", "five mmcv", 0.25, 0.18),
    weighed(LOW, BOTH, "ours", "five mmcv", 1 / 8),
    timed(SIXTH, FORWARD, "six", "five", 1.15),
    timed(SIXTH, BOTH, "six", "five", 1.15),
))  # fmt: skip
