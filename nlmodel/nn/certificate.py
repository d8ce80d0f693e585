"""What is certified of a stage of a network: for the affinity of an input, and for every affinity of its family."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from nlmodel._arrays import to_numpy
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.choices import kernel_of
from nlmodel.nn.definition import averaging_matrix
from nlmodel.nn.positions import check_input, to_rows
from nlmodel.nn.stage import NonlocalStage
from nlmodel.operators import NonlocalOperator
from nlmodel.stability import Certificate, StepBound, certify, worst_case_limit


def stage_certificate(stage: NonlocalStage, x: Tensor) -> Certificate | list[Certificate]:
    """Certify a stage for the actual affinity of its input.

        Z^{n+1} = Z^n + L(x) Z^n (h W^n)^T,   n = 0 .. N-1               Tao et al. 2018, eq. (8)

    Without norm layer and ReLU a stage is a polynomial in K(x), so that `nlmodel.certify` decides it.

    Parameters
    ----------
    stage : of the difference form.
    x : (..., C, *positions) tensor.

    Returns  `Certificate` of one image, or the list of those of a batch, its axes flattened.
    Raises   DomainError: the sum form; NormalizationError: row sums that vanish under "symmetric"; ShapeError /
             DtypeError: x.
    Accuracy K and all spectra in float64 on the host.  Weights count as known to their own precision, at best
             float32's below it, see `certify`.
    Cost     that of `certify` for each image: O(M^3 + M N C^3) up to 2000 positions.
    """
    check_difference(stage)
    check_input(x, stage.channels, stage.dimension, stage.w_z)
    with torch.no_grad():
        rows = to_rows(x.detach(), stage.dimension).to("cpu", torch.float64)
        left, right = copy.deepcopy(stage.embedding).to("cpu", torch.float64)(rows)
    weights = step_weights(stage)
    found = [certify(_operator(stage, a, b), weights) for a, b in zip(left, right, strict=True)]
    return found if x.ndim > stage.dimension + 1 else found[0]


def worst_case(stage: NonlocalStage, *, family: str = "markov") -> tuple[StepBound, ...]:
    """The spectral limit of each sub-block over all affinities of a family, whatever the input.

    A limit >= 1 means that the sub-block, repeated, is spectrally stable for every K of the family.  Over all
    row-stochastic K that is so when the eigenvalues of h W^n other than 0 are real and in (0, 1], and never else.

    Parameters
    ----------
    family : "markov" (every row-stochastic K >= 0), "reversible" or "psd", see `worst_case_limit`; the one of a
        stage is `affinity_family`.

    Returns  one `StepBound` a sub-block, of the weight h W^n.
    Raises   DomainError: the sum form; ChoiceError.
    """
    check_difference(stage)
    return tuple(worst_case_limit(W, family) for W in step_weights(stage))


def affinity_family(stage: NonlocalStage) -> str:
    """The smallest family that holds K(x) for every input x and every theta, phi and w.

    "psd" (0 <= s <= 1): exponentials of symmetric scalar products; "reversible" (0 <= s <= 2): the symmetric
    concatenation; "markov" (|s - 1| <= 1): the same affinities with phi apart from theta.

    Raises   DomainError: scalar products, which may be negative, and the normalisations "size" and "none", which leave
             the spectrum unbounded; the sum form.
    """
    check_difference(stage)
    kind, how = stage.embedding.affinity, stage.normalize
    if kind == "dot_product" or how in ("size", "none"):
        raise DomainError(
            "no bound of the spectrum holds for every input of this stage",
            got=f"affinity={kind!r}, normalize={how!r}",
            why="row-normalised affinities that are nowhere negative have |1 - s| <= 1; others grow with the input",
            fix='use an exponential affinity or the concatenation with normalize="row"',
        )
    if kind != "gaussian" and not stage.embedding.symmetric:
        return "markov"
    return "reversible" if kind == "concatenation" else "psd"


def step_weights(stage: NonlocalStage) -> list[np.ndarray]:
    """h W^n as (C, C) arrays, products in float64, in the precision of the stage but no less than float32."""
    with torch.no_grad():
        w_g, w_z = (w.to("cpu", torch.float64) for w in stage._weights())
        W = to_numpy(stage.step * (w_z @ w_g))
    return list(W if stage.w_z.dtype == torch.float64 else W.astype(np.float32))


def _operator(stage: NonlocalStage, left: Tensor, right: Tensor) -> NonlocalOperator:
    kernel = kernel_of(stage.embedding.affinity, left)
    log = kernel.exponential and stage.normalize not in ("size", "none")
    omega = to_numpy((kernel.log_evaluate if log else kernel.evaluate)(left, right))
    if stage.normalize == "row" and not log:  # a position that sees nobody stays as it is: K_ii = 1 says the same
        _, rate = averaging_matrix(kernel, left, right, "row")
        omega = np.where(to_numpy(rate) == 0, np.eye(len(omega)), omega)
    how = {"softmax": "row", "size": "none"}.get(stage.normalize, stage.normalize)
    weights = 1 / len(omega) if stage.normalize == "size" else None
    return NonlocalOperator.from_affinity(omega, how, log=log, weights=weights)


def check_difference(stage: NonlocalStage) -> None:
    """Raise unless `stage` is a stage of the difference form."""
    if not isinstance(stage, NonlocalStage):
        raise DtypeError("stage must be a NonlocalStage", got=type(stage).__name__)
    if stage.form != "difference":
        raise DomainError(
            "certificates are of the difference form",
            got=f"form={stage.form!r}",
            why="the sum form multiplies even constants by 1 + h mu: no positive weight keeps them bounded",
            fix='make the stage with form="difference"',
        )
