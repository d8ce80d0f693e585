"""The same weights give the same output as the peer, in training and in evaluation; what does not fit is refused."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NlmodelError, ShapeError
from nlmodel.nn import NonlocalBlock, from_alexhex, from_mmcv, from_timm
from nlmodel.testing import assert_close
from tests.nn.nn_cases import seeded
from tests.nn.peers import AlexHex, Mmcv, Timm


MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
SIZES = {1: (6,), 2: (4, 6), 3: (3, 4, 2)}
CHANNELS = 4


def drawn(module: nn.Module) -> nn.Module:
    """Every parameter and running statistic away from where it starts."""
    g = seeded(13)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                shift, factor = (1.0, 0.1) if "var" in name else (0.0, 0.4)
                value.copy_(shift + factor * torch.randn(value.shape, generator=g))
    return module


def images(dimension: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(3, CHANNELS, *SIZES[dimension], generator=seeded(), dtype=torch.float64).to(dtype)


CASES = [
    *[
        (Mmcv, d, {"mode": m, "sub_sample": s, "norm": n})
        for d in (1, 2, 3)
        for m in MODES
        for s, n in ((0, 0), (1, 1))
    ],
    (Mmcv, 2, {"mode": "embedded_gaussian", "use_scale": False}),
    *[(AlexHex, d, {"mode": m}) for d in (1, 2, 3) for m in MODES],
    *[(AlexHex, 2, {"mode": m, "sub_sample": False, "norm": False}) for m in MODES],
    *[(Timm, 2, {"use_scale": s}) for s in (True, False)],
]


def peer_of(kind: type, dimension: int, options: dict[str, Any]) -> nn.Module:
    return drawn(kind(CHANNELS, **options) if kind is Timm else kind(CHANNELS, dimension, **options))


def loaded(peer: nn.Module, options: dict[str, Any]) -> NonlocalBlock:
    if isinstance(peer, Mmcv):
        return from_mmcv(peer)
    return from_timm(peer) if isinstance(peer, Timm) else from_alexhex(peer, mode=options["mode"])


def check_parity(block: nn.Module, peer: nn.Module, x: torch.Tensor) -> None:
    """Values and the gradient of x, to rounding in sums over positions and channels."""
    x, y = (x.clone().requires_grad_() for _ in range(2))
    ours, theirs = block(x), peer(y)
    n, scale = x[0].numel(), float(theirs.detach().abs().max())
    assert_close(ours.detach(), theirs.detach(), kind="reduction", n=n, scale=scale)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    assert x.grad is not None and y.grad is not None
    assert_close(x.grad, y.grad, kind="reduction", n=n * n, scale=float(y.grad.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "dimension", "options"), CASES)
def test_the_same_weights_give_the_same_output(kind, dimension, options, dtype):
    peer = peer_of(kind, dimension, options).to(dtype).eval()
    x = images(dimension, dtype)
    before = copy.deepcopy(peer.state_dict())
    block = loaded(peer, options)
    check_parity(block, peer, x)
    assert all(torch.equal(value, before[name]) for name, value in peer.state_dict().items())

    peer.train()  # with the statistics of the batch
    trained = loaded(peer, options)
    assert trained.training
    check_parity(trained, peer, x)
    check_parity(trained.eval(), peer.eval(), x)  # and the running ones have moved alike


@pytest.mark.parametrize(("kind", "dimension", "options"), [c for c in CASES if c[2].get("mode") != "gaussian"])
def test_twin_with_theta_and_phi_swapped_differs(kind, dimension, options):
    peer = peer_of(kind, dimension, options).double().eval()
    block = loaded(peer, options)
    E = block.embedding
    E.theta, E.phi = E.phi, E.theta
    with pytest.raises(AssertionError):
        check_parity(block, peer, images(dimension, torch.float64))


def test_twin_with_another_eps_differs():
    peer = peer_of(Mmcv, 2, {"norm": True}).double().eval()
    block = from_mmcv(peer.state_dict(), mode="embedded_gaussian", use_scale=True)  # eps 1e-5 in place of 1e-3
    with pytest.raises(AssertionError):
        check_parity(block, peer, images(2, torch.float64))


def test_a_state_dict_serves_as_well_once_all_is_told():
    x = images(2, torch.float64)
    mmcv = peer_of(Mmcv, 2, {"norm": True, "sub_sample": True}).double().eval()
    within = {f"backbone.layer3.{name}": value for name, value in mmcv.state_dict().items()}
    within["backbone.conv1.weight"] = torch.zeros(1)
    told = {"mode": "embedded_gaussian", "use_scale": True, "norm_eps": 1e-3}
    check_parity(from_mmcv(within, prefix="backbone.layer3.", **told).eval(), mmcv, x)
    timm = peer_of(Timm, 2, {"use_scale": True}).double().eval()
    check_parity(from_timm(timm.state_dict(), use_scale=True), timm, x)
    alexhex = peer_of(AlexHex, 2, {"mode": "concatenation"}).double().eval()
    check_parity(from_alexhex(alexhex.state_dict()), alexhex, x)


def test_a_block_inside_a_network_is_found_by_its_prefix():
    x = images(2, torch.float64)
    for kind, load in ((Mmcv, from_mmcv), (Timm, from_timm)):
        peer = peer_of(kind, 2, {}).double().eval()
        network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(peer))
        for prefix in ("1.0", "1.0."):
            check_parity(load(network, prefix=prefix), peer, x)


def test_a_frozen_norm_stays_frozen():
    peer = peer_of(Timm, 2, {}).double().train()
    peer.norm.eval()
    peer.norm.momentum = 0.3
    block = from_timm(peer)
    assert block.training and block.norm is not None
    assert (block.norm.training, block.norm.momentum) == (False, 0.3)
    check_parity(block, peer, images(2, torch.float64))


def test_loading_draws_no_number_and_stays_on_the_device():
    peer = peer_of(Mmcv, 2, {"mode": "concatenation", "norm": True})
    before = torch.get_rng_state()
    from_mmcv(peer)
    assert torch.equal(torch.get_rng_state(), before)
    NonlocalBlock(CHANNELS)  # the control: a new block draws
    assert not torch.equal(torch.get_rng_state(), before)
    block = from_mmcv(peer.to("meta"))
    assert {t.device.type for t in block.state_dict().values()} == {"meta"}


def test_copies_share_nothing_with_the_peer():
    peer = peer_of(Timm, 2, {})
    block = from_timm(peer)
    with torch.no_grad():
        for p in block.parameters():
            p.zero_()
    assert all(bool(p.abs().max() > 0) for p in peer.parameters())


def test_the_block_is_one_of_ours():
    block = from_mmcv(peer_of(Mmcv, 2, {"mode": "dot_product"}))
    assert block.plan((3, CHANNELS, 4, 6)).algorithm != "dense"
    assert block.weight_matrix().shape == (CHANNELS, CHANNELS)


STATE = peer_of(Mmcv, 2, {}).state_dict()
GAUSSIAN = peer_of(Mmcv, 2, {"mode": "gaussian"}).state_dict()
TIMM = peer_of(Timm, 2, {}).state_dict()
POOLED = peer_of(AlexHex, 3, {"mode": "dot_product"})
POOLED.g[1] = POOLED.phi[1] = nn.MaxPool3d(2)
TOLD: dict[str, Any] = {"mode": "embedded_gaussian", "use_scale": True}
REFUSED = [
    (lambda: from_mmcv(STATE), ChoiceError, "mode must be told"),
    (lambda: from_mmcv(STATE, mode="embedded_gaussian"), ChoiceError, "use_scale must be told"),
    (lambda: from_mmcv(STATE, mode="gaussian"), ChoiceError, "fit the weights"),
    (lambda: from_mmcv(STATE, mode="concatenation"), ChoiceError, "fit the weights"),
    (lambda: from_mmcv(GAUSSIAN, mode="dot_product"), ChoiceError, "fit the weights"),
    (lambda: from_mmcv(STATE, mode="cosine"), ChoiceError, "concatenation"),
    (lambda: from_mmcv(STATE, prefix="x.", **TOLD), ChoiceError, "prefix must be"),
    (lambda: from_mmcv({}, **TOLD), ChoiceError, "prefix must be"),
    (lambda: from_mmcv({"state_dict": STATE}, **TOLD), DtypeError, "state_dict"),
    (lambda: from_mmcv(3, **TOLD), DtypeError, "module or its state_dict"),  # pyright: ignore[reportArgumentType]
    (lambda: from_mmcv({**STATE, "extra": torch.ones(1)}, **TOLD), ChoiceError, "also 'extra'"),
    (lambda: from_mmcv({k: v for k, v in STATE.items() if "phi" not in k}, **TOLD), ChoiceError, "must have 'phi"),
    (lambda: from_mmcv({**STATE, "phi.conv.weight": torch.ones(2, 4, 3, 3)}, **TOLD), ShapeError, "1x1"),
    (lambda: from_mmcv({**STATE, "phi.conv.weight": torch.ones(3, 4, 1, 1)}, **TOLD), ShapeError, "embedding.phi"),
    (lambda: from_mmcv({**STATE, "phi.conv.bias": torch.ones(3)}, **TOLD), ShapeError, "bias of embedding.phi"),
    (lambda: from_mmcv({**STATE, "phi.conv.bias": torch.ones(2).double()}, **TOLD), DtypeError, "share their dtype"),
    (lambda: from_mmcv({**STATE, "phi.conv.weight": torch.ones(2, 4, 1, 1).int()}, **TOLD), ShapeError, "int32"),
    (lambda: from_mmcv(STATE, norm_eps=0.0, **TOLD), DomainError, "norm_eps"),
    (lambda: from_mmcv({**STATE, "g.conv.weight": torch.ones(0, 4, 1, 1)}, **TOLD), DomainError, "inner"),
    (lambda: from_mmcv({**STATE, "g.conv.weight": torch.ones(2)}, **TOLD), ShapeError, "1x1"),
    (lambda: from_mmcv(STATE, prefix=3, **TOLD), DtypeError, "prefix"),  # pyright: ignore[reportArgumentType]
    (lambda: from_mmcv(peer_of(Mmcv, 2, {}), mode="dot_product"), ChoiceError, "mode must be that of the module"),
    (lambda: from_mmcv(peer_of(Mmcv, 2, {}), use_scale=False), ChoiceError, "use_scale must be that of the module"),
    (lambda: from_mmcv(peer_of(Mmcv, 2, {"norm": 1}), norm_eps=1e-5), ChoiceError, "norm_eps must be that of the mod"),
    (lambda: from_mmcv(nn.Linear(2, 2), **TOLD), ChoiceError, "fit the weights|must have"),
    (lambda: from_timm(peer_of(Timm, 2, {}), use_scale=False), ChoiceError, "use_scale must be that of the module"),
    (lambda: from_timm(nn.Linear(2, 2)), ChoiceError, "use_scale must be told"),
    (lambda: from_timm(nn.Linear(2, 2), use_scale=True), ChoiceError, "must have"),
    (lambda: from_timm({**TIMM, "g.weight": torch.ones(3)}, use_scale=True), ShapeError, "1x1"),
    (lambda: from_alexhex(POOLED, mode="dot_product"), ChoiceError, "max-pooled by two"),
    (lambda: from_timm(TIMM), ChoiceError, "use_scale must be told"),
    (lambda: from_timm(STATE, use_scale=True), ChoiceError, "must have"),
    (lambda: from_timm({**TIMM, "norm.running_mean": torch.ones(3)}, use_scale=True), ShapeError, "running_mean"),
    (lambda: from_alexhex(peer_of(AlexHex, 2, {})), ChoiceError, "mode must be told"),
    (lambda: from_alexhex(STATE, mode="dot_product"), ChoiceError, "fit the weights|must have"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call, error: type[NlmodelError], message: str):
    with pytest.raises(error, match=message):
        call()
