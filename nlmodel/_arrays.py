"""The one door to array libraries: which library an array belongs to, and whether it may pass."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import array_api_compat.numpy as numpy_namespace
import numpy as np
from array_api_compat import array_namespace, device, is_torch_array

from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError, ShapeError


Array: TypeAlias = Any
"""An array of any library with an array-API namespace: NumPy, torch, array-api-strict."""

NAMESPACES: dict[type, Any] = {np.ndarray: numpy_namespace}
"""The namespaces of the common types of arrays: looking here is ten times faster than asking."""


def namespace(*arrays: Array) -> Any:
    """The array-API namespace that all `arrays` share; `DtypeError` when there is none."""
    kind = type(arrays[0]) if arrays else np.ndarray
    if kind in NAMESPACES and all(type(a) is kind for a in arrays):
        return NAMESPACES[kind]
    try:
        return array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({f"{type(a).__module__}.{type(a).__name__}" for a in arrays}))
        raise DtypeError(
            "expected arrays of one library",
            got=kinds,
            why="results are returned in the library, on the device and in the dtype of the input",
            fix="convert with numpy.asarray(x, dtype=float) or torch.as_tensor(x)",
        ) from error


def check_array(
    x: Array,
    name: str,
    *,
    ndim: int | None = None,
    min_ndim: int = 0,
    finite: bool = True,
    complex_ok: bool = False,
) -> Array:
    """Return `x` unchanged when it is a non-empty finite array of the wanted rank, in double or single precision."""
    xp = namespace(x)
    if isinstance(x, np.matrix | np.ma.MaskedArray) or (is_torch_array(x) and x.layout != xp.strided):
        raise DtypeError(
            f"{name} must be a plain array",
            got=f"a sparse torch.{type(x).__name__}" if is_torch_array(x) else f"numpy.{type(x).__name__}",
            why="a matrix multiplies where an array scales, and what is masked or not stored has no entry to check",
            fix="pass numpy.asarray(x), its masked entries filled, or x.to_dense()",
        )
    kinds = ("real floating", "complex floating") if complex_ok else ("real floating",)
    if not xp.isdtype(x.dtype, kinds):
        raise DtypeError(
            f"{name} must be a {'real or complex ' if complex_ok else 'real '}floating-point array",
            got=f"dtype {x.dtype}",
            why="nothing is cast silently",
            fix=f"pass {name} in float64 or float32",
        )
    if xp.finfo(x.dtype).bits not in (32, 64):
        raise DtypeError(
            f"{name} must be in double or single precision",
            got=f"dtype {x.dtype}",
            why="in half precision the slack at the horizon would double it, and no law holds to a useful tolerance",
            fix=f"pass {name} in float64 or float32",
        )
    if (ndim is not None and x.ndim != ndim) or x.ndim < min_ndim:
        wanted = f"{ndim}" if ndim is not None else f"at least {min_ndim}"
        raise ShapeError(f"{name} must have {wanted} dimensions", got=f"shape {tuple(x.shape)}")
    if 0 in x.shape:
        raise ShapeError(f"{name} must not be empty", got=f"shape {tuple(x.shape)}")
    if finite and not is_finite(x):
        raise NonFiniteError(
            f"{name} must be finite",
            got="NaN or infinity among its entries",
            why="one bad entry reaches every position through the affinity",
            fix=f"clean {name} before the call",
        )
    return x


def is_finite(x: Array) -> bool:
    """Whether no entry is NaN or infinite; in NumPy a finite sum shows it without an array of answers."""
    if type(x) is np.ndarray:
        with np.errstate(all="ignore"):
            if np.isfinite(np.sum(x)):
                return True
    xp = namespace(x)
    return bool(xp.all(xp.isfinite(x)))


def check_square(x: Array, name: str) -> Array:
    """Return `x` when its last two dimensions are equal."""
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name} must be square in its last two dimensions",
            got=f"shape {tuple(x.shape)}",
            why="rows are receivers i, columns senders j of one and the same set of positions",
        )
    return x


def check_alike(**arrays: Array) -> Any:
    """The shared namespace, after checking that library, dtype and device agree."""
    xp = namespace(*arrays.values())
    (first, reference), *rest = arrays.items()
    for name, x in rest:
        if x.dtype != reference.dtype or device(x) != device(reference):
            raise DtypeError(
                f"{name} and {first} must share dtype and device",
                got=f"{name}: {x.dtype} on {device(x)}, {first}: {reference.dtype} on {device(reference)}",
                why="nothing is cast or moved silently",
                fix=f"convert {name} to the dtype and device of {first}",
            )
    return xp


def check_choice(value: object, name: str, choices: Collection[str]) -> str:
    """Return `value` when it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ChoiceError(f"{name} must be one of {', '.join(map(repr, choices))}", got=repr(value))
    return value


