"""Blocks into networks that exist: names stay, values stay until the block is trained, mistakes insert nothing."""

import copy
import io
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NlmodelError
from nlmodel.nn import NonlocalBlock, NonlocalStage, audit, insert_nonlocal
from tests.nn.nn_cases import seeded


class Residual(nn.Module):
    """A bottleneck with the names of torchvision's and timm's ResNets."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width // 4, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 4)
        self.conv3 = nn.Conv2d(width // 4, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width)) if inputs != width else None

    def forward(self, x):
        short = x if self.downsample is None else self.downsample(x)
        return torch.relu(short + self.bn3(self.conv3(torch.relu(self.bn1(self.conv1(x))))))


def resnet() -> nn.Sequential:
    torch.manual_seed(0)
    parts = {
        "conv1": nn.Conv2d(3, 4, 3, padding=1),
        "layer1": nn.Sequential(Residual(4, 8), Residual(8, 8)),
        "layer2": nn.Sequential(Residual(8, 12), Residual(12, 12)),
        "head": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
    }
    return nn.Sequential(OrderedDict(parts)).eval()


def images(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 6, 6, generator=seeded())


def moved(net: nn.Module) -> nn.Module:
    """The same network, its blocks no longer the identity."""
    for module in net.modules():
        if isinstance(module, NonlocalBlock):
            nn.init.normal_(module.w_z.weight, generator=seeded())
    return net


def test_the_network_is_what_it_was_until_the_block_moves():
    net = resnet()
    before, names = net(images()), set(net.state_dict())
    assert insert_nonlocal(net, after="layer1.1") is net
    assert torch.equal(net(images()), before)
    assert names < set(net.state_dict())
    assert all(".nonlocal_block." in name for name in set(net.state_dict()) - names)
    assert not torch.equal(moved(net)(images()), before)


def test_the_block_sees_the_output_of_the_module_before_it():
    net = moved(insert_nonlocal(resnet(), after="layer1.1", affinity="gaussian"))
    x = images()
    inside = net.layer1[1]
    features = net.layer1[0](net.conv1(x))
    with torch.no_grad():
        by_hand = inside.nonlocal_block(Residual.forward(inside, features))
        assert torch.equal(net(x), net.head(net.layer2(by_hand)))
        assert not torch.equal(net(x), resnet()(x))  # control


def test_weights_of_the_network_without_blocks_load():
    plain, net = resnet(), insert_nonlocal(resnet(), after=["layer1.1", "layer2.0"])
    with torch.no_grad():
        plain.conv1.weight.mul_(2.0)
    missing, unexpected = net.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == [] and all("nonlocal_block" in name for name in missing)
    assert torch.equal(net(images()), plain(images()))


def test_channels_and_dimension_are_found():
    net = insert_nonlocal(resnet(), after=["conv1", "layer1", "layer2.0"], blocks=3, tie="psd")
    found = [m for m in net.modules() if isinstance(m, NonlocalStage)]
    assert [(m.channels, m.dimension, m.blocks, m.tie) for m in found] == [
        (4, 2, 3, "psd"), (8, 2, 3, "psd"), (12, 2, 3, "psd"),
    ]  # fmt: skip
    line = insert_nonlocal(nn.Sequential(nn.Conv1d(2, 6, 1)), after="0")
    assert line.get_submodule("0.nonlocal_block").dimension == 1  # pyright: ignore[reportAttributeAccessIssue]
    up = insert_nonlocal(nn.Sequential(nn.ConvTranspose3d(2, 6, 2)), after="0")
    assert up(torch.ones(1, 2, 2, 2, 2)).shape == (1, 6, 3, 3, 3)
    bare = insert_nonlocal(nn.Sequential(nn.ReLU()), after="0", channels=3, dimension=2)
    assert bare(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_several_in_a_row():
    net = insert_nonlocal(resnet(), after="layer1.1")
    insert_nonlocal(net, after="layer1.1.nonlocal_block")
    assert sum(isinstance(m, NonlocalBlock) for m in net.modules()) == 2
    assert net(images()).shape == (2, 5)


def test_each_of_several_in_a_row_is_audited():
    net = insert_nonlocal(resnet(), after="layer1.1", w_init="he", scale=True)
    insert_nonlocal(net, after="layer1.1.nonlocal_block", w_init="he", scale=True)
    report = audit(net, images())
    names = ["layer1.1.nonlocal_block", "layer1.1.nonlocal_block.nonlocal_block"]
    assert list(report.layers) == names and report.notes == ()
    ends = [report.layers[name].value("variance_after") for name in names]
    assert report.layers[names[1]].value("variance_before") == ends[0] != ends[1]


def test_dtype_and_mode_are_those_of_the_network():
    net = insert_nonlocal(resnet().double().train(), after="layer1.1", norm="batch")
    block = net.get_submodule("layer1.1.nonlocal_block")
    assert block.training and all(p.dtype == torch.float64 for p in block.parameters())
    assert not insert_nonlocal(resnet(), after="layer1.1").get_submodule("layer1.1.nonlocal_block").training


def test_a_copy_uses_its_own_block():
    net = insert_nonlocal(resnet(), after="layer1.1")
    twin = copy.deepcopy(net)
    before = net(images())
    moved(twin)
    assert torch.equal(net(images()), before) and not torch.equal(twin(images()), before)


def test_the_state_travels():
    net, buffer = moved(insert_nonlocal(resnet(), after="layer1.1")), io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    other = insert_nonlocal(resnet(), after="layer1.1")
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(images()), net(images()))


def test_gradients_reach_the_block():
    net = moved(insert_nonlocal(resnet(), after="layer1.1"))
    net(images()).sum().backward()
    block = net.get_submodule("layer1.1.nonlocal_block")
    assert all(bool(p.grad.abs().max() > 0) for p in block.parameters())  # pyright: ignore[reportOptionalMemberAccess]


REFUSED: list[tuple[dict[str, Any], type[NlmodelError], str]] = [
    ({"after": "layer1.2"}, ChoiceError, "'layer1.0', 'layer1.1'"),
    ({"after": "nothing.at.all"}, ChoiceError, "'conv1', 'layer1'"),
    ({"after": ""}, ChoiceError, "name of a module"),
    ({"after": 3}, DtypeError, "names of modules"),
    ({"after": ["conv1", 3]}, DtypeError, "names of modules"),
    ({"after": []}, DomainError, "at least one"),
    ({"after": ["conv1", "conv1"]}, DomainError, "each once"),
    ({"after": "head.0"}, DomainError, "pass channels="),
    ({"after": ["conv1", "head.0"]}, DomainError, "pass channels="),
    ({"after": "conv1", "affinity": "cosine"}, ChoiceError, "gaussian"),
    ({"after": "conv1", "channels": 0}, DomainError, "channels"),
    ({"after": "conv1", "blocks": 0}, DomainError, "blocks"),
    ({"after": "conv1", "dimension": 4}, DomainError, "dimension"),
    ({"after": "layer2.1"}, DomainError, "has one already"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_mistakes_insert_nothing(call: dict[str, Any], error: type[NlmodelError], message: str):
    net = insert_nonlocal(resnet(), after="layer2.1")
    names = set(net.state_dict())
    with pytest.raises(error, match=message):
        insert_nonlocal(net, **call)
    assert set(net.state_dict()) == names


def test_a_network_is_needed():
    with pytest.raises(DtypeError, match=r"torch\.nn\.Module"):
        insert_nonlocal(images(), after="layer1")  # pyright: ignore[reportArgumentType]


def test_wrong_channels_show_at_the_first_call():
    net = insert_nonlocal(resnet(), after="layer1.1", channels=5)
    with pytest.raises(NlmodelError, match="made for 5 channels"):
        net(images())


def test_the_network_compiles_and_exports_whole():
    net = moved(insert_nonlocal(resnet(), after="layer1.1"))
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    exported = torch.export.export(net, (images(),)).module()
    assert torch.equal(compiled(images()), net(images())) and torch.equal(exported(images()), net(images()))
