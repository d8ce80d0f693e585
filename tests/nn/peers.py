"""Blocks and attention of other libraries, from their formulas, with the names of their parameters."""

from __future__ import annotations

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn


CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
POOL = {1: nn.MaxPool1d(2), 2: nn.MaxPool2d(2), 3: nn.MaxPool3d((1, 2, 2))}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def pairwise(mode: str, theta: Tensor, phi: Tensor, project: nn.Module | None, scale: float) -> Tensor:
    """The (B, M, N) weights of (B, r, M) and (B, r, N) features, pair by pair for the concatenation."""
    if project is None:
        f = torch.einsum("brm,brn->bmn", theta, phi) * scale
        return f / f.shape[-1] if mode == "dot_product" else f.softmax(-1)
    M, N = theta.shape[-1], phi.shape[-1]
    pairs = torch.cat([theta[..., None].expand(-1, -1, -1, N), phi[:, :, None].expand(-1, -1, M, -1)], 1)
    return torch.relu(project(pairs))[:, 0] / N


class Conv(nn.Module):
    """A convolution, and a norm if wanted, in a wrapper: where mmcv keeps them."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None = None):
        super().__init__()
        self.conv = conv
        if norm is not None:
            self.bn = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) if hasattr(self, "bn") else self.conv(x)


class Mmcv(nn.Module):
    """NonLocal1d, 2d, 3d."""

    def __init__(
        self, channels, dimension=2, *, mode="embedded_gaussian", use_scale=True, sub_sample=False, norm=False
    ):
        super().__init__()
        inner, conv = channels // 2, CONV[dimension]
        self.mode, self.use_scale, self.sub_sample = mode, use_scale, sub_sample
        self.g = Conv(conv(channels, inner, 1))
        self.conv_out = Conv(
            conv(inner, channels, 1, bias=not norm), NORM[dimension](channels, eps=1e-3) if norm else None
        )
        if mode != "gaussian":
            self.theta, self.phi = (Conv(conv(channels, inner, 1)) for _ in range(2))
        if mode == "concatenation":
            self.concat_project = Conv(nn.Conv2d(2 * inner, 1, 1, bias=False))
        if sub_sample:
            self.g = nn.Sequential(self.g, POOL[dimension])
            self.phi = POOL[dimension] if mode == "gaussian" else nn.Sequential(self.phi, POOL[dimension])

    def forward(self, x: Tensor) -> Tensor:
        theta = x if self.mode == "gaussian" else self.theta(x)
        phi = self.phi(x) if hasattr(self, "phi") else x
        project = self.concat_project if self.mode == "concatenation" else None
        scale = theta.shape[1] ** -0.5 if self.use_scale and self.mode == "embedded_gaussian" else 1.0
        f = pairwise(self.mode, theta.flatten(2), phi.flatten(2), project, scale)
        y = torch.einsum("bmn,brn->brm", f, self.g(x).flatten(2))
        return x + self.conv_out(y.unflatten(-1, x.shape[2:]))


class Timm(nn.Module):
    """NonLocalAttn."""

    def __init__(self, channels, *, use_scale=True):
        super().__init__()
        inner = channels // 2
        self.scale = channels**-0.5 if use_scale else 1.0
        self.t, self.p, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.z, self.norm = nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        f = F.softmax(torch.einsum("brm,brn->bmn", self.t(x).flatten(2), self.p(x).flatten(2)) * self.scale, -1)
        y = torch.einsum("bmn,brn->brm", f, self.g(x).flatten(2))
        return x + self.norm(self.z(y.unflatten(-1, x.shape[2:])))


class AlexHex(nn.Module):
    """NONLocalBlock1D, 2D, 3D of the four files."""

    def __init__(self, channels, dimension=2, *, mode="embedded_gaussian", sub_sample=True, norm=True):
        super().__init__()
        inner, conv = channels // 2, CONV[dimension]
        self._mode = mode
        self.g = conv(channels, inner, 1)
        self.W = conv(inner, channels, 1)
        if norm:
            self.W = nn.Sequential(self.W, NORM[dimension](channels))
        if mode != "gaussian":
            self.theta, self.phi = (conv(channels, inner, 1) for _ in range(2))
        if mode == "concatenation":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())
        if sub_sample:
            self.g = nn.Sequential(self.g, POOL[dimension])
            self.phi = POOL[dimension] if mode == "gaussian" else nn.Sequential(self.phi, POOL[dimension])

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(x) if hasattr(self, "theta") else x
        phi = self.phi(x) if hasattr(self, "phi") else x
        f = pairwise(self._mode, theta.flatten(2), phi.flatten(2), getattr(self, "concat_project", None), 1.0)
        y = torch.einsum("bmn,brn->brm", f, self.g(x).flatten(2))
        return x + self.W(y.unflatten(-1, x.shape[2:]))


class SelfAttention(nn.Module):
    """Attention in the manner of transformers: fused unless the configuration asks for probabilities or eager kernels.

    `wrap` is what becomes of its sum: "" nothing, "residual" x + y, "norm" a layer norm of x + y.
    """

    def __init__(self, channels, heads=2, *, groups=None, causal=False, wrap=""):
        super().__init__()
        self.heads_in_all, self.groups, self.causal, self.wrap = heads, groups or heads, causal, wrap
        width = channels // heads * self.groups
        self.config = SimpleNamespace(output_attentions=False, _attn_implementation="sdpa")
        self.q_proj, self.o_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.k_proj, self.v_proj = nn.Linear(channels, width), nn.Linear(channels, width)
        self.norm = nn.LayerNorm(channels)

    def probabilities(self, x: Tensor) -> Tensor:
        """By the definition."""
        q = self.q_proj(x).unflatten(-1, (self.heads_in_all, -1)).transpose(1, 2)
        k = self.k_proj(x).unflatten(-1, (self.groups, -1)).transpose(1, 2)
        logits = q @ k.repeat_interleave(self.heads_in_all // self.groups, 1).mT / q.shape[-1] ** 0.5
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) & self.causal
        return logits.masked_fill(hidden, -torch.inf).softmax(-1)

    def forward(self, hidden_states: Tensor, key_value_states: Tensor | None = None):
        x = hidden_states
        other = x if key_value_states is None else key_value_states
        v = self.v_proj(other).unflatten(-1, (self.groups, -1)).transpose(1, 2)
        eager = self.config.output_attentions and self.config._attn_implementation == "eager"
        if eager and key_value_states is None:
            P = self.probabilities(x)
            y = P @ v.repeat_interleave(self.heads_in_all // self.groups, 1)
        else:
            P, q = None, self.q_proj(x).unflatten(-1, (self.heads_in_all, -1)).transpose(1, 2)
            k = self.k_proj(other).unflatten(-1, (self.groups, -1)).transpose(1, 2)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, enable_gqa=True)
        y = self.o_proj(y.transpose(1, 2).flatten(2))
        y = y + x if self.wrap else y
        return (self.norm(y) if self.wrap == "norm" else y), P


class Encoder(nn.Module):
    """A network of one such layer, called by name."""

    def __init__(self, channels, **options):
        super().__init__()
        self.embed, self.attention = nn.Linear(3, channels), SelfAttention(channels, **options)
        self.config = self.attention.config

    def forward(self, x: Tensor, *, shift: float = 0.0):
        h = self.embed(x) + shift
        return h + self.attention(hidden_states=h)[0]
