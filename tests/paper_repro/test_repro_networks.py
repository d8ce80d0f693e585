"""The networks: sizes as published, blocks where the paper puts them, one backbone for all forms."""

import pytest
import torch
from torch import nn

from nlmodel.errors import DomainError
from nlmodel.testing import tolerance
from paper_repro.config import RunConfig
from paper_repro.networks import build, nonlocal_modules, places


def net(seed: int = 0, classes: int = 10, **fields) -> nn.Module:
    return build(RunConfig(**fields), classes=classes, generator=torch.Generator().manual_seed(seed))


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


SIZES = [
    ({"depth": 20}, 10, 219_482),
    ({"depth": 56}, 100, 613_556),
    ({"depth": 164}, 10, 1_703_258),
    ({"depth": 20, "unit": "basic"}, 10, 272_282),
    ({"depth": 56, "unit": "basic"}, 100, 861_428),
]


@pytest.mark.parametrize(("fields", "classes", "expected"), SIZES)
def test_parameters(fields, classes, expected):
    assert size(net(classes=classes, **fields)) == expected
    switched = net(classes=classes, stride_at="1x1", shortcut="preactivated", **fields)
    assert size(switched) == expected


def test_parameters_of_the_blocks():
    backbone = size(net())
    assert size(net(form="original", blocks=3)) == backbone + 3 * 8_192
    assert size(net(form="original", blocks=1, norm="batch")) == backbone + 8_192 + 128
    assert size(net(form="proposed", blocks=4, symmetric=True)) == backbone + 2_048 + 4 * 4_096
    assert size(net(form="proposed", blocks=4, affinity="gaussian")) == backbone + 4 * 4_096


PLACES = [
    ({}, {}),
    ({"form": "original", "blocks": 4}, {2: 4}),
    ({"form": "proposed", "blocks": 3, "places": "different"}, {2: 1, 4: 1, 6: 1}),
    ({"form": "proposed", "blocks": 3, "places": "different", "depth": 56}, {6: 1, 12: 1, 18: 1}),
    ({"form": "original", "blocks": 2, "places": "different"}, {3: 1, 6: 1}),
    ({"form": "original", "blocks": 6, "places": "different"}, dict.fromkeys(range(1, 7), 1)),
]


@pytest.mark.parametrize(("fields", "expected"), PLACES)
def test_where_the_blocks_stand(fields, expected):
    config = RunConfig(**fields)
    assert places(config) == expected
    names = [name for name, _ in nonlocal_modules(net(**fields))]
    assert len(names) == (len(expected) if config.form == "proposed" else config.blocks)
    assert [int(name.split("nonlocal")[1].split(".")[0]) for name in names] == [
        unit for unit, count in expected.items() for _ in range(count if config.form == "original" else 1)
    ]


def test_the_inner_width_is_the_papers():
    (_, block), _ = nonlocal_modules(net(form="original", blocks=2))
    assert block.w_z.weight.shape == (64, 32) and block.channels == 64


@pytest.mark.parametrize("fields", [{}, {"form": "original", "blocks": 2}, {"form": "proposed", "blocks": 2}])
@pytest.mark.parametrize("variant", [{}, {"unit": "basic"}, {"stride_at": "1x1", "shortcut": "preactivated"}])
def test_logits_and_gradients(fields, variant):
    if variant.get("unit"):
        variant = {**variant, "depth": 14}
    made = net(**{"depth": 11, **variant}, **fields)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = made(x)
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in made.parameters())


def test_one_seed_one_network_and_one_backbone():
    twice = [net(form="proposed", blocks=2).state_dict() for _ in range(2)]
    assert all(torch.equal(value, twice[1][name]) for name, value in twice[0].items())
    plain = net().state_dict()
    for form in ("original", "proposed"):
        state = net(form=form, blocks=3).state_dict()
        assert all(torch.equal(value, state[name]) for name, value in plain.items())
    other = net(seed=1).state_dict()  # control
    assert not torch.equal(plain["stem.weight"], other["stem.weight"])


def test_zero_weights_start_as_the_baseline():
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = net().eval()(x).detach()
    slack = tolerance("reduction", torch.float32, n=64 * 9 * 22, scale=float(plain.abs().max()))  # 22 convolutions
    for form in ("original", "proposed"):
        zero, he = (net(form=form, blocks=2, w_init=law).eval()(x).detach() for law in ("zero", "he"))
        assert float((zero - plain).abs().max()) <= slack
        assert float((he - plain).abs().max()) > slack  # control


def test_more_places_than_units():
    config = RunConfig(form="original", blocks=4, places="different", depth=11)
    with pytest.raises(DomainError, match="3 units"):
        places(config)
