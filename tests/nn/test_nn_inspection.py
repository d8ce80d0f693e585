"""The audit of networks: plants are named, layers of every origin are found, the network stays what it was."""

import copy
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nlmodel as nl
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.inspection import AuditReport, audit
from nlmodel.nn.inspection.passage import dirichlet_energy, effective_rank
from nlmodel.nn.inspection.seen import is_attention, watch
from nlmodel.testing import tolerance
from tests.html_page import Page
from tests.nn.nn_cases import seeded
from tests.nn.peers import AlexHex, Mmcv, Timm


C = 16


def images(channels: int = 3, size: int = 5) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=seeded())


def planted(damp: float, grow: float, tie: str | None = "psd") -> nn.Sequential:
    """A block with W = damp g^T g / |g|^2, a stage with W = grow B B^T / |B|^2, a certified stage."""
    g = seeded(3)
    torch.manual_seed(0)
    block = nl.nn.NonlocalBlock(C, affinity="gaussian", scale=True, generator=g)
    stage = nl.nn.NonlocalStage(C, 2, affinity="gaussian", scale=True, w_init=0.3, generator=g)
    healthy = nl.nn.NonlocalStage(C, 2, affinity="gaussian", scale=True, tie=tie, w_init="he", generator=g)
    with torch.no_grad():
        W_g = block.g.weight
        block.w_z.weight.copy_(damp * W_g.T / torch.linalg.matrix_norm(W_g, 2) ** 2)
        stage.w_g.copy_(grow * stage.w_z.mT / torch.linalg.matrix_norm(stage.w_z, 2)[:, None, None] ** 2)
    nl.nn.certified(healthy, "contraction")
    return nn.Sequential(nn.Conv2d(3, C, 3, padding=1), block, stage, healthy)


@pytest.mark.parametrize(
    ("damp", "grow", "expected"),
    [
        (-0.8, -0.5, ["damping", "unstable", "healthy"]),
        (-0.8, 2.5, ["damping", "unstable", "healthy"]),
        (-3.0, 0.9, ["unstable", "healthy", "healthy"]),
        (0.8, 0.9, ["amplifying", "healthy", "healthy"]),  # control: the plants removed
        (0.0, 0.9, ["idle", "healthy", "healthy"]),
    ],
)
def test_plants_are_named(damp, grow, expected):
    report = audit(planted(damp, grow), images())
    assert list(report.verdicts.values()) == expected
    assert report.notes == ()


def test_untrained_weights_are_neither():
    net = nn.Sequential(nn.Conv2d(3, C, 1), nl.nn.NonlocalBlock(C, w_init="he", scale=True, generator=seeded()))
    report = audit(net, images())
    assert report.verdicts == {"1": "mixed"}


def test_numbers_are_those_of_the_definitions():
    net = planted(-0.8, 0.9)
    x = images()
    found = audit(net, x).layers["1"]
    net = net.double().eval()
    with torch.no_grad():
        features = net[0](x[:1].double())
        K, W = net[1].affinity(features)[0].numpy(), net[1].weight_matrix().numpy()
        rows = features.flatten(2)[0].T.numpy()
        after = net[1](features).flatten(2)[0].T.numpy()
    factors = np.abs(1 + np.outer(np.linalg.eigvals(K), np.linalg.eigvals(W)))
    slack = tolerance("reduction", np.float32, n=C * 27, scale=10.0)  # the network ran in float32
    assert abs(found.value("radius") - factors.max()) <= slack
    assert abs(found.value("lambda_2") - np.sort(np.abs(np.linalg.eigvals(K)))[-2]) <= slack
    assert abs(found.value("dobrushin") - nl.markov.dobrushin_coefficient(K)) <= slack
    gaps = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    assert abs(found.value("energy_before") - (K * gaps).sum() / (2 * len(K))) <= slack * rows.size
    assert found.value("reversible") == "1 of 1" and found.value("stochastic") == "1 of 1"
    law = np.linalg.svd(after, compute_uv=False)
    law /= law.sum()
    assert abs(found.value("effective_rank_after") - np.exp(-(law * np.log(law)).sum())) <= slack * C


def test_a_stage_shows_its_certificate():
    net = planted(-0.8, 2.5)
    report = audit(net, images(), sample=1)
    features = net[1](net[0](images()[1:2]))
    certificate = net[2].certificate(features.detach())[0]
    found = report.layers["2"]
    slack = tolerance("reduction", np.float32, n=C * 27, scale=certificate.norm)
    assert abs(found.value("stage_radius") - certificate.radius) <= slack
    assert abs(found.value("cfl_margin") - min(b.spectral.value for b in certificate.blocks)) <= slack


