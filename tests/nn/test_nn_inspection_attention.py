"""The audit of attention: the law is that of the definition at every door of torch, and what it does is not guessed."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nlmodel.errors import DomainError
from nlmodel.nn.inspection import audit
from nlmodel.nn.inspection.attended import Attended, fused_logits
from nlmodel.nn.inspection.heads import INCLUDED, MASKED, RESIDUAL, UNEXPLAINED
from nlmodel.nn.inspection.seen import Watch, is_attention
from nlmodel.testing import assert_close, tolerance
from tests.nn.nn_cases import seeded
from tests.nn.peers import Encoder, SelfAttention


C, M = 8, 5


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded())


def sequences(channels: int = C) -> Tensor:
    return normal(2, M, channels)


def law(net: nn.Module, x: Any, name: str, sample: int = 1) -> Tensor:
    watch = Watch(net, [name], sample=sample)
    watch.run((x,), {})
    found = watch.seen[name].law
    assert found is not None
    return found


q, k, v = normal(3, 2, 4, M, 3).double()
SEEN = normal(2, 1, M, M) > -1.0
DOORS = {
    "F.softmax": lambda: F.softmax(q @ k.mT, -1) @ v,
    "torch.softmax": lambda: torch.softmax(q @ k.mT, dim=-1) @ v,
    "Tensor.softmax": lambda: (q @ k.mT).softmax(dim=3) @ v,
    "nn.Softmax": lambda: nn.Softmax(-1)(q @ k.mT) @ v,
    "scaled": lambda: F.scaled_dot_product_attention(q, k, v),
    "given scale": lambda: F.scaled_dot_product_attention(q, k, v, scale=0.3),
    "causal": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "mask of truth": lambda: F.scaled_dot_product_attention(q, k, v, SEEN | torch.eye(M, dtype=torch.bool)),
    "mask of numbers": lambda: F.scaled_dot_product_attention(q, k, v, normal(M, M).double()),
    "mask of senders": lambda: F.scaled_dot_product_attention(q, k, v, normal(2, 1, 1, M).double()),
    "shared keys": lambda: F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True),
}


@pytest.mark.parametrize("door", DOORS)
def test_the_law_at_every_door_gives_what_torch_computes(door):
    told = []
    with Attended(told.append):
        y = DOORS[door]()
    (logits,) = told
    values = v[:, [0, 0, 1, 1]] if door == "shared keys" else v
    for sample in range(2):
        P = logits.sample(sample, 2).softmax(-1)
        assert_close(P @ values[sample], y[sample], "reduction", n=8 * M)
    with pytest.raises(AssertionError):  # control: the law of the other sample
        assert_close(logits.sample(0, 2).softmax(-1) @ values[1], y[1], "reduction", n=8 * M)


def test_what_is_no_attention_is_not_told():
    told = []
    with Attended(told.append):
        (q @ k.mT).softmax(-2)
        (q @ k[..., :3, :].mT).softmax(-1)
        normal(M, M).softmax(-1)
        F.scaled_dot_product_attention(q, k[..., :3, :], v[..., :3, :])
    assert told == []


def test_logits_of_no_such_sample():
    logits = fused_logits(q, k)
    assert logits.sample(2, 2) is None and logits.sample(0, 3) is None and logits.sample(1, 2) is not None


@pytest.mark.parametrize("options", [{}, {"heads": 4, "groups": 2}, {"causal": True}, {"heads": 1}])
def test_laws_and_heads_of_a_layer(options):
    net = Encoder(C, **options).double()
    x = sequences(3).double()
    with torch.no_grad():
        expected = net.attention.probabilities(net.embed(x))
    assert_close(law(net, x, "attention"), expected[1], "reduction", n=4 * C)
    found = audit(net, x, sample=1).layers["attention"]
    assert found.value("heads") == options.get("heads", 2) and RESIDUAL in found.assumed
    assert f"head 0 of {options.get('heads', 2)}" in found.assumed[0]


@pytest.mark.parametrize(("wrap", "said"), [("", RESIDUAL), ("residual", INCLUDED), ("norm", UNEXPLAINED)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_features_after_are_those_that_go_on(wrap, said, dtype):
    net, x = Encoder(C, wrap=wrap).to(dtype), sequences(3).to(dtype)
    with torch.no_grad():
        h = net.embed(x)
        y = net.attention(h)[0].double() + (0 if wrap else h.double())
    found = audit(net, x).layers["attention"]
    assert said in found.assumed
    slack = tolerance("reduction", np.float64 if dtype == torch.float64 else np.float32, n=64 * C, scale=float(y.var()))
    if dtype != torch.bfloat16:
        assert abs(found.value("variance_after") - float(y[0].var(0, correction=0).sum())) <= slack


def test_values_of_another_layer_do_not_explain_it():
    class Other(SelfAttention):
        def forward(self, hidden_states: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
            y, P = super().forward(hidden_states)
            return y.flip(-1), P

    found = audit(nn.Sequential(Other(C)), sequences()).layers["0"]
    assert UNEXPLAINED in found.assumed


@pytest.mark.parametrize(
    "x",
    [
        sequences(3),
        (sequences(3),),
        {"x": sequences(3), "shift": 0.0},
    ],
)
def test_inputs_alone_in_a_tuple_and_by_name(x):
    net = Encoder(C)
    assert audit(net, x).to_json() == audit(net, sequences(3)).to_json()
    assert audit(net, {"x": sequences(3), "shift": 1.0}).to_json() != audit(net, sequences(3)).to_json()  # control


class Torch(nn.Module):
    """torch's own module, called in one way or another."""

    def __init__(self, batch_first: bool = True, cross: bool = False, **masks: Tensor):
        super().__init__()
        self.inner = nn.MultiheadAttention(C, 2, batch_first=batch_first)
        self.cross, self.masks = cross, masks

    def forward(self, x: Tensor) -> Tensor:
        other = x.flip(-2) if self.cross else x
        return self.inner(x, other, value=other, **self.masks)[0]


