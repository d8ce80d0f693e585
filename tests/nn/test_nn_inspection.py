"""The audit of networks: plants are named, layers of every origin are found, the network stays what it was."""

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import nlmodel as nl
from nlmodel.audit.words import number
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.inspection import AuditReport, audit
from nlmodel.nn.inspection.passage import dirichlet_energy, effective_rank
from nlmodel.testing import tolerance
from tests.html_page import Page
from tests.nn.nn_cases import seeded
from tests.nn.peers import AlexHex, Encoder, Mmcv, Timm


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


def test_damping_by_an_affinity_with_negative_modes_is_still_damping():
    block = filled(nl.nn.NonlocalBlock(C, affinity="embedded_gaussian", scale=True))
    with torch.no_grad():
        block.embedding.phi.weight.copy_(-block.embedding.theta.weight)  # who is unlike is listened to
        block.w_z.weight.copy_(-0.8 * block.g.weight.T / torch.linalg.matrix_norm(block.g.weight, 2) ** 2)
    found = audit(block, 2 * images(C)).layers["NonlocalBlock"]
    assert found.value("verdict") == "damping" and found.value("radius") > 1
    assert (
        f"grow, by up to {number(found.value('radius'))}" in found.findings[0].headline + found.findings[0].consequence
    )
    assert found.value("spectral_abscissa") == found.value("numerical_abscissa") == 0


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


def encoder() -> Encoder:
    torch.manual_seed(2)
    return Encoder(C)


def sequences() -> torch.Tensor:
    return torch.randn(2, 7, 3, generator=seeded())


def transformer() -> nn.Module:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(C, 4, 8, batch_first=True)
    return nn.Sequential(nn.Linear(3, C), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


def filled(block: nn.Module) -> nn.Module:
    for p in block.parameters():
        nn.init.normal_(p, 0.0, 0.3, seeded())
    return block


def peer(block: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, C, 1), filled(block))


