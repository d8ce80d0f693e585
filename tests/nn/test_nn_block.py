"""The original block: NumPy's numbers, identity at start, positions of any dimension, precision, bad input."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

import nlmodel as nl
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.kernels import Concatenation, DotProduct, Embedded, ExpDot
from nlmodel.network import original_step
from nlmodel.nn import NonlocalBlock
from nlmodel.testing import assert_close
from tests.nn.nn_cases import BLOCKS, block, features


def numpy_kernel(module):
    """The kernel of the NumPy core with the module's numbers."""
    E = module.embedding
    inner = {"dot_product": DotProduct()}.get(E.affinity, ExpDot(1 / E.scale))
    if E.affinity == "concatenation":
        inner = Concatenation(E.w.detach().numpy()[0], E.w.detach().numpy()[-1])
    if E.theta is None:
        return inner
    return Embedded(inner, E.theta.weight.detach().numpy(), E.senders_layer.weight.detach().numpy())


@pytest.mark.parametrize(("affinity", "how", "algorithm"), BLOCKS)
def test_equals_the_step_of_the_numpy_core(affinity, how, algorithm):
    module = block(affinity, how, algorithm)
    x = features(3, 2, 3)
    rows, W = x.flatten(1).T.numpy(), module.weight_matrix().detach().numpy()
    core = {"softmax": "row", "size": "none"}.get(how, how)
    share = 1 / len(rows) if how == "size" else 1.0
    expected = original_step(rows, numpy_kernel(module), share * W, normalize=core)
    found = module(x).detach().flatten(1).T.numpy()
    assert_close(found, expected, "reduction", n=64, scale=1.0 + np.max(np.abs(expected)))
    with pytest.raises(AssertionError, match="exceeds"):  # control: the transposed weight
        wrong = original_step(rows, numpy_kernel(module), share * W.T, normalize=core)
        assert_close(found, wrong, "reduction", n=64)


@pytest.mark.parametrize(("affinity", "how", "algorithm"), BLOCKS)
def test_the_affinity_on_request_is_what_forward_averages_with(affinity, how, algorithm):
    module, x = block(affinity, how, algorithm), features(2, 3, 2, 3)
    K, rows = module.affinity(x), x.flatten(2).mT
    assert K.shape == (2, 6, 6)
    expected = rows + K @ rows @ module.weight_matrix().mT
    assert_close(module(x).flatten(2).mT.detach(), expected.detach(), "reduction", n=64)
    with pytest.raises(AssertionError, match="exceeds"):  # control: receivers and senders exchanged
        wrong = rows + K.mT @ rows @ module.weight_matrix().mT + (affinity == "gaussian" and how != "softmax")
        assert_close(module(x).flatten(2).mT.detach(), wrong.detach(), "reduction", n=64)


def test_scale_divides_by_the_root_of_the_compared_length():
    x = features(2, 3, 2, 3)
    for affinity, width in (("gaussian", 3), ("embedded_gaussian", 2)):
        scaled, plain, given = (block(affinity, "softmax", scale=s) for s in (True, False, width**-0.5))
        assert_close(scaled(x).detach(), given(x).detach(), "exact")
        assert not torch.equal(scaled(x), plain(x))


