"""Laws that every block beside the nonlocal block obeys: gradients, start, precision, permutations, bad input."""

import copy
import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NlmodelError, NonFiniteError, ShapeError
from nlmodel.nn.compact_generalized import CompactGeneralizedNonlocal
from nlmodel.nn.criss_cross import CrissCross
from nlmodel.nn.double_attention import DoubleAttention
from nlmodel.nn.global_context import GlobalContext
from nlmodel.nn.multihead import MultiheadNonlocalBlock
from nlmodel.nn.spectral import SpectralNonlocalBlock
from nlmodel.testing import assert_close, tolerance


SNL, A2, CGNL = SpectralNonlocalBlock, DoubleAttention, CompactGeneralizedNonlocal
ZOO = {
    "snl": lambda C, **k: SNL(C, 2, **k),
    "gsnl": lambda C, **k: SNL(C, 2, generalized=True, norm="batch", **k),
    "a2": lambda C, **k: A2(C, 2, slots=2, **k),
    "cgnl": lambda C, **k: CGNL(C, 2, **k),
    "cgnlx": lambda C, **k: CGNL(C, 2, kernel="rbf", gamma=0.1, prefactor="exact", scale=True, norm=None, **k),
    "cc": lambda C, **k: CrissCross(C, 2, **k),
    "cc_shared": lambda C, **k: CrissCross(C, 2, recompute=False, **k),
    "gc": lambda C, **k: GlobalContext(C, inner=3, **k),
    "gc_linear": lambda C, **k: GlobalContext(C, transform="linear", **k),
    "heads": lambda C, **k: MultiheadNonlocalBlock(C, 4, heads=2, **k),
    "heads_dense": lambda C, **k: MultiheadNonlocalBlock(C, 4, heads=2, algorithm="dense", **k),
}
STOCHASTIC = ("a2", "cc", "gc", "heads")
SHAPES = {1: (3,), 2: (2, 3), 3: (2, 1, 2)}


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def randomized(block: nn.Module, seed: int = 1, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The block with every parameter, zeros at the start included, drawn from a normal law."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in block.parameters():
        nn.init.normal_(parameter, 0.0, 0.7, generator)
    return block.to(dtype)


def function_of(block: nn.Module):
    """The block as a function of its input and all of its parameters."""
    names, parameters = zip(*block.named_parameters(), strict=True)
    leaves = [p.detach().clone().requires_grad_() for p in parameters]

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x,))

    return call, leaves


INPUTS = {
    "3D": (3, draw(2, 2, 2, 1, 2)),
    "one position": (2, draw(2, 2, 1, 1)),
    "one channel": (1, draw(1, 1, 3)),
    "ties": (2, draw(1, 2, 1, 1).expand(1, 2, 2, 2).contiguous()),
    "zero rows": (1, draw(1, 2, 3) * torch.tensor([1.0, 0.0, 1.0])),
}


def smooth(name: str, case: str) -> bool:
    """A zero row lies on the kink of SNL's relu; its dead positions have a test of their own."""
    return not (case == "zero rows" and name in ("snl", "gsnl"))


@pytest.mark.parametrize(("name", "case"), [(n, c) for n in ZOO for c in INPUTS if smooth(n, c)])
def test_first_and_second_derivatives(name: str, case: str) -> None:
    dimension, x = INPUTS[case]
    call, leaves = function_of(randomized(ZOO[name](x.shape[1], dimension=dimension)))
    inputs = (x.clone().requires_grad_(), *leaves)
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


def test_twin_a_detached_affinity_fails_the_gradient_check() -> None:
    class Detached(DoubleAttention):
        def _factors(self, Z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            B, V = super()._factors(Z)
            return B.detach(), V

    call, leaves = function_of(randomized(Detached(3, 2, slots=2)))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(call, (draw(1, 3, 2, 2).requires_grad_(), *leaves), fast_mode=True)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("name", ZOO)
def test_the_identity_at_the_start(name: str, dimension: int) -> None:
    block = ZOO[name](4, dimension=dimension)
    x = draw(2, 4, *SHAPES[dimension], dtype=torch.float32)
    assert torch.equal(block(x), x)
    block(x).sum().backward()
    moving = [p for p in block.parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)]
    assert moving  # and it can leave the start


@pytest.mark.parametrize("name", ZOO)
def test_twin_another_start_is_not_the_identity(name: str) -> None:
    start = {"gamma": 0.5} if name.startswith("cc") else {"w_init": 0.5}
    if name in ("gsnl", "cgnl"):
        start = {"w_init": "he"}
    x = draw(2, 4, 2, 3, dtype=torch.float32)
    first, second = (ZOO[name](4, generator=torch.Generator().manual_seed(5), **start)(x) for _ in range(2))
    assert torch.equal(first, second)  # the generator alone decides
    assert float((first - x).detach().abs().max()) > 0.01


