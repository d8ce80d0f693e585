"""`nlmodel.nn.audit`: from a network and an input to what each of its averaging layers does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_count
from nlmodel.audit import Audit
from nlmodel.audit.readers import Entry
from nlmodel.audit.report import Fact, Picture, Section
from nlmodel.audit.sections.signs import signs
from nlmodel.errors import DomainError, DtypeError, NlmodelError
from nlmodel.nn.checkpoint import layers_of
from nlmodel.nn.checkpoint.layers import Layer
from nlmodel.nn.checkpoint.tensors import Tensors
from nlmodel.nn.inspection.affinities import averages, exact_copy, sample_of
from nlmodel.nn.inspection.depth import depth_audit
from nlmodel.nn.inspection.effect import effect, effect_section
from nlmodel.nn.inspection.figure import layer_figure
from nlmodel.nn.inspection.layer import Inspected
from nlmodel.nn.inspection.mixing import mixing_section
from nlmodel.nn.inspection.passage import Passage, passage, passage_section
from nlmodel.nn.inspection.report import AuditReport
from nlmodel.nn.inspection.seen import Seen, watch
from nlmodel.nn.inspection.weights import weights_of
from nlmodel.nn.stage import NonlocalStage


def audit(
    model: nn.Module, x: Any, *, sample: int = 0, positions: int = 1100, heads: int | None = None, name: str = ""
) -> AuditReport:
    """What the averaging layers of a trained network do to an input.

    Found are the blocks of `nlmodel.nn`, those of mmcv, timm and Non-local_pytorch, `torch.nn.MultiheadAttention`, and
    attention with weights for query, key, value and output that returns its probabilities, or does so when its
    configuration is asked for them (Hugging Face).  Of each: signs of W with their null model, lean, growth; of the
    affinity row sums, reversibility, spectral gap, Dobrushin coefficient; factors or the certificate of a stage; energy
    and effective rank of the features.

    Parameters
    ----------
    model : any network; it is run once, in evaluation and without gradients, and is afterwards what it was before.
    x : its input, or a tuple of inputs.
    sample : which sample of the batch is looked at.
    positions : the largest M whose spectrum is found, at O(M^3).
    heads : of attention layers that do not say how many they have.
    name : of the network, for the reader.

    Returns  `AuditReport`; its notes say what could not be analysed.
    Raises   DtypeError: model is no module; DomainError: no averaging layer; whatever the network itself raises.
    """
    if not isinstance(model, nn.Module):
        raise DtypeError("model must be a torch.nn.Module", got=type(model).__name__)
    check_count(sample, "sample")
    check_count(positions, "positions", at_least=2)
    tensors, found = _layers(model)
    inputs = x if isinstance(x, tuple) else (x,)
    seen = watch(model, inputs, [layer.name for layer in found])
    notes: list[str] = []
    inspected = [
        made
        for layer in found
        if (made := _inspected(model, layer, tensors, seen[layer.name], sample, positions, heads, notes)) is not None
    ]
    if not inspected:
        raise DomainError("no layer of the network can be audited", got="; ".join(notes))
    passages = {layer.name: passage(layer.averages) for layer in inspected if layer.averages is not None}
    verdicts = {layer.name: effect(layer).verdict for layer in inspected}
    return AuditReport(
        name or type(model).__name__,
        {layer.name: _audited(layer, passages.get(layer.name)) for layer in inspected},
        verdicts,
        depth_audit(passages, verdicts),
        tuple(notes),
        {layer.name: partial(layer_figure, layer, passages.get(layer.name)) for layer in inspected},
    )


def _layers(model: nn.Module) -> tuple[Tensors, list[Layer]]:
    """The layers with a weight W, by the names of their parameters, in the order of the modules."""
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    tensors = Tensors("", {name: _entry(name, value) for name, value in state.items()})
    modules = dict(model.named_modules())
    places = {name: place for place, name in enumerate(modules)}
    found = sorted((layer for layer in layers_of(tensors) if layer.name in places), key=lambda la: places[la.name])
    if not found:
        raise DomainError(
            "the network has no layer that averages over positions",
            got=type(model).__name__,
            why="looked for were nonlocal blocks and attention with weights for values and outputs",
        )
    return tensors, found


def _entry(name: str, value: Tensor) -> Entry:
    return Entry(
        name,
        tuple(value.shape),
        str(value.dtype).removeprefix("torch."),
        lambda: value.detach().to("cpu", torch.float64).numpy(),
    )


def _inspected(
    model: nn.Module,
    layer: Layer,
    tensors: Tensors,
    seen: Seen,
    sample: int,
    positions: int,
    heads: int | None,
    notes: list[str],
) -> Inspected | None:
    module = model.get_submodule(layer.name)
    try:
        weights = weights_of(module, layer, tensors, heads)
    except NlmodelError as error:
        notes.append(f"{layer.name}: left out, {error.what}.")
        return None
    looked, silent, certificate = None, "", None
    try:
        if not seen.calls:
            raise DomainError("it was not called in this pass")
        looked = averages(module, seen, sample)
        if looked.K.shape[-1] > positions:
            size = looked.K.shape[-1]
            looked = None
            raise DomainError(f"it has {size:,} positions; positions={size} audits them, at O(M^3)")
        if isinstance(module, NonlocalStage) and module.form == "difference":
            certificate = exact_copy(module).certificate(sample_of(seen.args[0], sample)[0])  # pyright: ignore
    except NlmodelError as error:
        silent = error.what
        notes.append(f"{layer.name}: only its weights were audited; {error.what}.")
    if seen.calls > 1:
        notes.append(f"{layer.name}: called {seen.calls} times; the first call is audited.")
    return Inspected(layer.name, module, weights, looked, certificate, silent)


def _audited(layer: Inspected, found: Passage | None) -> Audit:
    pictures = (Picture("layer", CAPTION, partial(layer_figure, layer, found)),)
    first, findings = effect_section(layer)
    sections = [replace(first, pictures=pictures)]
    if layer.chains:
        section, more = mixing_section(layer)
        sections.append(section)
        findings += more
    if found is not None:
        sections.append(passage_section(found))
    for weight, weighed in zip(layer.weights, layer.weighed, strict=True):
        section, more = signs(weighed)
        part = weight.name.removeprefix(layer.name).strip()
        sections.append(_named(section, part) if part else section)
        findings += [] if part else more
    said = [line for weight in layer.weights[:1] for line in weight.assumed]
    said += list(layer.averages.remarks) if layer.averages else [f"Affinity: {layer.silent}."]
    kind = type(layer.module).__name__
    return Audit(layer.name or kind, "layer", kind, tuple(said), tuple(findings), tuple(sections))


CAPTION = (
    "Left: eigenvalues of the symmetric part of each weight. Middle: of the affinity, by modulus. Right: what the "
    "layer does to the features of this sample."
)


def _named(section: Section, part: str) -> Section:
    """The section of one head or sub-block."""
    facts = tuple(Fact(f"{part}.{f.key}", f.label, f.value, f.meaning) for f in section.facts)
    return Section(f"{section.title}, {part}", section.lead, facts, section.formula, section.pictures)
