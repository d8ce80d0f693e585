"""What is logged of a network on a few fixed images: spectra of its weights, step limits, energies of features."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn

from nlmodel._arrays import to_numpy
from paper_repro.config import RunConfig
from paper_repro.networks import nonlocal_modules
from paper_repro.training.weights import Description, describe, weight_records


PROBES = 2  # test images
PAPER = (36, 82, 125)  # epochs of Tao et al. 2018, Fig. 2, of
PAPER_EPOCHS = 164
LANCZOS = 1e-3  # relative
DENSE, FEW = 20, 18  # runs up to this long are logged at every epoch, others about as often as this


def is_logged(config: RunConfig, epoch: int) -> bool:
    """Whether the network is observed after that many epochs: first, evenly, around milestones, as in the paper."""
    planned = config.epochs
    due = {0, 1, 2, 3, planned} | {m + k for m in config.milestones for k in (0, 1)}
    due |= {round(e * planned / PAPER_EPOCHS) for e in PAPER}
    return planned <= DENSE or epoch in due or epoch % math.ceil(planned / FEW) == 0


def observe(network: nn.Module, images: Tensor, epoch: int) -> dict[str, Any]:
    """The record of one epoch.

        weights   of each h W^n, see `weight_records`: spectra, trace, signed parts, norm, step limit for every input
        modules   form and family of each nonlocal module; growth: the largest ||pass||_2 for any input of the family
                  reach, probe_limits, probe_growth: the same for the affinities of `images`; null without a family
                  energy: nonlocal Dirichlet energy of its input and of its output, in the affinity of its input
        features  mean square, variance and Dirichlet energy by place: ".in" before a nonlocal module, else after

    Parameters
    ----------
    images : (PROBES, 3, 32, 32) preprocessed float32 images.
    epoch : full epochs so far.

    Accuracy spectra of W in float64; `reach` to 1e-3, in float32.
    Cost     a forward pass, and for each nonlocal module one eigenvalue of `PROBES` affinities and all of its weights.
    """
    seen = features(network, images)
    modules = [(name, module, describe(name, module)) for name, module in nonlocal_modules(network)]
    return {
        "epoch": epoch,
        "weights": [record for _, _, told in modules for record in weight_records(told)],
        "modules": [_module_record(module, told, *seen[name]) for name, module, told in modules],
        "features": [energies(place, x) for place, x in places(seen, [name for name, _, _ in modules])],
    }


def to_line(record: dict[str, Any]) -> str | None:
    """The record as one line of JSON, numbers to nine digits; None when one is not finite."""
    try:
        return json.dumps(_short(record), allow_nan=False)
    except ValueError:
        return None


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_short(v) for v in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def features(network: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Input and output of every nonlocal module and every stage of the network, without a trace in the network."""
    watched = dict(nonlocal_modules(network)) | {
        n: m for n, m in network.named_children() if isinstance(m, nn.Sequential)
    }
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: seen.update({name: (inputs[0].detach(), output.detach())})

    handles = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return seen


def places(seen: dict[str, tuple[Tensor, Tensor]], nonlocal_names: Iterable[str]) -> list[tuple[str, Tensor]]:
    """Features by place, in the order of the forward pass: before and after nonlocal modules, after stages."""
    inner = set(nonlocal_names)
    found = []
    for name, (before, after) in seen.items():
        found += [(f"{name}.in", before)] if name in inner else []
        found.append((name, after))
    return found


def energies(place: str, x: Tensor) -> dict[str, Any]:
    """Mean square, variance over the positions, and Dirichlet energy of features (B, C, H, W).

        dirichlet = mean_i |x(i + e_1) - x(i)|^2 + mean_i |x(i + e_2) - x(i)|^2

    All three are means over images and positions and sums over channels.
    """
    x = x.double()
    fluctuation = x - x.mean((2, 3), keepdim=True)
    down, right = x.diff(dim=2), x.diff(dim=3)
    return {
        "place": place,
        "mean_square": _mean_square(x),
        "variance": _mean_square(fluctuation),
        "dirichlet": _mean_square(down) + _mean_square(right),
    }


def _mean_square(x: Tensor) -> float:
    return float(x.square().sum(1).mean())


def _module_record(module: Any, told: Description, before: Tensor, after: Tensor) -> dict[str, Any]:
    record: dict[str, Any] = {"module": told.name, "form": told.form, "family": told.family}
    record |= {"growth": None if told.worst is None else told.growth(told.worst)}
    record |= dict.fromkeys(("reach", "probe_limits", "probe_growth", "energy"))
    if told.family is None or not bool(torch.isfinite(before).all() & torch.isfinite(after).all()):
        return record
    with torch.no_grad():
        K = module.affinity(before)
    reach = [reach_of(told, one) for one in K]
    modes = told.modes(max(reach))  # those of the image with the largest reach hold those of the others
    limits = ["inf" if limit == math.inf else limit for limit in told.limits(modes)]
    energy = [nonlocal_energy(K, before), nonlocal_energy(K, after)]
    return record | {"reach": reach, "probe_limits": limits, "probe_growth": told.growth(modes), "energy": energy}


def reach_of(told: Description, K: Tensor) -> float:
    """How far the spectrum of one affinity reaches from 1, as `Description.modes` takes it.

    Where omega is symmetric and K = omega/C, the matrix S = sqrt(K_ij K_ji) = omega_ij / sqrt(C_i C_j) is symmetric and
    has the eigenvalues of K: the largest eigenvalue of I - S.  Otherwise Gershgorin's radius max_i (1 - K_ii).
    """
    radius = float((1 - K.diagonal()).max())
    if told.family == "markov":
        return radius
    S = to_numpy((K * K.mT).sqrt())
    gap = LinearOperator(S.shape, matvec=lambda x: x - S @ x, dtype=S.dtype)  # pyright: ignore
    start = np.cos(np.arange(len(S), dtype=S.dtype))
    try:
        s_max = float(eigsh(gap, k=1, which="LA", v0=start, tol=LANCZOS, return_eigenvectors=False)[0])  # pyright: ignore
    except ArpackError:  # K = I, for one
        s_max = 2 * radius
    return min(max(s_max, 0.0), 1.0 if told.family == "psd" else 2.0)


def nonlocal_energy(K: Tensor, x: Tensor) -> float:
    """(1/2) sum_ij K_ij |x_i - x_j|^2, a mean over images and positions i; K (B, M, M), x (B, C, H, W)."""
    Z = x.double().flatten(2).mT
    K = K.double()
    size = Z.square().sum(-1)
    cross = (Z * (K @ Z)).sum(-1)
    pairs = K.sum(-1) * size + (K @ size[..., None])[..., 0] - 2 * cross
    return float(0.5 * pairs.mean())