@pytest.mark.parametrize("name", ZOO)
def test_leading_axes_are_a_batch(name: str) -> None:
    block, x = randomized(ZOO[name](4)).eval(), draw(2, 3, 4, 2, 3)
    flat = block(x.flatten(0, 1)).detach()
    assert_close(block(x).detach(), flat.reshape(x.shape), "solve", n=24)
    assert_close(block(x[0, 0]).detach(), flat[0], "solve", n=24, scale=float(flat.abs().max()))
    assert block.affinity(x).shape[:2] == (2, 3)
    assert block.affinity(x).shape[2:] == block.affinity(x[0, 0]).shape


@pytest.mark.parametrize("name", ZOO)
def test_float32_follows_float64(name: str) -> None:
    block, x = randomized(ZOO[name](4)), draw(2, 4, 2, 3)
    expected = block(x).detach()
    found = block.float()(x.float()).detach()
    assert found.dtype == torch.float32
    assert_close(found, expected.float(), "solve", n=24)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_affinities_in_float32(name: str, half: torch.dtype) -> None:
    block, x = randomized(ZOO[name](4), dtype=torch.float32), draw(2, 4, 2, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=half):
        assert block(x).dtype == torch.float32
        assert block(x.to(half)).dtype == half
        assert block.affinity(x).dtype == torch.float32
    lower = copy.deepcopy(block).to(half)
    assert lower(x.to(half)).dtype == half
    A = lower.affinity(x.to(half)).detach()
    assert A.dtype == torch.float32
    if name in STOCHASTIC:
        gap = float((A.sum(-1) - 1).abs().max())
        slack = tolerance("reduction", np.float32, n=A.shape[-1])
        assert gap <= slack
        assert float((A.to(half).float().sum(-1) - 1).abs().max()) > slack  # control: rounded entries


def permuted(x: torch.Tensor, seed: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(x.shape[-1] * x.shape[-2], generator=torch.Generator().manual_seed(seed))
    return order, x.flatten(-2)[..., order].reshape(x.shape)


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("cc")])
def test_permutation_equivariance(name: str) -> None:
    block, x = randomized(ZOO[name](4)), draw(2, 4, 2, 3)
    order, y = permuted(x)
    expected = block(x).detach().flatten(-2)[..., order].reshape(x.shape)
    assert_close(block(y).detach(), expected, "solve", n=24)


def test_twin_criss_cross_sees_where_positions_are() -> None:
    block, x = randomized(CrissCross(4, recurrence=1)), draw(2, 4, 2, 3)
    order, y = permuted(x)
    assert float((block(y).flatten(-2) - block(x).flatten(-2)[..., order]).detach().abs().max()) > 0.01
    lines = x[..., [1, 0], :][..., [2, 0, 1]]  # whole rows and whole columns may change places
    assert_close(block(lines).detach(), block(x).detach()[..., [1, 0], :][..., [2, 0, 1]], "solve", n=24)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("cc_shared", "gc_linear")])
def test_no_graph_break(name: str) -> None:
    torch._dynamo.reset()
    block, x = randomized(ZOO[name](4), dtype=torch.float32).eval(), draw(2, 4, 2, 3, dtype=torch.float32)
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    assert_close(compiled(x).detach(), block(x).detach(), "solve", n=24)


def test_twin_a_branch_on_values_breaks_the_graph() -> None:
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"[Dd]ata-dependent"):
        torch.compile(lambda d: d.rsqrt() if d.min() > 0 else d, fullgraph=True, backend="eager")(torch.ones(3))


