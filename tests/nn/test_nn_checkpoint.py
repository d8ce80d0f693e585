"""Every layer of a checkpoint is found by its names, and its W is what the layer does to a constant field."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nlmodel import nn as nl
from nlmodel.audit import audit_weights
from nlmodel.audit.words import to_plain
from nlmodel.errors import DomainError, DtypeError, FileError, NonFiniteError, ShapeError
from nlmodel.nn.checkpoint import audit_checkpoint, layer_names
from nlmodel.testing import assert_close
from tests.nn.nn_cases import seeded
from tests.nn.peers import AlexHex, Mmcv, Timm


C = 8
FACTS = ("trace", "norm", "positive_mass", "negative_mass", "smallest_symmetric", "spectral_radius")


def drawn(module: nn.Module, seed: int = 5) -> nn.Module:
    """In float64 and evaluation, with every weight and running statistic away from where it starts."""
    g = seeded(seed)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                value.copy_(("var" in name) + 0.3 * torch.rand(value.shape, generator=g) - 0.1)
    return module.double().eval()


def response(module: nn.Module, shape: tuple[int, ...] = (2, 2)) -> np.ndarray:
    """The (C, C) matrix by which the increment of a row-stochastic block acts on constant fields."""
    units = torch.cat([torch.zeros(1, C), torch.eye(C)]).double()
    fields = units.reshape(C + 1, C, *[1] * len(shape)).expand(-1, -1, *shape)
    with torch.no_grad():
        change = (module(fields) - fields).flatten(2)[..., 0]
    return (change[1:] - change[0]).T.numpy().copy()


def saved(folder, content, name="net.pt"):
    path = folder / name
    torch.save(content, path)
    return path


def check_weight(audit, W: np.ndarray) -> None:
    """The audit is that of W, up to rounding in the eigenvalues."""
    expected = audit_weights(W)
    found = (np.array([float(a.value(key)) for key in FACTS]) for a in (audit, expected))
    assert_close(*found, kind="solve", n=C, scale=float(np.linalg.norm(W)), cond=10.0)


BLOCKS = {
    "ours": lambda: nl.NonlocalBlock(C),
    "ours with a norm": lambda: nl.NonlocalBlock(C, norm="batch", affinity="gaussian"),
    "double attention": lambda: nl.DoubleAttention(C, norm="batch"),
    "multihead": lambda: nl.MultiheadNonlocalBlock(C, heads=2, norm="batch"),
    "criss-cross": lambda: nl.CrissCross(C, recurrence=1),
    "global context": lambda: nl.GlobalContext(C, transform="linear"),
    "mmcv": lambda: Mmcv(C),
    "mmcv, pooled, with a norm": lambda: Mmcv(C, mode="gaussian", sub_sample=True, norm=True),
    "timm": lambda: Timm(C),
    "Non-local_pytorch": lambda: AlexHex(C),
    "Non-local_pytorch, plain": lambda: AlexHex(C, mode="gaussian", sub_sample=False, norm=False),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_weight_of_a_block_is_what_it_does_to_constants(kind, tmp_path):
    block = drawn(BLOCKS[kind]())
    network = nn.Sequential(nn.Conv2d(3, C, 3), nn.Sequential(block))
    path = saved(tmp_path, network.state_dict())
    assert layer_names(path) == ["1.0"]
    eps = 1e-3 if kind == "mmcv, pooled, with a norm" else 1e-5
    (audit,), _ = audit_checkpoint(path, norm_eps=eps)
    check_weight(audit, response(block))
    assert audit.name == "1.0"
    assert not any("\\" in to_plain(line) for line in audit.assumed)
    if "norm" in kind or kind == "timm":  # the control: statistics matter
        (wrong,), _ = audit_checkpoint(path, norm_eps=1.0)
        with pytest.raises(AssertionError):
            check_weight(wrong, response(block))


@pytest.mark.parametrize("options", [{"blocks": 3}, {"blocks": 2, "tie": "psd"}])
def test_every_sub_block_of_a_stage(options, tmp_path):
    stage = drawn(nl.NonlocalStage(C, **options))
    audits, _ = audit_checkpoint(saved(tmp_path, {"model": stage.state_dict()}))
    assert [audit.name for audit in audits] == [f"block sub-block {n}" for n in range(options["blocks"])]
    for audit, W in zip(audits, stage.weight_matrices(), strict=True):
        check_weight(audit, W.detach().numpy())


@pytest.mark.parametrize("generalized", [False, True])
def test_a_spectral_block_is_audited_by_its_averaging_term(generalized, tmp_path):
    block = drawn(nl.SpectralNonlocalBlock(C, generalized=generalized))
    (audit,), _ = audit_checkpoint(saved(tmp_path, block.state_dict()))
    check_weight(audit, -block.chebyshev()[1].detach().numpy().T)


class Tokens(nn.Module):
    """torch's attention with a residual, on (B, C, *positions), one head alone if wanted."""

    def __init__(self, layer: nn.MultiheadAttention, head: int | None = None):
        super().__init__()
        self.layer = copy.deepcopy(layer)
        width = C // layer.num_heads
        if head is not None:
            outside = torch.arange(C) // width != head
            self.layer.out_proj.weight.data[:, outside] = 0

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(2).mT
        return x + self.layer(z, z, z, need_weights=False)[0].mT.view_as(x)