def check_number(
    value: float | np.number,
    name: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a float when it is a finite number in (above, below) and >= at_least."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise DtypeError(f"{name} must be a real number", got=f"{type(value).__name__} {value!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond the range of float64
        number = math.inf
    if not math.isfinite(number):
        raise NonFiniteError(f"{name} must be finite", got=number)
    if not (above < number < below and number >= at_least):
        wanted = [f"> {above:g}"] * (above > -math.inf) + [f">= {at_least:g}"] * (at_least > -math.inf)
        wanted += [f"< {below:g}"] * (below < math.inf)
        raise DomainError(f"{name} must be {' and '.join(wanted)}", got=value)
    return number


def check_count(value: int, name: str, *, at_least: int = 0) -> int:
    """Return `value` as an int when it is a whole number of at least `at_least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise DtypeError(f"{name} must be a whole number", got=f"{type(value).__name__} {value!r}")
    if value < at_least:
        raise DomainError(f"{name} must be at least {at_least}", got=int(value))
    return int(value)


def check_rng(rng: object) -> np.random.Generator:
    """Return `rng` when it is a `numpy.random.Generator`."""
    if not isinstance(rng, np.random.Generator):
        raise DtypeError(
            "rng must be a numpy.random.Generator",
            got=f"{type(rng).__name__} {rng!r}",
            why="the draws belong to the caller; there is no global seed",
            fix="pass rng=numpy.random.default_rng(seed)",
        )
    return rng


def eps(x: Array) -> float:
    """Machine epsilon of the dtype of `x`."""
    return float(namespace(x).finfo(x.dtype).eps)


def dtype_eps(dtype: Any) -> float:
    """Machine epsilon of a dtype of any library, found by its name."""
    name = dtype if isinstance(dtype, (type, np.dtype)) else str(dtype).rsplit(".", 1)[-1]
    return float(np.finfo(name).eps)


def to_numpy(x: Array) -> np.ndarray:
    """A NumPy array with the values of `x`, detached from any graph and on the host."""
    if is_torch_array(x):
        x = x.detach().cpu().resolve_neg()
    return np.asarray(x)


def scalar(x: Array) -> float:
    """The value of a one-element array, detached from any graph."""
    return float(to_numpy(x))


def like(values: Iterable[float] | np.ndarray, x: Array) -> Array:
    """`values` as an array of the library, dtype and device of `x`."""
    if isinstance(values, np.ndarray):  # torch takes no negative strides, foreign byte order or read-only memory
        values = np.require(values, values.dtype.newbyteorder("="), ["C", "W"])
    return namespace(x).asarray(values, dtype=x.dtype, device=device(x))


def transpose(x: Array) -> Array:
    """The last two dimensions exchanged."""
    return namespace(x).matrix_transpose(x)


def log_sum_exp(x: Array, axis: int = -1) -> Array:
    """log(sum(exp(x))) along `axis`, without overflow; -inf where every entry is -inf."""
    xp = namespace(x)
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    with np.errstate(divide="ignore"):  # log 0 is the -inf that is promised
        total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True))
    return xp.squeeze(total + top, axis=axis)


def recomputed(function: Callable[..., Array], *arguments: Any) -> Array:
    """`function(*arguments)`; where torch records gradients, its intermediate results are not kept but found again."""
    if not any(is_torch_array(x) for x in arguments):
        return function(*arguments)
    checkpoint = importlib.import_module("torch.utils.checkpoint").checkpoint
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def sparse_csr_matmul(csr: Any, Z: Array) -> Array:
    """A SciPy CSR array times a matrix of any library, in that library; torch gradients flow to `Z`."""
    if isinstance(Z, np.ndarray):
        return csr @ Z
    xp = namespace(Z)
    if not is_torch_array(Z):
        return like(csr @ to_numpy(Z), Z)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = xp.sparse_csr_tensor(
            xp.asarray(csr.indptr, device=device(Z)),
            xp.asarray(csr.indices, device=device(Z)),
            xp.asarray(csr.data, dtype=Z.dtype, device=device(Z)),
            size=csr.shape,
            check_invariants=False,
        )
        return matrix @ Z