FOUND = [
    (transformer(), sequences(), {"1.layers.0.self_attn": 4, "1.layers.1.self_attn": 4}),
    (encoder(), sequences(), {"attention": 2}),
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


def everything(net: nn.Module) -> dict[str, Any]:
    """All that an audit could change."""
    return {
        "state": {k: v.clone() for k, v in net.state_dict().items()},
        "grads": {k: None if p.grad is None else p.grad.clone() for k, p in net.named_parameters()},
        "needs": {k: p.requires_grad for k, p in net.named_parameters()},
        "modes": {k: m.training for k, m in net.named_modules()},
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()),
        "attributes": {k: sorted(vars(m)) for k, m in net.named_modules()},
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
@pytest.mark.parametrize(
    ("net", "x"),
    [
        (disturbed(planted(-0.8, 0.9)), images()),
        (disturbed(encoder()), sequences()),
        (transformer().train(), sequences()),
    ],
)
def test_the_network_is_left_as_it_was(net, x, mode):
    before = everything(net)
    with mode():
        audit(net, x)
    check_unchanged(before, everything(net))


def test_the_network_is_left_as_it_was_when_it_fails():
    net = encoder()
    before = everything(net)
    with pytest.raises(RuntimeError):
        audit(net, torch.ones(2, 7, 4))
    check_unchanged(before, everything(net))


class Restless(nn.Module):
    """What counts its calls, remembers features, hooks itself, draws numbers and works in place, in evaluation too."""

    def __init__(self):
        super().__init__()
        self.block = nl.nn.NonlocalBlock(C, w_init="he", generator=seeded())
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", None)

    def forward(self, x):
        self.calls += 1
        self.last = x.clone()
        if not hasattr(self, "hooked"):
            self.hooked = self.block.register_forward_hook(lambda module, args, output: None)
        x += torch.randn(x.shape)
        return self.block(x)


def test_what_changes_at_every_call_is_put_back():
    net, x = Restless(), images(C)
    before, given = everything(net), x.clone()
    audit(net, x)
    check_unchanged(before, everything(net))
    assert torch.equal(x, given)
    net(x)  # control
    for twin in (lambda: check_unchanged(before, everything(net)), lambda: check_unchanged(given, x)):
        with pytest.raises(AssertionError):
            twin()


def test_what_users_hooked_on_runs_once():
    net, calls = planted(-0.8, 0.9), []
    for module in net:
        module.register_forward_hook(lambda module, args, output: calls.append(module))
    assert audit(net, images()).notes == ()
    assert calls == list(net)


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_rounding_is_told_from_another_function(dtype, mode):
    class Other(Mmcv):
        def forward(self, x):
            return 1.5 * super().forward(x)

    x = images(C).to(dtype)
    assert audit(nn.Sequential(filled(Mmcv(C, mode=mode)).to(dtype)), x).notes == ()
    notes = audit(nn.Sequential(filled(Other(C, mode=mode)).to(dtype)), x).notes
    assert any("its output is not that of the block" in note for note in notes)


def test_layers_come_in_the_order_of_their_calls():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.never, self.first = (nl.nn.NonlocalBlock(C, w_init="he", generator=seeded()) for _ in "abc")

        def forward(self, x):
            return self.last(self.first(x))

    assert list(audit(Backwards(), images(C)).layers) == ["first", "last", "never"]


@pytest.mark.parametrize("normed", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_computed_are_audited_as_they_act(normed):
    net = nn.Sequential(nl.nn.NonlocalBlock(C, w_init="he", scale=True, generator=seeded()))
    torch.manual_seed(0)
    normed(net[0].g).train()
    before = everything(net)
    report = audit(net, images(C))
    check_unchanged(before, everything(net))
    with torch.no_grad():
        trace = float(net.eval()[0].weight_matrix().trace())
    found = report.layers["0"].value("trace")
    assert report.notes == () and abs(found - trace) <= tolerance("reduction", np.float32, n=C * C)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_rounding_within_autocast_is_rounding(precision):
    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = filled(nl.nn.NonlocalBlock(C, scale=True))

        def forward(self, x):
            with torch.autocast("cpu", precision):
                return self.block(x)

    assert audit(Cast(), images(C)).notes == ()


def test_programs_are_not_looked_into():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(C, 2, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x)[0]

    exported = torch.export.export(Attention().eval(), (torch.ones(2, 5, C),)).module()
    (note,) = audit(exported, torch.ones(2, 5, C)).notes
    assert note == "inner: only its weights were audited; it was not called in this pass."


def test_a_module_left_by_an_error_that_the_network_caught():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (nl.nn.NonlocalBlock(C, w_init="he", generator=seeded()) for _ in "ab")

        def forward(self, x):
            try:
                return self.a(x[:, 1:])
            except ValueError:
                return self.b(x)

    report = audit(Catching(), images(C))
    assert report.notes == ("a: only its weights were audited; it was left by an error in this pass.",)
    assert report.layers["b"].value("heads") == 1


def test_a_device_that_is_the_default_does_not_matter():
    net, x = planted(-0.8, 0.9), images()
    expected = audit(net, x).to_json()
    with torch.device("meta"):
        assert audit(net, x).to_json() == expected


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (nl.nn.CompactGeneralizedNonlocal(C), "channels are averaged with the positions"),
        (nl.nn.GlobalContext(C), "a ReLU on one mean"),
    ],
)
def test_blocks_that_no_weight_describes(block, said):
    net = nn.Sequential(block, nl.nn.NonlocalBlock(C, w_init="he", generator=seeded()))
    report = audit(net, images(C))
    assert list(report.layers) == ["1"] and said in report.notes[0]
    with pytest.raises(DomainError, match=said):  # alone, there is nothing to report
        audit(block, images(C))


@pytest.mark.parametrize(
    "block",
    [
        nl.nn.NonlocalBlock(C, w_init="he", generator=seeded()),
        nl.nn.NonlocalStage(C, 2, w_init="he", generator=seeded()),
        nl.nn.SpectralNonlocalBlock(C, generalized=True),
        nl.nn.DoubleAttention(C, slots=3),
        nl.nn.CrissCross(C),
        nl.nn.GlobalContext(C, transform="linear"),
        nl.nn.MultiheadNonlocalBlock(C, heads=2),
    ],
    ids=lambda block: type(block).__name__,
)
def test_what_is_at_the_edge_is_said_and_does_not_crash(block):
    filled(block)
    for x, said in [
        (images(C, 1), "one position"),
        (float("nan") * images(C), "hold NaN"),
        (images(C, 6), "36 positions"),
    ]:
        (note,) = audit(block, x, positions=30).notes
        assert said in note and note.startswith(type(block).__name__)
    assert audit(block, images(C)[0]).notes == ()  # control, without a batch
    for p in block.parameters():
        p.data.fill_(torch.nan)
    with pytest.raises(DomainError, match="NaN or infinity"):
        audit(block, images(C))