def test_heads_of_attention_one_by_one_and_together(tmp_path):
    layer = drawn(nn.MultiheadAttention(C, 4, batch_first=True))
    path = saved(tmp_path, nn.ModuleDict({"attn": layer}).state_dict())
    (audit,), _ = audit_checkpoint(path)
    check_weight(audit, response(Tokens(layer)))
    assert "--heads" in " ".join(audit.assumed)
    blocks = saved(tmp_path, drawn(nl.NonlocalBlock(C)).state_dict(), "blocks.pt")
    assert "number of heads has no effect" in " ".join(audit_checkpoint(blocks, heads=4)[1])
    audits, _ = audit_checkpoint(path, heads=4)
    assert [a.name for a in audits] == [f"attn head {h}" for h in range(4)]
    for h, audit in enumerate(audits):
        check_weight(audit, response(Tokens(layer, h)))
    with pytest.raises(AssertionError):  # the control: another number of heads, other weights
        check_weight(audit_checkpoint(path, heads=2)[0][0], response(Tokens(layer, 0)))
    (only,), _ = audit_checkpoint(path, heads=4, keys=["attn head 2"])
    check_weight(only, response(Tokens(layer, 2)))


W_V, W_O = (torch.randn(C, C, generator=seeded(k), dtype=torch.float64) for k in (1, 2))
ANY = torch.ones(C, C, dtype=torch.float64)
LAYOUTS = {
    "encoder.layer.0.attention": ("self.query", "self.key", "self.value", "output.dense"),
    "vit.encoder.layer.3.attention": ("attention.query", "attention.key", "attention.value", "output.dense"),
    "deberta.layer.0.attention": ("self.query_proj", "self.key_proj", "self.value_proj", "output.dense"),
    "albert.attention": ("query", "key", "value", "dense"),
    "transformer.layer.0.attention": ("q_lin", "k_lin", "v_lin", "out_lin"),
    "decoder.block.1.layer.0.SelfAttention": ("q", "k", "v", "o"),
    "model.layers.0.self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "text.layers.0.self_attn": ("q_proj", "k_proj", "v_proj", "out_proj"),
}
PACKED = {
    "blocks.0.attn": {"qkv.weight": torch.cat([ANY, ANY, W_V]), "proj.weight": W_O},
    "layers.0.attn": {"Wqkv.weight": torch.cat([ANY, ANY, W_V]), "Wo.weight": W_O},
    "layers.1.attn": {"qkv_proj.weight": torch.cat([ANY, ANY, W_V]), "o_proj.weight": W_O},
    "h.0.attn": {"c_attn.weight": torch.cat([ANY, ANY, W_V]).mT, "c_proj.weight": W_O.mT},
    "gpt.0.attn": {"c_attn.weight": torch.cat([ANY, ANY, W_V]), "c_proj.weight": W_O},
    "cross": {"q_proj_weight": ANY, "k_proj_weight": ANY, "v_proj_weight": W_V, "out_proj.weight": W_O},
}