CAUSAL = torch.ones(M, M).triu(1).bool()
PADDED = torch.tensor([[False] * M, [False] * 3 + [True] * 2])
MASKS = [
    {"attn_mask": CAUSAL},
    {"attn_mask": normal(4, M, M)},
    {"key_padding_mask": PADDED},
    {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False},
]


@pytest.mark.parametrize("masks", MASKS)
def test_masks_of_torch_are_part_of_the_law(masks):
    net, x = Torch(**masks), sequences()
    with torch.no_grad():
        kept = {name: mask for name, mask in masks.items() if name.endswith("mask")}
        _, P = net.inner(x, x, x, **kept, average_attn_weights=False)
    report = audit(net, x, sample=1)
    found = report.layers["inner"]
    second = np.sort(np.abs(np.linalg.eigvals(P[1].double().numpy())), axis=1)[:, -2]
    low, high = found.value("lambda_2").split(" to ") if second.min() < second.max() else (found.value("lambda_2"),) * 2
    slack = tolerance("solve", np.float32, n=16 * C)
    assert abs(float(low) - second.min()) <= slack and abs(float(high) - second.max()) <= slack
    assert report.notes == () and MASKED in found.assumed
    assert MASKED not in audit(Torch(), x).layers["inner"].assumed


def test_torch_attention_by_columns_and_without_a_batch():
    net, x = Torch().eval(), sequences()
    columns = Torch(batch_first=False).eval()
    columns.load_state_dict(net.state_dict())
    facts = [audit(net, x).layers["inner"], audit(net, x[0]).layers["inner"]]
    facts += [audit(columns, x.transpose(0, 1)).layers["inner"], audit(columns, x[0]).layers["inner"]]
    energies = [found.value("energy_after") for found in facts]
    assert np.ptp(energies) <= tolerance("reduction", np.float32, n=64 * C, scale=max(energies))
    assert audit(net, x, sample=1).layers["inner"].value("energy_after") not in energies  # control


def test_places_that_are_added_to_queries_and_keys_alone():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(C, 2)

        def forward(self, x):
            q = x + torch.linspace(0, 3, M)[:, None, None]
            return x + self.inner(q, q, x)[0]

    net, x = Placed().eval(), sequences().transpose(0, 1)
    report = audit(net, x)
    with torch.no_grad():
        expected = float(net(x)[:, 0].double().var(0, correction=0).sum())
    slack = tolerance("reduction", np.float32, n=64 * C, scale=expected)
    assert report.notes == () and abs(report.layers["inner"].value("variance_after") - expected) <= slack