def without_values(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Size:
    """The shape of function(x), found without any value: on a GPU, nothing then waits for one."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        return function(mode.from_tensor(x)).shape


@pytest.mark.parametrize("name", ZOO)
def test_nothing_waits_for_values(name: str) -> None:
    block, x = randomized(ZOO[name](4)), draw(2, 4, 2, 3)
    assert without_values(block, x) == x.shape
    assert without_values(block.affinity, x) == block.affinity(x).shape


def test_twin_indexing_by_values_waits() -> None:
    with pytest.raises(DynamicOutputShapeException):
        without_values(lambda d: d[d != 0].rsqrt(), torch.ones(3))


@pytest.mark.parametrize("name", ZOO)
def test_state_dict_round_trip(name: str) -> None:
    block, x = randomized(ZOO[name](4)).eval(), draw(2, 4, 2, 3)
    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    other = ZOO[name](4).to(torch.float64).eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), block(x))
    assert torch.equal(copy.deepcopy(block)(x), block(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        ZOO[name](8).load_state_dict(block.state_dict())


@pytest.mark.parametrize("name", [name for name in ZOO if name != "gsnl"])
def test_a_bad_sample_stays_alone_and_is_not_hidden(name: str) -> None:
    block, x = randomized(ZOO[name](4)), draw(2, 4, 2, 3)
    expected = block(x)[1]
    x[0, :, 1, 1] = math.nan
    found = block(x)
    assert torch.equal(found[1], expected)
    assert bool(found[0, :, 1, 1].isnan().all())


def test_the_repr_tells_what_was_chosen() -> None:
    assert "recurrence=2, recompute=False" in repr(ZOO["cc_shared"](4))
    assert "kernel='rbf', order=3, gamma=0.1, prefactor='exact', scale=True" in repr(ZOO["cgnlx"](4))
    assert "heads=2, algorithm='dense'" in repr(ZOO["heads_dense"](4))
    assert "channels=4, dimension=2" in repr(ZOO["gc"](4))


def test_inputs_are_not_modified() -> None:
    for make in ZOO.values():
        x = draw(2, 4, 2, 3)
        before = x.clone()
        randomized(make(4))(x)
        assert torch.equal(x, before)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((1, 4, 2, 2), dtype=np.float32), DtypeError, r"x must be a torch tensor: got ndarray"),
        (torch.ones(1, 4, 2, 2, dtype=torch.int64), DtypeError, r"dtype of the weights: got x torch.int64"),
        (torch.ones(1, 4, 2, 2, dtype=torch.complex64), DtypeError, r"dtype of the weights"),
        (torch.ones(1, 4, 2, 2, dtype=torch.float64), DtypeError, r"dtype of the weights: got x torch.float64"),
        (torch.ones(1, 3, 2, 2), ShapeError, r"got shape \(1, 3, 2, 2\)"),
        (torch.ones(4, 2), ShapeError, r"x must have shape"),
        (torch.ones(1, 4, 0, 2), ShapeError, r"not be empty"),
        (torch.ones(0, 4, 2, 2), ShapeError, r"not be empty"),
    ],
)
def test_bad_input(name: str, x: object, error: type, message: str) -> None:
    block = ZOO[name](4)
    for call in (block, block.affinity):
        with pytest.raises(error, match=message):
            call(x)


BAD = [
    (lambda: SNL(0), DomainError, r"channels must be at least 1: got 0"),
    (lambda: SNL(4.0), DtypeError, r"channels must be a whole number"),
    (lambda: SNL(4, 0), DomainError, r"inner must be at least 1"),
    (lambda: SNL(4, norm="layer"), ChoiceError, r"norm must be one of 'batch': got 'layer'"),
    (lambda: SNL(4, w_init="ones"), ChoiceError, r"w_init must be one of 'zero', 'he'"),
    (lambda: SNL(4, w_init=-1.0), DomainError, r"w_init must be > 0"),
    (lambda: SNL(4, w_init=math.nan), NonFiniteError, r"w_init must be finite"),
    (lambda: SNL(4, dimension=4), DomainError, r"dimension must be 1, 2 or 3"),
    (lambda: A2(4, slots=0), DomainError, r"slots must be at least 1"),
    (lambda: A2(4, slots=True), DtypeError, r"slots must be a whole number"),
    (
        lambda: CGNL(4, 3, groups=2),
        DomainError,
        r"groups must divide channels and inner: got groups=2, channels=4",
    ),
    (lambda: CGNL(4, groups=0), DomainError, r"groups must be at least 1"),
    (lambda: CGNL(4, kernel="gauss"), ChoiceError, r"kernel must be one of 'dot', 'rbf'"),
    (lambda: CGNL(4, order=-1), DomainError, r"order must be at least 0"),
    (lambda: CGNL(4, gamma=0.0), DomainError, r"gamma must be > 0"),
    (lambda: CGNL(4, gamma=math.inf), NonFiniteError, r"gamma must be finite"),
    (lambda: CGNL(4, prefactor="none"), ChoiceError, r"prefactor must be one of 'unit', 'exact'"),
    (lambda: CGNL(4, norm="batch"), ChoiceError, r"norm must be one of 'group'"),
    (lambda: CrissCross(4, recurrence=0), DomainError, r"recurrence must be at least 1"),
    (lambda: CrissCross(4, gamma=math.nan), NonFiniteError, r"gamma must be finite"),
    (lambda: CrissCross(4, recurrence=2).chebyshev(), DomainError, r"their own affinity .*recurrence=2"),
    (lambda: GlobalContext(4, transform="none"), ChoiceError, r"transform must be one of 'bottleneck', 'linear'"),
    (lambda: GlobalContext(4).chebyshev(), DomainError, r"only the linear transform is a graph filter"),
    (lambda: MultiheadNonlocalBlock(4, 3, heads=2), DomainError, r"heads must divide inner: got heads=2, inner=3"),
    (lambda: MultiheadNonlocalBlock(4, heads=0), DomainError, r"heads must be at least 1"),
    (lambda: MultiheadNonlocalBlock(4, heads=1, algorithm="sorted"), ChoiceError, r"algorithm must be one of 'fused'"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_arguments(make: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, NlmodelError)