@pytest.mark.parametrize("name", [*LAYOUTS, *PACKED])
def test_attention_is_known_by_the_names_of_its_layers(name, tmp_path):
    if name in LAYOUTS:
        parts = zip(LAYOUTS[name], (ANY, ANY, W_V, W_O), strict=True)
        state = {f"{name}.{part}.weight": value for part, value in parts}
    else:
        state = {f"{name}.{part}": value for part, value in PACKED[name].items()}
    feed_forward = {f"{name.rpartition('.')[0]}.output.dense.weight": torch.ones(C, 4 * C)}
    path = saved(tmp_path, {"state_dict": {**feed_forward, **state}})
    assert layer_names(path) == [name]
    (audit,), _ = audit_checkpoint(path)
    check_weight(audit, (W_O @ W_V).numpy())
    with pytest.raises(AssertionError):
        check_weight(audit, (W_V @ W_O).mT.numpy() + np.eye(C))


def test_heads_that_share_their_values(tmp_path):
    v, o = torch.randn(4, C, generator=seeded(3)).double(), torch.randn(C, 8, generator=seeded(4)).double()
    names = zip(("q_proj", "k_proj", "v_proj", "o_proj"), (ANY, v, v, o), strict=True)
    path = saved(tmp_path, {f"a.{name}.weight": value for name, value in names})
    with pytest.raises(ShapeError, match="--heads"):
        audit_checkpoint(path)
    audits, _ = audit_checkpoint(path, heads=4)  # of width 2: heads 0 and 1 have the first values
    for h, audit in enumerate(audits):
        values = v[:2] if h < 2 else v[2:]
        check_weight(audit, (o[:, 2 * h : 2 * h + 2] @ values).numpy())


@pytest.mark.parametrize("groups", [4, 2])
def test_one_tensor_whose_keys_and_values_are_shared(groups, tmp_path):
    values = torch.randn(2 * groups, C, generator=seeded(3)).double()
    rows = torch.cat([torch.zeros(8, C).double(), -values, values])
    path = saved(tmp_path, {"a.qkv_proj.weight": rows, "a.o_proj.weight": W_O[:, :8]})
    for h, audit in enumerate(audit_checkpoint(path, heads=4)[0]):
        at = 2 * (h * groups // 4)
        check_weight(audit, (W_O[:, 2 * h : 2 * h + 2] @ values[at : at + 2]).numpy())


def test_queries_keys_and_values_that_lie_together_by_heads(tmp_path):
    d = C // 4
    rows = torch.cat([torch.cat([ANY[:d], ANY[:d], W_V[h * d : (h + 1) * d]]) for h in range(4)])
    path = saved(tmp_path, {"a.query_key_value.weight": rows, "a.dense.weight": W_O})
    for h, audit in enumerate(audit_checkpoint(path, heads=4)[0]):
        check_weight(audit, (W_O[:, h * d : (h + 1) * d] @ W_V[h * d : (h + 1) * d]).numpy())
    with pytest.raises(AssertionError):  # the control: another number of heads, other rows
        check_weight(audit_checkpoint(path, heads=2)[0][0], (W_O[:, : 2 * d] @ W_V[: 2 * d]).numpy())
    with pytest.raises(ShapeError, match="lie together by heads"):
        audit_checkpoint(path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("conv_mask", "channel_add_conv.0", "channel_add_conv.3"), "a ReLU on one mean"),
        (("conv_attn", "mlp_add.fc1", "mlp_add.fc2"), "a ReLU on one mean"),
        (("conv_attn", "mlp_scale.fc1", "mlp_scale.fc2"), "scales channels"),
    ],
)
def test_global_contexts_of_others_are_named(names, said, tmp_path):
    state = {f"gc.{name}.weight": torch.ones(C, C, 1, 1) for name in names}
    with pytest.raises(DomainError, match=said):
        audit_checkpoint(saved(tmp_path, state))
    del state[f"gc.{names[0]}.weight"]  # control
    with pytest.raises(FileError, match="no layer"):
        audit_checkpoint(saved(tmp_path, state))


