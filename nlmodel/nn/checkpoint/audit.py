"""The audit of a checkpoint: every layer that averages over positions, by its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmodel._arrays import check_count, check_number
from nlmodel.audit import Audit, audit_weights
from nlmodel.audit.readers.entry import printable
from nlmodel.audit.roles import AUDITS, LARGEST_MATRIX
from nlmodel.audit.words import literal
from nlmodel.errors import DtypeError, FileError, NlmodelError, ShapeError
from nlmodel.nn.checkpoint.attention import Attention, attention
from nlmodel.nn.checkpoint.files import tensor_sets
from nlmodel.nn.checkpoint.layers import Layer, Settings, Weight
from nlmodel.nn.checkpoint.others import others
from nlmodel.nn.checkpoint.pairs import pairs
from nlmodel.nn.checkpoint.tensors import Tensors


KNOWN = (
    "nonlocal blocks of nlmodel, mmcv, timm and Non-local_pytorch, torch.nn.MultiheadAttention, and attention with "
    "query, key, value and output weights"
)
SILENT = "A checkpoint holds weights and no features: nothing is said of the affinities."


def audit_checkpoint(
    path: str | Path, *, heads: int | None = None, norm_eps: float = 1e-5, keys: Sequence[str] = ()
) -> tuple[list[Audit], list[str]]:
    """Audit the weights of every nonlocal block and attention layer in a checkpoint, found by names and shapes.

        W = diag(gamma / sqrt(var + eps)) W_Z W_g                     of a block, its batch norm folded in
        W_h = W_O[:, h] W_V[h, :]                                     of head h of an attention layer

    Parameters
    ----------
    path : a `.pt`, `.pth`, `.ckpt`, `.bin` or `.safetensors` file, of nlmodel, mmcv, timm, Non-local_pytorch, torch or
        another library with the same names; nothing in it is executed.
    heads : number of heads of every attention layer; None audits the sum of W_h over the heads.
    norm_eps : of batch norms.
    keys : names of the layers to take, or beginnings of them; all of them when empty.

    Returns  the audits, and notes on what was left out and why.
    Raises   FileError: the file cannot be read without running code, is damaged, or holds no such layer; with one
             layer, the error of that layer.  DtypeError / DomainError: heads or norm_eps.
    Cost     that of `audit_weights` a layer or head; at most 12 in one call.
    """
    settings = Settings(
        None if heads is None else check_count(heads, "heads", at_least=1),
        check_number(norm_eps, "norm_eps", above=0.0),
    )
    chosen, notes = _chosen(_found(path), _checked(keys), path)
    audits: list[Audit] = []
    for found in chosen:
        try:
            for weight in found.layer.weights(found.tensors, settings):
                title = found.name + weight.name.removeprefix(found.layer.name)
                if keys and not _matches(title, keys):
                    continue
                if len(audits) < AUDITS:
                    audits.append(_audit(weight, title))
                else:
                    notes.append(f"Left out {literal(title)}: one run audits at most {AUDITS}; take it with `--key`.")
        except NlmodelError as error:
            if len(chosen) == 1:
                raise
            notes.append(f"Left out {literal(found.name)}: {literal(error.what)}.")
    if not audits:
        raise FileError("no layer of the file can be audited", got="; ".join(notes)[:400])
    if heads is not None and not any(isinstance(found.layer, Attention) for found in chosen):
        notes.append("There is no attention layer among them: the number of heads has no effect.")
    return audits, [*notes, SILENT]


def layer_names(path: str | Path, keys: Sequence[str] = ()) -> list[str]:
    """The names of the layers in a file, in their order there; with `keys` of those that they ask for."""
    return [found.name for found in _found(path) if not keys or _asked(found.name, keys)]


@dataclass(frozen=True, eq=False)
class Found:
    """A layer with its full name, and the set of tensors it is in."""

    name: str
    layer: Layer
    tensors: Tensors


def _found(path: str | Path) -> list[Found]:
    """The layers of every set of tensors; their names begin with the place of the set when there are several."""
    sets = [(tensors, layers_of(tensors)) for tensors in tensor_sets(path)]
    several = sum(bool(layers) for _, layers in sets) > 1
    found = []
    for tensors, layers in sets:
        for layer in layers:
            parts = [tensors.where] * several + [printable(layer.name)]
            found.append(Found(".".join(filter(None, parts)) or "block", layer, tensors))
    return found


def layers_of(tensors: Tensors) -> list[Layer]:
    """In the order of their W_Z in the file; a tensor is W_Z of one layer only."""
    layers: dict[str, Layer] = {}
    for layer in (*others(tensors), *pairs(tensors), *attention(tensors)):
        layers.setdefault(layer.left, layer)
    places = {name: place for place, name in enumerate(tensors.entries)}
    return sorted(layers.values(), key=lambda layer: places[layer.left])


def _chosen(found: list[Found], keys: Sequence[str], path: str | Path) -> tuple[list[Found], list[str]]:
    """The layers that are asked for, those of the first set of tensors when none is."""
    name = printable(Path(path).name)
    if not found:
        raise FileError(f"{name} holds no layer that averages over positions", why=f"looked for: {KNOWN}")
    if keys:
        chosen = [f for f in found if _asked(f.name, keys)]
        if not chosen:
            names = ", ".join(f.name for f in found)
            raise FileError("no layer of this name in the file", got=", ".join(keys), fix=f"pass one of {names[:300]}")
        return chosen, []
    first = found[0].tensors
    aside = dict.fromkeys(f.tensors.where for f in found if f.tensors is not first)
    notes = [f"Left out the weights under {literal(where)}: take them with `--key`." for where in aside]
    return [f for f in found if f.tensors is first], notes


def _audit(weight: Weight, title: str) -> Audit:
    arrays = weight.arrays
    if len(arrays[0]) > LARGEST_MATRIX:
        raise ShapeError(f"at most {LARGEST_MATRIX} channels can be analysed", got=f"{len(arrays[0]):,}")
    if len(arrays) == 2 and arrays[0].shape[1] > len(arrays[0]):
        arrays = (arrays[0] @ arrays[1],)  # no bottleneck: its factors say nothing more
    return audit_weights(*arrays, unit=weight.unit, name=title, assumed=weight.assumed)


def _checked(keys: Sequence[str]) -> Sequence[str]:
    if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
        raise DtypeError("keys must be a sequence of names", got=repr(keys), fix='pass keys=["layer1"]')
    return keys


def _asked(name: str, keys: Sequence[str]) -> bool:
    """Whether a key asks for this layer, or for one of its heads or sub-blocks."""
    return _matches(name, keys) or any(key.startswith(f"{name} ") for key in keys)


def _matches(name: str, keys: Sequence[str]) -> bool:
    return any(name == key or name.startswith((f"{key}.", f"{key} ")) for key in keys)