def test_symmetric_embeddings_make_a_symmetric_affinity():
    x = features(1, 3, 2, 2)
    for affinity in ("embedded_gaussian", "dot_product", "concatenation"):
        K = block(affinity, "none", symmetric=True).affinity(x)
        assert_close(K.mT.contiguous().detach(), K.detach(), "reduction", n=4)
        assert not torch.allclose(block(affinity, "none").affinity(x), block(affinity, "none").affinity(x).mT)


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("affinity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_is_the_identity_at_start_and_leaves_it(affinity, norm):
    module = NonlocalBlock(4, affinity=affinity, norm=norm, generator=torch.Generator().manual_seed(0))
    x = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    assert torch.equal(module(x), x)
    assert not torch.equal(NonlocalBlock(4, affinity=affinity, norm=norm, w_init="he")(x), x)  # control
    (module(x) * torch.arange(9.0).view(3, 3)).sum().backward()
    moved = module.w_z.weight if norm is None else module.norm.weight
    assert moved.grad is not None and float(moved.grad.abs().max()) > 0


def test_initial_weights_follow_their_law():
    wide = NonlocalBlock(400, 200, w_init="he", generator=torch.Generator().manual_seed(4))
    for layer in (wide.g, wide.w_z, wide.embedding.theta):
        bound = 4 / np.sqrt(2 * layer.weight.numel())  # four standard errors
        assert abs(float(layer.weight.detach().std()) / np.sqrt(2 / layer.in_features) - 1) < bound
    given = NonlocalBlock(400, 200, w_init=0.01).w_z.weight.detach()
    assert abs(float(given.std()) / 0.01 - 1) < 4 / np.sqrt(2 * given.numel())
    again = NonlocalBlock(400, 200, w_init="he", generator=torch.Generator().manual_seed(4))
    assert torch.equal(again.g.weight, wide.g.weight)


@pytest.mark.parametrize("affinity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_positions_of_one_two_and_three_dimensions_are_one_list(affinity):
    """Without subsampling the block only sees a set of positions."""
    x = features(2, 3, 12)
    line, image, clip = (block(affinity, None, dimension=d) for d in (1, 2, 3))
    assert_close(image(x.view(2, 3, 3, 4)).flatten(2), line(x), "reduction", n=24)
    assert_close(clip(x.view(2, 3, 2, 3, 2)).flatten(2), line(x), "reduction", n=24)
    assert_close(line(x[0]), line(x)[0], "reduction", n=24)  # no batch
    assert_close(line(x.view(2, 1, 3, 12))[:, 0], line(x), "reduction", n=24)  # two batch axes
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert_close(line(x[..., order]), line(x)[..., order], "reduction", n=24)
    assert not torch.allclose(line(x[..., order]), line(x))  # control


@pytest.mark.parametrize("subsample", ["before", "after"])
@pytest.mark.parametrize("affinity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_subsampled_senders_are_pooled_where_asked(affinity, subsample):
    module = block(affinity, None, subsample=subsample)
    with torch.no_grad():
        module.g.weight.neg_()  # so that pooling does not commute with it
    x = features(2, 3, 4, 5)
    rows, E, g = x.flatten(2).mT, module.embedding, module.g

    def pooled(t):
        return torch.nn.functional.max_pool2d(t.mT.reshape(2, -1, 4, 5), 2).flatten(2).mT

    before = pooled(rows)
    values = {"before": g(before), "after": pooled(g(rows))}
    K = module.affinity(x)
    assert K.shape == (2, 20, 4)
    for way, V in values.items():
        expected = (rows + module.w_z(K @ V)).mT.reshape(x.shape).detach()
        if way == subsample:
            assert_close(module(x).detach(), expected, "reduction", n=64)
        else:
            with pytest.raises(AssertionError, match="exceeds"):
                assert_close(module(x).detach(), expected, "reduction", n=64)
    assert E.affinity == affinity
    clip = block(affinity, None, subsample=subsample, dimension=3)
    assert clip.affinity(features(1, 3, 3, 4, 4)).shape == (1, 48, 12)  # time is not pooled


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("affinity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_half_precision_keeps_its_dtype_and_its_row_sums(affinity, dtype):
    module, x = block(affinity, "row"), features(2, 3, 4, 4)
    exact = module(x)
    half = copy.deepcopy(module).to(dtype)
    out, K = half(x.to(dtype)), half.affinity(x.to(dtype))
    assert out.dtype == dtype and K.dtype == torch.float32
    assert_close(K.sum(-1), torch.ones(2, 16), "reduction", n=16)
    assert float((out - exact).detach().abs().max()) <= 64 * torch.finfo(dtype).eps * float(exact.detach().abs().max())
    rounded = K.detach().to(torch.bfloat16).double().sum(-1)  # control: the same K in sixteen bits
    assert float((rounded - 1).abs().max()) > 64 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("autocast", [False, True])
def test_sums_over_positions_do_not_overflow_half_precision(autocast):
    module, x = block("dot_product", "size", "associative").half(), 40 * features(1, 3, 16, 16).half()
    if autocast:
        module, x = module.float(), x.float()
    with torch.autocast("cpu", dtype=torch.float16, enabled=autocast):
        out = module(x)
        rows = x.flatten(2).mT
        sums = (module.embedding.phi(rows).mT @ module.g(rows)).detach()
    assert bool(out.isfinite().all())
    assert sums.dtype == torch.float16 and not bool(sums.isfinite().all())  # control


@pytest.mark.parametrize("affinity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_autocast_returns_the_dtype_of_the_input(affinity):
    module, x = block(affinity, "row").float(), features(2, 3, 4, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, K = module(x), module.affinity(x)
    assert out.dtype == torch.float32 and K.dtype == torch.float32
    assert_close(K.sum(-1), torch.ones(2, 16), "reduction", n=16)
    assert float((out - module(x)).detach().abs().max()) <= 64 * torch.finfo(torch.bfloat16).eps * float(
        out.detach().abs().max()
    )
    out.sum().backward()


def test_state_survives_saving_and_copying():
    module, x = block("embedded_gaussian", "softmax", norm="batch"), features(2, 3, 2, 3)
    other = NonlocalBlock(3, 2, norm="batch").double()
    other.load_state_dict(load(save(module.state_dict())))
    assert torch.equal(other(x), module(x))
    assert torch.equal(copy.deepcopy(module)(x), module(x))


def test_with_batch_normalisation_running_statistics_serve_evaluation():
    module, x = block("gaussian", "softmax", norm="batch"), features(4, 3, 3, 3)
    trained = module(x)
    module.eval()
    assert not torch.equal(module(x), trained)
    assert module.norm.num_batches_tracked == 1


def test_the_library_knows_the_room_and_no_other():
    assert nl.nn.NonlocalBlock is NonlocalBlock
    with pytest.raises(AttributeError, match="no attribute 'nm'"):
        _ = nl.nm


def test_what_is_not_finite_is_not_hidden():
    x = features(1, 3, 2, 2)
    x[0, :, 0, 0] = torch.nan
    for affinity in ("gaussian", "embedded_gaussian", "dot_product", "concatenation"):
        assert bool(block(affinity, None)(x)[..., 0, 0].isnan().all())


BAD_MODULES = [
    ({"channels": 0}, DomainError, "channels must be at least 1"),
    ({"channels": 4.0}, DtypeError, "channels must be a whole number"),
    ({"inner": 0}, DomainError, "inner must be at least 1"),
    ({"affinity": "cosine"}, ChoiceError, "affinity must be one of 'gaussian'"),
    ({"normalize": "rows"}, ChoiceError, "normalize must be one of 'softmax'"),
    ({"affinity": "dot_product", "normalize": "softmax"}, ChoiceError, "(?s)does not exist here.*embedded_gaussian"),
    ({"affinity": "dot_product", "normalize": "symmetric"}, ChoiceError, "(?s)either sign.*'row', 'size', 'none'"),
    ({"affinity": "concatenation", "normalize": "softmax"}, ChoiceError, "(?s)omega = exp"),
    ({"normalize": "symmetric", "subsample": "after"}, ChoiceError, "(?s)with subsampling.*two sets"),
    ({"scale": 0.0}, DomainError, "scale must be > 0"),
    ({"scale": np.nan}, NonFiniteError, "scale must be finite"),
    ({"affinity": "concatenation", "scale": True}, DomainError, "scale must be False"),
    ({"subsample": "between"}, ChoiceError, "subsample must be one of"),
    ({"norm": "layer"}, ChoiceError, "norm must be one of 'batch'"),
    ({"w_init": "ones"}, ChoiceError, "w_init must be one of 'zero', 'he'"),
    ({"w_init": -1.0}, DomainError, "w_init must be > 0"),
    ({"w_init": True}, DtypeError, "standard deviation"),
    ({"dimension": 4}, DomainError, "dimension must be 1, 2 or 3"),
    ({"algorithm": "flash"}, ChoiceError, "algorithm must be one of 'auto'"),
    ({"algorithm": "shared"}, ChoiceError, "algorithm must be one of 'auto'"),
    ({"algorithm": "sorted"}, ChoiceError, "(?s)does not compute this affinity.*'dense', 'fused'"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD_MODULES)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        NonlocalBlock(**{"channels": 4, **changes})


BAD_INPUTS = [
    (torch.zeros(2, 5, 3, 3), ShapeError, r"x must have shape \(\.\.\., 4, height, width\)"),
    (torch.zeros(4, 3), ShapeError, "x must have shape"),
    (torch.zeros(0, 4, 3, 3), ShapeError, "not be empty"),
    (torch.zeros(2, 4, 3, 0), ShapeError, "not be empty"),
    (torch.zeros(2, 4, 3, 3).double(), DtypeError, "(?s)dtype of the weights.*float64.*float32"),
    (torch.zeros(2, 4, 3, 3, dtype=torch.int64), DtypeError, "dtype of the weights"),
    (torch.zeros(2, 4, 3, 3, dtype=torch.complex64), DtypeError, "dtype of the weights"),
    (np.zeros((2, 4, 3, 3), np.float32), DtypeError, "x must be a torch tensor: got ndarray"),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD_INPUTS)
def test_bad_inputs(x, error, message):
    for call in (NonlocalBlock(4), NonlocalBlock(4).affinity):
        with pytest.raises(error, match=message):
            call(x)


def test_maps_too_small_to_subsample():
    small = NonlocalBlock(4, subsample="after")
    for call in (lambda: small(torch.zeros(1, 4, 1, 3)), lambda: small.plan((1, 4, 1, 3))):
        with pytest.raises(ShapeError, match="at least two positions"):
            call()


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((2, 5, 3, 3), ShapeError, "input_shape must be"),
        ((4, 3), ShapeError, "input_shape must be"),
        ((2, 4, 3, 0), DomainError, "every entry of input_shape must be at least 1"),
        ((2, 4, 3, 1.5), DtypeError, "every entry of input_shape"),
    ],
)
def test_bad_shapes_of_a_plan(shape, error, message):
    with pytest.raises(error, match=message):
        NonlocalBlock(4).plan(shape)