def test_wrappers_and_second_sets(tmp_path):
    network = nn.Sequential(drawn(nl.NonlocalBlock(C)), drawn(nl.NonlocalBlock(C), seed=6))
    state = network.state_dict()
    wrapped = {f"module._orig_mod.{name}": 2 * value for name, value in state.items()}
    optimizer = torch.optim.Adam(network.parameters()).state_dict()
    content = {"epoch": 3, "state_dict": wrapped, "optimizer": optimizer, "ema": state}
    path = saved(tmp_path, content)
    assert layer_names(path) == ["state_dict.0", "state_dict.1", "ema.0", "ema.1"]
    audits, notes = audit_checkpoint(path)
    assert [a.name for a in audits] == ["state_dict.0", "state_dict.1"]
    assert any("under ema" in note for note in notes)
    (only,), _ = audit_checkpoint(path, keys=["ema.1"])
    check_weight(only, response(network[1]))
    for other in (*audits, audit_checkpoint(path, keys=["ema.0"])[0][0]):  # the control
        with pytest.raises(AssertionError):
            check_weight(other, response(network[1]))
    assert layer_names(saved(tmp_path, {"model": wrapped})) == ["0", "1"]


def test_safetensors_in_half_precision(tmp_path):
    block = drawn(nl.NonlocalBlock(C)).to(torch.bfloat16)
    save_file(block.state_dict(), tmp_path / "m.safetensors")
    (audit,), _ = audit_checkpoint(tmp_path / "m.safetensors")
    assert "Stored in bfloat16, analysed in float64." in audit.assumed
    check_weight(audit, (block.w_z.weight.double() @ block.g.weight.double()).detach().numpy())


def planted(W: Tensor) -> nn.Module:
    block = nl.NonlocalBlock(C, C).double()
    block.g.weight.data, block.w_z.weight.data = torch.eye(C, dtype=torch.float64), W
    return block


def test_planted_damping_instability_and_health_are_told_apart(tmp_path):
    Q = torch.linalg.qr(W_V).Q
    W = Q @ torch.linspace(0.2, 0.9, C, dtype=torch.float64).diag() @ Q.mT
    blocks = {"negative": planted(-W), "large": planted(5 * W), "healthy": planted(W)}
    audits, _ = audit_checkpoint(saved(tmp_path, nn.ModuleDict(blocks).state_dict()))
    acts = {a.name: [f.headline for f in a.findings if f.level == "act"] for a in audits}
    assert "negative real part" in acts["negative"][0]
    assert "too large" in acts["large"][0]
    assert acts["healthy"] == []


