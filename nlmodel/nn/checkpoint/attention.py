"""Self-attention as a sum of nonlocal blocks: W_h = W_O[:, h] W_V[h, :] for each head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel.errors import DomainError, ShapeError
from nlmodel.nn.checkpoint.layers import Settings, Weight, quoted, stored
from nlmodel.nn.checkpoint.pairs import folding
from nlmodel.nn.checkpoint.tensors import Tensors


HEADS_UNTOLD = "How many heads there are is not told: {} gives each its audit."


@dataclass(frozen=True)
class Family:
    """The names of W_V and W_O in one kind of attention.

    `packed` says that one tensor holds queries, keys and values, "whole" after each other or those of each head "by
    head", `inner` is a level of names above which W_O may stand, `norm` the batch norm after W_O.
    """

    kind: str
    value: str
    out: tuple[str, ...]
    beside: tuple[str, ...] = ()
    packed: str = ""
    inner: tuple[str, ...] = ()
    norm: str | None = None


FAMILIES = (
    Family("torch.nn.MultiheadAttention", "in_proj_weight", ("out_proj.weight",), packed="whole"),
    Family("torch.nn.MultiheadAttention", "v_proj_weight", ("out_proj.weight",), ("q_proj_weight", "k_proj_weight")),
    Family("attention", "v_proj.weight", ("o_proj.weight", "out_proj.weight"), ("q_proj.weight", "k_proj.weight")),
    Family(
        "attention",
        "value.weight",
        ("dense.weight", "output.dense.weight"),
        ("query.weight", "key.weight"),
        inner=("self.", "attention."),
    ),
    Family("attention", "qkv.weight", ("proj.weight",), packed="whole"),
    Family("attention", "v_lin.weight", ("out_lin.weight",), ("q_lin.weight", "k_lin.weight")),
    Family("attention", "v.weight", ("o.weight",), ("q.weight", "k.weight")),
    Family("attention", "qkv_proj.weight", ("o_proj.weight", "out_proj.weight"), packed="whole"),
    Family("attention", "Wqkv.weight", ("Wo.weight", "out_proj.weight"), packed="whole"),
    Family("attention", "query_key_value.weight", ("dense.weight",), packed="by head"),
    Family(
        "attention",
        "value_proj.weight",
        ("dense.weight", "output.dense.weight"),
        ("query_proj.weight", "key_proj.weight"),
        inner=("self.",),
    ),
    Family("attention", "c_attn.weight", ("c_proj.weight",), packed="whole"),
    Family(
        "MultiheadNonlocalBlock",
        "g.weight",
        ("increment.w_z.weight",),
        ("theta.weight", "phi.weight"),
        norm="increment.norm",
    ),
)


@dataclass(frozen=True)
class Attention:
    """A layer of self-attention with the names of its W_V and W_O."""

    name: str
    family: Family
    value: str
    left: str

    def weights(self, tensors: Tensors, settings: Settings) -> list[Weight]:
        """W_O and W_V of each head; of all heads together when their number is not told."""
        W_O, W_V = (tensors.values(name, 2) for name in (self.left, self.value))
        if self.family.packed:
            if W_V.shape[1] == 3 * W_V.shape[0]:  # stored as (in, out), both
                W_O, W_V = W_O.T, W_V.T
            W_V = _values(W_V, W_O.shape[1], settings.heads if self.family.packed == "by head" else 1)
        if W_O.shape[0] != W_V.shape[1]:
            raise ShapeError(
                "no weight W from channels to the same channels",
                got=f"W_O {W_O.shape} and W_V {W_V.shape}",
                why="values come from features of another width",
            )
        names = f"$W_O$ = {quoted(self.left)}, $W_V$ = {quoted(self.value)}"
        folded, about = self._folding(tensors, len(W_O), settings)
        W_O, about = folded * W_O, (*about, *stored(tensors, self.left))
        if settings.heads is None:
            asked = "`heads=`" if settings.live else "`--heads`"
            return [self._sum(W_O, W_V, names, (HEADS_UNTOLD.format(asked), *about))]
        return self._heads(W_O, W_V, settings.heads, names, about)

    def _folding(
        self, tensors: Tensors, channels: int, settings: Settings
    ) -> tuple[np.ndarray | float, tuple[str, ...]]:
        if self.family.norm is None:
            return 1.0, ("A norm before the layer is not folded in.",)
        norm = self.left.removesuffix(self.family.out[0]) + self.family.norm
        return folding(tensors, norm, channels, settings) if f"{norm}.weight" in tensors else (1.0, ())

    def _sum(self, W_O: np.ndarray, W_V: np.ndarray, names: str, about: tuple[str, ...]) -> Weight:
        if W_O.shape[1] != len(W_V):
            raise ShapeError(
                "heads share their values, and their number must be told: pass `--heads`",
                got=f"W_O {W_O.shape} and W_V {W_V.shape}",
            )
        said = f"Read as {self.family.kind}, $W = W_O W_V$ with {names}: the sum over all heads."
        return Weight(self.name, (W_O, W_V), (said, *about))

    def _heads(self, W_O: np.ndarray, W_V: np.ndarray, heads: int, names: str, about: tuple[str, ...]) -> list[Weight]:
        d, rest = divmod(W_O.shape[1], heads)
        if rest or not d or len(W_V) % d or heads % (len(W_V) // d):
            raise DomainError(
                "the number of heads must divide the widths of W_O and W_V",
                got=f"{heads} heads, W_O {W_O.shape}, W_V {W_V.shape}",
            )
        shared = heads // (len(W_V) // d)  # consecutive heads that have the same values
        found = []
        for h in range(heads):
            of, values = slice(h * d, (h + 1) * d), slice(h // shared * d, (h // shared + 1) * d)
            said = f"Read as {self.family.kind}, head {h} of {heads}: $W = W_O W_V$, its columns and rows of {names}."
            found.append(Weight(f"{self.name} head {h}", (W_O[:, of], W_V[values]), (said, *about)))
        return found


def _values(packed: np.ndarray, width: int, groups: int | None) -> np.ndarray:
    """W_V from each of so many groups of rows: `width` in all for the queries, then keys and values, of one size."""
    if groups is None:
        raise ShapeError(
            "queries, keys and values lie together by heads, and their number must be told: pass `--heads`",
            got=f"{packed.shape}",
        )
    size, rest = divmod(len(packed) - width, 2 * groups)
    if rest or size <= 0 or width % groups or len(packed) % groups or width % size:
        raise ShapeError("queries, keys and values in one tensor must have fitting sizes", got=f"{packed.shape}")
    return packed.reshape(groups, -1, packed.shape[1])[:, -size:].reshape(-1, packed.shape[1])


def attention(tensors: Tensors) -> list[Attention]:
    """The layers of all families."""
    found = []
    for family in FAMILIES:
        for prefix in tensors.prefixes(family.value):
            outer = next((prefix.removesuffix(level) for level in family.inner if prefix.endswith(level)), prefix)
            outer = outer if outer.endswith("attention.") else prefix
            out = tensors.first(prefix, family.out) or tensors.first(outer, family.out)
            if out is None or not all(prefix + other in tensors for other in family.beside):
                continue
            if (
                family.kind == "MultiheadNonlocalBlock"
                and tensors.shape(out)[-1] != tensors.shape(prefix + "g.weight")[0]
            ):
                continue  # a spectral block
            found.append(Attention(outer.removesuffix("."), family, prefix + family.value, out))
    return found