class Bert(nn.Module):
    """Attention in the names of Hugging Face, fused unless its configuration asks for probabilities."""

    def __init__(self, config):
        super().__init__()
        self.config, self.num_attention_heads = config, 2
        self.query, self.key, self.value = (nn.Linear(C, C) for _ in range(3))
        self.dense = nn.Linear(C, C)

    def forward(self, hidden):
        q, k, v = (layer(hidden).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        if not self.config.output_attentions:
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            return (self.dense(y.transpose(1, 2).flatten(2)),)
        P = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return self.dense((P @ v).transpose(1, 2).flatten(2)), P


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(output_attentions=False, _attn_implementation="sdpa")
        self.embed, self.attention = nn.Linear(3, C), Bert(self.config)

    def forward(self, x):
        h = self.embed(x)
        return h + self.attention(h)[0]


def sequences() -> torch.Tensor:
    return torch.randn(2, 7, 3, generator=seeded())


def transformer() -> nn.Module:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(C, 4, 8, batch_first=True)
    return nn.Sequential(nn.Linear(3, C), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


def peer(block: nn.Module) -> nn.Sequential:
    for p in block.parameters():
        nn.init.normal_(p, 0.0, 0.3, seeded())
    return nn.Sequential(nn.Conv2d(3, C, 1), block)


FOUND = [
    (transformer(), sequences(), {"1.layers.0.self_attn": 4, "1.layers.1.self_attn": 4}),
    (Encoder(), sequences(), {"attention": 2}),
    (peer(Mmcv(C, norm=True)), images(), {"1": 1}),
    (peer(Timm(C)), images(), {"1": 1}),
    (peer(AlexHex(C, sub_sample=False)), images(), {"1": 1}),
    (peer(AlexHex(C, sub_sample=False, mode="dot_product")), images(), {"1": 1}),
    (peer(nl.nn.MultiheadNonlocalBlock(C, heads=2)), images(), {"1": 2}),
    (peer(nl.nn.DoubleAttention(C, slots=4)), images(), {"1": 1}),
    (peer(nl.nn.SpectralNonlocalBlock(C)), images(), {"1": 1}),
]


@pytest.mark.parametrize(("net", "x", "expected"), FOUND)
def test_layers_of_every_origin(net, x, expected):
    report = audit(net, x)
    assert {name: found.value("heads") for name, found in report.layers.items()} == expected
    assert report.notes == ()
    assert all(found.value("energy_before") > 0 for found in report.layers.values())


def test_the_mode_of_a_block_that_does_not_tell_it():
    net = peer(AlexHex(C, sub_sample=False, mode="dot_product"))
    assert audit(net, images()).layers["1"].value("stochastic") == "0 of 1"
    net = peer(AlexHex(C, sub_sample=False))
    assert audit(net, images()).layers["1"].value("stochastic") == "1 of 1"


def test_probabilities_are_those_of_the_attention():
    net = Encoder()
    seen = watch(net, (sequences(),), ["attention"])["attention"]
    P = seen.probabilities[0]
    attention = net.attention
    attention.config.output_attentions = True
    with torch.no_grad():
        expected = attention(net.embed(sequences()))[1]
    assert torch.equal(P, expected)
    assert is_attention(P) and not is_attention(P.logit()) and not is_attention(P * 0.9)


def everything(net: nn.Module) -> dict[str, Any]:
    """All that an audit could change."""
    return {
        "state": {k: v.clone() for k, v in net.state_dict().items()},
        "grads": {k: None if p.grad is None else p.grad.clone() for k, p in net.named_parameters()},
        "needs": {k: p.requires_grad for k, p in net.named_parameters()},
        "modes": {k: m.training for k, m in net.named_modules()},
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()),
        "config": vars(net.config).copy() if hasattr(net, "config") else None,
        "random": torch.get_rng_state(),
        "fast": torch.backends.mha.get_fastpath_enabled(),
    }


def check_unchanged(before: Any, after: Any) -> None:
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            check_unchanged(before[key], after[key])
    elif isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    else:
        assert before == after


def disturbed(net: nn.Module) -> nn.Module:
    """In training, with a dropout and a norm, gradients, a frozen parameter and a part in evaluation."""
    net.train()
    next(net.modules()).append(nn.BatchNorm2d(C)) if isinstance(net, nn.Sequential) else None
    first = next(net.parameters())
    first.requires_grad_(False)
    for p in list(net.parameters())[1:]:
        p.grad = torch.ones_like(p)
    list(net.modules())[1].eval()
    return net


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("make", [lambda: planted(-0.8, 0.9), Encoder, transformer])
def test_the_network_is_left_as_it_was(make, mode):
    net = make() if make is not transformer else transformer()
    net = disturbed(net) if make is not transformer else net.train()
    x = images() if isinstance(net, nn.Sequential) and make is not transformer else sequences()
    before = everything(net)
    with mode():
        audit(net, x)
    check_unchanged(before, everything(net))


def test_the_network_is_left_as_it_was_when_it_fails():
    net = Encoder()
    before = everything(net)
    with pytest.raises(RuntimeError):
        audit(net, torch.ones(2, 7, 4))
    check_unchanged(before, everything(net))


def test_twin_a_careless_look_changes_the_network():
    net = planted(-0.8, 0.9)
    before = everything(net)
    net.append(nn.BatchNorm2d(C))
    before = everything(net)
    net(images())  # in training: running statistics move
    with pytest.raises(AssertionError):
        check_unchanged(before, everything(net))


def test_what_cannot_be_analysed_is_said():
    class Rest(nn.Module):
        """A fused attention that never shows its probabilities, beside a block that pools, and one never called."""

        def __init__(self):
            super().__init__()
            self.pooled = nl.nn.NonlocalBlock(C, subsample="after", w_init="he", generator=seeded())
            self.idle = nl.nn.NonlocalBlock(C, w_init="he", generator=seeded())
            self.twice = nl.nn.NonlocalBlock(C, w_init=0.01, scale=True, generator=seeded())

        def forward(self, x):
            return self.twice(self.twice(self.pooled(x)))

    report = audit(Rest(), images(C, 4))
    notes = "\n".join(report.notes)
    assert "pooled: only its weights were audited; its affinity is not square" in notes
    assert "idle: only its weights were audited; it was not called" in notes
    assert "twice: called 2 times" in notes
    assert set(report.layers) == {"pooled", "idle", "twice"}
    large = audit(Rest(), images(C, 4), positions=10)
    assert any("positions=16 audits them" in note for note in large.notes)


def test_masks_and_cross_attention_are_said():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (nn.MultiheadAttention(C, 2, batch_first=True) for _ in range(2))

        def forward(self, x):
            x = self.a(x, x, x, attn_mask=torch.zeros(5, 5))[0]
            return self.b(x, x.flip(1), x)[0]

    notes = "\n".join(audit(Masked(), torch.randn(2, 5, C, generator=seeded())).notes)
    assert "a: only its weights were audited; it was called with a mask" in notes
    assert "b: only its weights were audited; queries, keys and values differ" in notes


def test_a_module_that_computes_something_else_is_noticed():
    class Other(Mmcv):
        def forward(self, x):
            return 1.5 * super().forward(x)

    report = audit(peer(Other(C)), images())
    assert any("its output is not that of the block" in note for note in report.notes)


def test_the_report_in_all_its_forms(tmp_path):
    report = audit(planted(-0.8, 2.5), images(), name="small net")
    assert isinstance(report, AuditReport)
    assert repr(report) == "AuditReport(small net, 3 layers)\n  1: damping\n  2: unstable\n  3: healthy"
    text = report.to_text()
    assert "Damping" in text and "Unstable" in text and "Healthy" in text and "small net" in text
    record = json.loads(report.to_json())
    facts = {a["name"]: a["facts"] for a in record["audits"]}
    assert facts["through depth"]["verdict.2"] == "unstable" and facts["3"]["verdict"] == "healthy"
    assert facts["2"]["sub-block 1.rank"] == C // 2
    figures = report.figures()
    assert set(figures) == {"1", "2", "3"} and all(len(f.axes) == 3 for f in figures.values())
    report.save(tmp_path / "page.html")
    report.save(tmp_path / "record.json")
    page = (tmp_path / "page.html").read_text()
    assert json.loads((tmp_path / "record.json").read_text()) == record
    assert Page(page).tags.count("figure") >= 3 and "Damping" in page


@pytest.mark.parametrize("heads", [1, 2])
def test_energy_and_rank(heads, rng):
    K, Z = rng.uniform(size=(heads, 6, 6)), rng.standard_normal((6, 3))
    gaps = ((Z[:, None] - Z[None]) ** 2).sum(-1)
    expected = float((K.mean(0) * gaps).sum()) / 12
    assert abs(dirichlet_energy(K, Z) - expected) <= tolerance("reduction", n=36, scale=float(gaps.max()))
    assert abs(effective_rank(np.eye(5)) - 5.0) <= tolerance("reduction", n=5, scale=5.0)
    assert abs(effective_rank(np.ones((5, 2))) - 1.0) <= tolerance("reduction", n=64, scale=8.0)
    assert effective_rank(np.zeros((5, 2))) == 0.0


def test_refusals():
    with pytest.raises(DtypeError, match=r"torch\.nn\.Module"):
        audit(3, images())  # pyright: ignore[reportArgumentType]
    with pytest.raises(DomainError, match="no layer that averages"):
        audit(nn.Conv2d(3, 4, 1), images())
    with pytest.raises(DomainError, match="sample"):
        audit(planted(-0.8, 0.9), images(), sample=-1)
    notes = audit(planted(-0.8, 0.9), images(), sample=2).notes
    assert all("sample must be one of the batch" in note for note in notes)
    with pytest.raises(DtypeError, match="positions"):
        audit(planted(-0.8, 0.9), images(), positions=1.5)  # pyright: ignore[reportArgumentType]


def test_the_original_is_not_shared_with_the_report():
    net = planted(-0.8, 0.9)
    report = audit(net, images())
    text = report.to_json()
    with torch.no_grad():
        for p in copy.deepcopy(net).parameters():
            p.zero_()
    assert report.to_json() == text