def test_what_cannot_be_analysed_is_said(tmp_path):
    good, bad = drawn(nl.NonlocalBlock(C)), drawn(nl.NonlocalBlock(C))
    bad.g.weight.data[0, 0] = float("nan")
    certified = nl.certified(nl.NonlocalStage(C, 1, tie="psd", symmetric=True), "contraction")
    network = nn.ModuleDict(
        {
            "good": good,
            "nan": bad,
            "certified": certified,
            "compact": nl.CompactGeneralizedNonlocal(C),
            "context": nl.GlobalContext(C),
            "cross": nn.MultiheadAttention(C, 2, kdim=6, vdim=6),
            "widths": nn.ModuleDict({"g": nn.Linear(C, 3), "w_z": nn.Linear(4, C)}),
        }
    )
    state = network.state_dict()
    state["whole.g.weight"] = state["whole.w_z.weight"] = torch.ones(2, 2, dtype=torch.int32)
    state["wide.g.weight"], state["wide.w_z.weight"] = torch.ones(1, 2001), torch.ones(2001, 1)
    state["group.conv_out.conv.weight"], state["group.g.conv.weight"] = W_O[:, :, None, None], W_V[:, :, None, None]
    state["group.conv_out.gn.weight"] = torch.ones(C)
    state["many.w_z"], state["many.w_g"] = W_V[None, :, :2].repeat(14, 1, 1), W_O[None, :2].repeat(14, 1, 1)
    path = saved(tmp_path, state)
    audits, notes = audit_checkpoint(path)
    text = "\n".join(notes)
    for words in (
        "Left out nan: W_g must be finite",
        "Left out certified: a certified stage",
        "Left out compact: in a compact generalised block",
        "Left out context: a global context",
        "Left out cross: no weight W",
        "Left out widths: W_Z and W_g must be",
        "Left out whole: whole.w_z.weight must be real floating-point",
        "Left out wide: at most 2000 channels",
        "Left out many sub-block 13: one run audits at most 12",
        "nothing is said of the affinities",
    ):
        assert words in text
    assert "good" in [a.name for a in audits]
    (group,), _ = audit_checkpoint(path, keys=["group"])
    assert "has no running statistics" in " ".join(group.assumed)
    check_weight(group, (W_O @ W_V).numpy())


def state_of(module: nn.Module, **changes: Tensor) -> dict[str, Tensor]:
    return {**drawn(module).state_dict(), **changes}


BLOCK = state_of(nl.NonlocalBlock(C, norm="batch"))
MHA = state_of(nn.MultiheadAttention(C, 2))
REFUSED = [
    ({"fc.weight": ANY}, {}, FileError, "no layer that averages"),
    (BLOCK, {"keys": ["layer9"]}, FileError, "no layer of this name"),
    (BLOCK, {"keys": "g"}, DtypeError, "sequence of names"),
    (BLOCK, {"keys": [1]}, DtypeError, "sequence of names"),
    (BLOCK, {"heads": 0}, DomainError, "heads must be at least 1"),
    (BLOCK, {"heads": 2.0}, DtypeError, "heads must be a whole number"),
    (BLOCK, {"norm_eps": 0.0}, DomainError, "norm_eps must be > 0"),
    (MHA, {"heads": 3}, DomainError, "must divide"),
    (MHA, {"heads": 16}, DomainError, "must divide"),
    ({**BLOCK, "w_z.weight": torch.full((C, C // 2), torch.nan)}, {}, NonFiniteError, "finite"),
    ({**BLOCK, "w_z.weight": torch.ones(C, 2)}, {}, ShapeError, "W_Z and W_g"),
    ({**BLOCK, "w_z.weight": torch.ones(C)}, {}, ShapeError, "2 dimensions"),
    ({**BLOCK, "w_z.weight": torch.ones(0, C // 2)}, {}, ShapeError, "not be empty"),
    ({**BLOCK, "norm.running_var": -torch.ones(C)}, {}, DomainError, "variances"),
    ({**BLOCK, "norm.running_var": torch.ones(2)}, {}, ShapeError, "one number a channel"),
    ({**BLOCK, "w_z.weight": torch.ones(C, C // 2, device="meta")}, {}, DtypeError, "floating-point"),
    ({**BLOCK, "w_z.weight": torch.ones(C, C // 2).to_sparse()}, {}, DtypeError, "floating-point"),
    ({"in_proj_weight": torch.ones(7, C), "out_proj.weight": ANY}, {}, ShapeError, "fitting sizes"),
]


@pytest.mark.parametrize(("state", "options", "error", "message"), REFUSED)
def test_refusals(state, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        audit_checkpoint(saved(tmp_path, state), **options)
