"""The audits: of features, of an affinity, of weights, and of a file of any of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmodel._arrays import check_array, check_choice, check_count, check_number, check_square
from nlmodel.audit.measured import KERNELS, Measured, from_affinity, from_features
from nlmodel.audit.readers import entries, patches
from nlmodel.audit.readers.patches import patch_grid
from nlmodel.audit.report import Audit, Finding, Section
from nlmodel.audit.roles import Task, tasks
from nlmodel.audit.sections.assumptions import assumptions
from nlmodel.audit.sections.chain import chain
from nlmodel.audit.sections.spectrum import spectrum
from nlmodel.audit.sections.stability import stability
from nlmodel.audit.sections.steady import steady
from nlmodel.audit.weights import audit_weights
from nlmodel.normalization import HOW


@dataclass(frozen=True)
class Options:
    """How a file is read and analysed; each is an option of the command line."""

    role: str = "auto"
    keys: tuple[str, ...] = ()
    kernel: str = "gaussian"
    scale: float | None = None
    normalize: str = "row"
    positions: int = 900
    patch: int = 4

    def __post_init__(self) -> None:
        check_choice(self.kernel, "kernel", KERNELS)
        check_choice(self.normalize, "normalize", HOW)
        check_count(self.positions, "positions", at_least=3)
        check_count(self.patch, "patch", at_least=1)
        if self.scale is not None:
            check_number(self.scale, "scale", above=0.0)


def audit_file(path: str | Path, options: Options = Options()) -> tuple[list[Audit], list[str]]:
    """Audit every array of a file that can be audited.

    Parameters
    ----------
    path : a `.npy`, `.npz`, `.png`, `.jpg` or `.safetensors` file; nothing in it is executed.

    Returns  the audits, and notes on what was left out.
    Raises   FileError: the file cannot be read, or holds nothing to audit; with one array, the error of that array.
    Cost     O(M^3) for M positions, a few seconds at M = 900; O(C^3) for C channels.
    """
    work, notes = tasks(entries(path), options.role, options.keys)
    return [_one(task, options) for task in work], notes


def _one(task: Task, options: Options) -> Audit:
    if task.role == "weights":
        return audit_weights(*task.arrays, unit=task.unit, name=task.name, assumed=task.assumed)
    values = task.arrays[0]
    if task.role == "affinity":
        return audit_affinity(values, normalize=options.normalize, name=task.name, assumed=task.assumed)
    grid, said = None, list(task.assumed)
    if values.dtype.kind == "u":
        p, (height, width) = options.patch, values.shape[:2]
        grid, colours = patch_grid((height, width), p, options.positions), values.ndim == 3
        values = patches(values, p, options.positions)
        said.append(
            f"{'Colour' if colours else 'Grey'} image of {height} x {width} pixels, read as {len(values)} "
            f"patches of {p} x {p} on a grid of {grid[0]} x {grid[1]}, in [0, 1] (`--patch`, "
            "`--positions`)."
        )
    elif len(values) > options.positions:
        rows = np.linspace(0, len(values) - 1, options.positions).round().astype(int)
        said.append(
            f"{options.positions} of {len(values):,} positions were taken, evenly spaced (`--positions` takes more)."
        )
        values = values[rows]
    return audit_features(
        values,
        kernel=options.kernel,
        scale=options.scale,
        normalize=options.normalize,
        grid=grid,
        name=task.name,
        assumed=said,
    )


def audit_features(
    X: np.ndarray,
    *,
    kernel: str = "gaussian",
    scale: float | None = None,
    normalize: str = "row",
    grid: tuple[int, int] | None = None,
    name: str = "features",
    assumed: Sequence[str] = (),
) -> Audit:
    """What a nonlocal block sees in these features: assumptions, spectrum, step limits, Markov chain, steady states.

    Parameters
    ----------
    X : (M, C) float64 array, M >= 3 positions.
    kernel : "gaussian", "exp_dot" or "dot_product".
    scale : bandwidth of the Gaussian (default: median distance) or temperature of exp_dot (default 1).
    normalize : "row", "sinkhorn", "alpha", "symmetric" or "none".
    grid : rows and columns when the positions lie on an image.
    """
    check_array(X, "X", ndim=2)
    measured = from_features(X, kernel=kernel, scale=scale, normalize=normalize, grid=grid)
    subject = f"features, {X.shape[0]:,} positions x {X.shape[1]:,} channels"
    return _assemble(measured, name, "features", subject, assumed)


def audit_affinity(
    omega: np.ndarray, *, normalize: str = "row", name: str = "affinity", assumed: Sequence[str] = ()
) -> Audit:
    """The same for a given affinity matrix, as far as it goes without features.

    Parameters
    ----------
    omega : (M, M) float64 array, M >= 3.
    """
    check_square(check_array(omega, "omega", ndim=2), "omega")
    measured = from_affinity(omega, normalize=normalize)
    return _assemble(measured, name, "affinity", f"affinity of {len(omega):,} positions", assumed)


def _assemble(x: Measured, name: str, kind: str, subject: str, assumed: Sequence[str]) -> Audit:
    parts: list[Callable[[Measured], tuple[Section, list[Finding]]]] = [assumptions, spectrum, stability]
    said = [*assumed, *x.assumed]
    if x.stochastic:
        parts.append(chain)
    else:
        said.append(
            "The Markov chain section is left out: with this normalisation and these signs $K$ is no transition matrix."
        )
    sections, groups = zip(*(part(x) for part in [*parts, steady]), strict=True)
    findings = (f for group in (*groups[1:3], groups[0], *groups[3:]) for f in group)  # the most practical first
    return Audit(name, kind, subject, tuple(said), tuple(findings), tuple(sections))