def test_a_stage_without_its_affinity_is_undecided():
    net = planted(-0.8, -0.5)
    assert audit(net, images(), positions=10).verdicts == {"1": "damping", "2": "undecided", "3": "undecided"}


def test_abscissae_are_those_of_the_weight_that_drives_growth():
    net = planted(-0.8, 0.9)
    report = audit(net, images())
    for name, sign in (("1", 1), ("2", -1)):
        block = net[int(name)]
        W = block.weight_matrix()[None] if sign == 1 else block.step * block.weight_matrices()
        W = sign * W.detach().double()
        found = report.layers[name]
        slack = tolerance("solve", np.float32, n=C, scale=float(W.abs().max()))
        assert abs(found.value("spectral_abscissa") - float(torch.linalg.eigvals(W).real.max())) <= slack
        assert abs(found.value("numerical_abscissa") - float(torch.linalg.eigvalsh((W + W.mT) / 2).max())) <= slack


def test_a_norm_is_folded_in_by_its_own_constant():
    net = peer(Mmcv(C, norm=True))
    nn.init.uniform_(net[1].conv_out.bn.running_var, 0.5, 2.0, generator=seeded())
    found, bn = audit(net, images()).layers["1"], net[1].conv_out.bn
    W = (net[1].conv_out.conv.weight.flatten(1) @ net[1].g.conv.weight.flatten(1)).detach()
    trace = float((bn.weight / (bn.running_var + bn.eps).sqrt() * W.diagonal()).sum().detach())
    slack = tolerance("reduction", np.float32, n=C, scale=float(W.abs().max()))
    assert abs(found.value("trace") - trace) <= slack < abs(found.value("trace") - float(W.trace()))
    assert "its eps is 0.001" in " ".join(found.assumed)


def test_the_report_in_text_and_numbers():
    report = audit(planted(-0.8, 2.5), images(), name="small net")
    assert isinstance(report, AuditReport)
    assert repr(report) == "AuditReport(small net, 3 layers)\n  1: damping\n  2: unstable\n  3: healthy"
    text = report.to_text()
    assert "Damping" in text and "Unstable" in text and "Healthy" in text and "small net" in text
    record = json.loads(report.to_json())
    facts = {a["name"]: a["facts"] for a in record["audits"]}
    assert facts["through depth"]["verdict.2"] == "unstable" and facts["3"]["verdict"] == "healthy"
    assert facts["2"]["sub-block 1.rank"] == C // 2


def test_the_report_with_its_figures(tmp_path):
    report = audit(planted(-0.8, 2.5)[:2], images(), name="small net")
    figures = report.figures()
    assert set(figures) == {"1"} and all(len(f.axes) == 3 for f in figures.values())
    report.save(tmp_path / "page.html")
    report.save(tmp_path / "record.json")
    page = (tmp_path / "page.html").read_text()
    assert (tmp_path / "record.json").read_text() == report.to_json()
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


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(C, 1), nl.nn.NonlocalBlock(C))


@pytest.mark.parametrize(
    ("net", "options", "error", "said"),
    [
        (3, {}, DtypeError, r"torch\.nn\.Module"),
        (nn.Conv2d(3, 4, 1), {}, DomainError, "no layer that averages"),
        (planted(-0.8, 0.9), {"sample": -1}, DomainError, "sample must be at least 0"),
        (planted(-0.8, 0.9), {"positions": 1}, DomainError, "positions must be at least 2"),
        (planted(-0.8, 0.9), {"positions": 1.5}, DtypeError, "positions"),
        (planted(-0.8, 0.9), {"heads": 0}, DomainError, "heads must be at least 1"),
        (planted(-0.8, 0.9).to("meta"), {}, DtypeError, r"hold numbers.*0\.weight"),
        (lazy(), {}, DtypeError, r"hold numbers.*0\.weight"),
    ],
)
def test_refusals(net, options, error, said):
    with pytest.raises(error, match=said):
        audit(net, images(), **options)


def test_a_sample_that_is_not_there():
    notes = audit(planted(-0.8, 0.9), images(), sample=2).notes
    assert len(notes) == 3 and all("sample must be one of the batch" in note for note in notes)


def test_the_original_is_not_shared_with_the_report():
    net = planted(-0.8, 0.9)
    report = audit(net, images())
    text = report.to_json()
    with torch.no_grad():
        for p in copy.deepcopy(net).parameters():
            p.zero_()
    assert report.to_json() == text