def test_cross_attention_is_said():
    (note,) = audit(Torch(cross=True), sequences()).notes
    assert note.startswith("inner: only its weights were audited; queries, keys and values differ")

    class Cross(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = SelfAttention(C)

        def forward(self, x):
            return self.a(x, key_value_states=x.flip(1))[0]

    (note,) = audit(Cross(), sequences()).notes
    assert note.startswith("a: only its weights were audited; queries, keys and values differ")


@pytest.mark.parametrize("training", [False, True])
def test_the_fused_encoder_layer_of_torch_is_seen(training):
    net = nn.Sequential(nn.TransformerEncoderLayer(C, 2, 8, batch_first=True)).train(training)
    report = audit(net, sequences())
    assert list(report.layers) == ["0.self_attn"] and report.notes == ()
    assert report.layers["0.self_attn"].value("stochastic") == "2 of 2"


class Windows(nn.Module):
    """Attention within two halves of each sample, which are entries of the batch."""

    def __init__(self):
        super().__init__()
        self.a = SelfAttention(C)

    def forward(self, x):
        return self.a(x.unflatten(1, (2, -1)).flatten(0, 1))[0]


def test_windows_belong_to_their_sample():
    net, x = Windows(), normal(2, 2 * M, C)
    with torch.no_grad():
        expected = net.a.probabilities(x[1:, :M])
    assert_close(law(net, x, "a").float(), expected[0], "reduction", n=16 * C)
    found = audit(net, x, sample=1).layers["a"]
    assert "2 entries for each sample" in " ".join(found.assumed)
    assert "entries for each sample" not in " ".join(audit(nn.Sequential(net.a), x).layers["0"].assumed)  # control


class Unknown(nn.Module):
    """Attention whose weights have names that nobody knows, and which passes its probabilities on."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(C, C)

    def forward(self, x):
        P = (x @ x.mT)[:, None].softmax(-1)
        return x + self.mix(P[:, 0] @ x), P


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.known = Unknown(), SelfAttention(C)

    def forward(self, x):
        y, P = self.inner(x)
        return self.known(y)[0], P


class Alone(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Unknown()

    def forward(self, x):
        return self.inner(x)[0]


def test_attention_with_unknown_weights_is_said_once():
    (note,) = audit(Outer(), sequences()).notes
    assert note.startswith("inner: computes attention, but the weights")
    with pytest.raises(DomainError, match="inner: computes attention"):
        audit(Alone(), sequences())


class Silent(SelfAttention):
    """Its law is formed without any softmax."""

    def forward(self, hidden_states: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.o_proj(self.v_proj(hidden_states).cumsum(1))


class Returning(SelfAttention):
    """Its law is formed without any softmax, and returned."""

    def forward(self, hidden_states: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        weights = torch.ones(M, M).tril()
        P = (weights / weights.sum(-1, keepdim=True)).expand(len(hidden_states), 2, M, M)
        values = self.v_proj(hidden_states).unflatten(-1, (2, -1)).transpose(1, 2)
        return self.o_proj((P @ values).transpose(1, 2).flatten(2)), P


def test_a_law_without_a_softmax_is_known_when_it_is_returned_and_not_made_up_else():
    (note,) = audit(nn.Sequential(Silent(C)), sequences()).notes
    assert "no attention of its positions to each other was seen" in note
    found = audit(nn.Sequential(Returning(C)), sequences()).layers["0"]
    assert found.value("heads") == 2 and RESIDUAL in found.assumed
    assert abs(found.value("lambda_2") - 0.5) <= tolerance("solve", np.float32, n=M)


def test_what_a_law_is():
    P = normal(2, 3, M, M).softmax(-1)
    assert is_attention(P) and is_attention(P.bfloat16()) and is_attention(P.half())
    for other in (P.logit(), 0.9 * P, P[0], P[..., :3], P.mT, normal(2, 3, 1, 1)):
        assert not is_attention(other)


def test_too_many_positions_cost_nothing():
    (note,) = audit(Encoder(C), sequences(3), positions=4).notes
    assert "it has 5 positions; positions=5 audits them" in note
