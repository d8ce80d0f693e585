"""V -> K V by four algorithms, each equal to the definition; three of them never hold an M x N matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nlmodel.nn.choices import kernel_of
from nlmodel.nn.definition import averaging_matrix, product_sizes, reciprocal, reciprocal_root
from nlmodel.nn.second_order import twice_differentiable


class Average(Protocol):
    """K, known by what it does to V (B, N, r); `rate` (B, M, 1) is what the difference form subtracts."""

    @property
    def rate(self) -> Tensor: ...

    def __call__(self, V: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Dense:
    """The definition: K as a matrix.   Cost O(M N (D + r)) time, O(M N) memory."""

    K: Tensor
    rate: Tensor

    @classmethod
    def of(cls, affinity: str, left: Tensor, right: Tensor, how: str) -> Dense:
        return cls(*averaging_matrix(kernel_of(affinity, left), left, right, how))

    def __call__(self, V: Tensor) -> Tensor:
        return self.K @ V


@dataclass(frozen=True)
class Fused:
    """The row softmax of x.y by fused attention: stands for `ExpDot` under "softmax" and "row".

    An axis of heads may stand before the last two.  The fused kernel of the CPU asks for one width of keys and
    values (zeros are appended), whose entries lie side by side; with any other the slow path is taken, which stores
    the M x N matrix.   Cost O(M N (D + r)) time, O(M + N) memory.
    """

    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, affinity: str, left: Tensor, right: Tensor, how: str) -> Fused:
        return cls(left, right)

    @property
    def rate(self) -> Tensor:
        return torch.ones_like(self.left[..., :1])

    def __call__(self, V: Tensor) -> Tensor:
        out = attention(self.left, self.right, V)
        return twice_differentiable(out, _softmax_average, self.left, self.right, V)


def attention(left: Tensor, right: Tensor, V: Tensor) -> Tensor:
    """softmax(left right^T) V by fused attention, (B, M, r) or (B, heads, M, r)."""
    least = 16 if V.device.type == "cpu" else 1  # narrower heads take its kernel longer than zeros appended
    width = max(left.shape[-1], V.shape[-1], least)
    q, k, v = (_fitting(x if x.ndim == 4 else x[:, None], width) for x in (left, right, V))
    out = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    return (out if V.ndim == 4 else out[:, 0])[..., : V.shape[-1]]


def _fitting(x: Tensor, width: int) -> Tensor:
    if x.shape[-1] < width:
        return F.pad(x, (0, width - x.shape[-1]))
    return x if x.stride(-1) == 1 else x.contiguous()


def _softmax_average(left: Tensor, right: Tensor, V: Tensor) -> Tensor:
    return Dense.of("gaussian", left, right, "softmax")(V)


@dataclass(frozen=True)
class Associative:
    """K V = left (right^T V) / C: stands for `DotProduct`.   Cost O((M + N) D r) time, O(D r) memory."""

    left: Tensor
    right: Tensor
    share: Tensor | float
    rate: Tensor

    @classmethod
    def of(cls, affinity: str, left: Tensor, right: Tensor, how: str) -> Associative:
        total = left @ right.sum(-2, keepdim=True).mT
        if how == "row":
            return cls(left, right, *reciprocal(total, product_sizes(left.detach(), right.detach())))
        share = 1.0 / right.shape[-2] if how == "size" else 1.0
        return cls(left, right, share, total * share)

    def __call__(self, V: Tensor) -> Tensor:
        return self.left @ (self.right.mT @ V) * self.share


@dataclass(frozen=True)
class Sorted:
    """sum_j ReLU(a_i + b_j) V_j from prefix sums over the sorted b: stands for `Concatenation`.

        sum_j ReLU(a_i + b_j) V_j = a_i sum_{j < n_i} V_j + sum_{j < n_i} b_j V_j,      b_0 >= b_1 >= ...

    with n_i the number of b_j > -a_i: the same set, in floating point too, as that of the positive a_i + b_j.

    Accuracy absolute error <= 4 N eps (|a_i| + max |b|) sum_j |V_j|: that of the data, not of the small a_i + b_j.
    Cost     O((M + N) (log N + r)) time, O((M + N) r) memory.
    """

    sums: PrefixSums
    sender: Tensor | float
    receiver: Tensor | float
    rate: Tensor

    @classmethod
    def of(cls, affinity: str, left: Tensor, right: Tensor, how: str) -> Sorted:
        sums = PrefixSums.of(left, right)
        total = sums(torch.ones_like(right)).clamp(min=0.0)
        if how == "row":
            return cls(sums, 1.0, *reciprocal(total, total))
        if how == "symmetric":
            root, rate = reciprocal_root(total)
            return cls(sums, root, root, rate)
        share = 1.0 / right.shape[-2] if how == "size" else 1.0
        return cls(sums, 1.0, share, total * share)

    def __call__(self, V: Tensor) -> Tensor:
        return self.sums(V * self.sender) * self.receiver


@dataclass(frozen=True)
class PrefixSums:
    """sum_j ReLU(a_i + b_j) V_j, with the order of the b_j and the counts n_i found once."""

    a: Tensor
    b: Tensor
    order: Tensor
    count: Tensor

    @classmethod
    def of(cls, a: Tensor, b: Tensor) -> PrefixSums:
        """a (B, M, 1), b (B, N, 1)."""
        rising, order = torch.sort(-b.detach(), dim=-2, stable=True)
        count = torch.searchsorted(rising[..., 0].contiguous(), a.detach()[..., 0].contiguous())
        return cls(a, b.gather(-2, order), order, count[..., None])

    def __call__(self, V: Tensor) -> Tensor:
        ordered = V.gather(-2, self.order.expand(V.shape))
        sums = torch.cat([ordered, self.b * ordered], -1).cumsum(-2)
        sums = F.pad(sums, (0, 0, 1, 0))  # n_i = 0: the empty sum
        plain, moment = sums.gather(-2, self.count.expand(*self.count.shape[:-1], sums.shape[-1])).chunk(2, -1)
        return self.a * plain + moment


AVERAGES = {"dense": Dense, "fused": Fused, "associative": Associative, "sorted": Sorted}
