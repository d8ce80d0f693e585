"""One look at a layer: its weights, its affinity on a sample, its certificate; or why they are not known."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from nlmodel.errors import DomainError, NlmodelError
from nlmodel.nn.checkpoint.layers import Layer, Weight
from nlmodel.nn.checkpoint.tensors import Tensors
from nlmodel.nn.inspection.affinities import Averages, exact_copy, sample_of
from nlmodel.nn.inspection.blocks import as_ours, batched, first_input, of_block
from nlmodel.nn.inspection.heads import of_law, of_torch_attention
from nlmodel.nn.inspection.layer import Inspected
from nlmodel.nn.inspection.seen import Seen
from nlmodel.nn.inspection.weights import weights_of
from nlmodel.nn.stage import NonlocalStage
from nlmodel.stability import Certificate


@dataclass(frozen=True)
class Asked:
    """Which sample, how many positions at most, and the heads of layers that do not tell them."""

    sample: int
    positions: int
    heads: int | None


def look(
    name: str, module: nn.Module, layer: Layer, tensors: Tensors, seen: Seen, asked: Asked
) -> tuple[Inspected | None, list[str]]:
    """The layer with all that can be known of it, None where its weights cannot be read; and notes on the rest."""
    shown = asked.heads if seen.law is None else len(seen.law)
    try:
        weights = weights_of(module, layer, tensors, shown)
    except NlmodelError as error:
        return None, [f"{name}: left out, {error.what}."]
    averages, certificate, silent, notes = None, None, "", []
    try:
        if not seen.calls:
            raise DomainError(f"it was {'not called' if seen.place is None else 'left by an error'} in this pass")
        averages = _averages(module, seen, weights, asked)
        certificate = _certificate(module, seen, asked.sample)
    except NlmodelError as error:
        silent = error.what
        notes.append(f"{name}: only its weights were audited; {error.what}.")
    if seen.calls > 1:
        notes.append(f"{name}: called {seen.calls} times; the first call is audited.")
    return Inspected(name, module, weights, averages, certificate, silent), notes


def _averages(module: nn.Module, seen: Seen, weights: tuple[Weight, ...], asked: Asked) -> Averages:
    if isinstance(module, nn.MultiheadAttention):
        return of_torch_attention(module, seen, asked.sample, asked.positions)
    block = as_ours(module, seen)
    if block is not None:
        return of_block(block, seen, asked.sample, asked.positions)
    return of_law(seen, asked.sample, asked.positions, weights)


def _certificate(module: nn.Module, seen: Seen, sample: int) -> Certificate | None:
    """Of a stage of the difference form."""
    if not isinstance(module, NonlocalStage) or module.form != "difference":
        return None
    given = batched(module, first_input(seen))
    x = sample_of(given, seen.entry(sample, len(given))[0])
    return exact_copy(module).certificate(x[0])  # pyright: ignore[reportCallIssue]
