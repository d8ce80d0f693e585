"""`nlmodel.nn.audit`: from a network and an input to what each of its averaging layers does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from nlmodel._arrays import check_count
from nlmodel.audit import Audit
from nlmodel.audit.report import Fact, Picture, Section
from nlmodel.audit.sections.signs import signs
from nlmodel.errors import DomainError, DtypeError
from nlmodel.nn.checkpoint import layers_of
from nlmodel.nn.inspection.depth import depth_audit
from nlmodel.nn.inspection.effect import Effect, effect, effect_section
from nlmodel.nn.inspection.figure import layer_figure
from nlmodel.nn.inspection.layer import Inspected
from nlmodel.nn.inspection.look import Asked, look
from nlmodel.nn.inspection.mixing import mixing_section
from nlmodel.nn.inspection.passage import Passage, passage, passage_section
from nlmodel.nn.inspection.report import AuditReport
from nlmodel.nn.inspection.seen import Watch
from nlmodel.nn.inspection.weights import tensors_of


LOOKED_FOR = "looked for were nonlocal blocks, and attention with weights for query, key, value and output"
UNKNOWN = "computes attention, but the weights for its values and outputs do not have names that are known; left out"
CAPTION = (
    "Left: eigenvalues of the symmetric part of each weight. Middle: of the affinity, by modulus. Right: what the "
    "layer does to the features of this sample."
)


def audit(
    model: nn.Module, x: Any, *, sample: int = 0, positions: int = 1100, heads: int | None = None, name: str = ""
) -> AuditReport:
    """What the averaging layers of a trained network do to an input.

    Found are the blocks of `nlmodel.nn`, those of mmcv, timm and Non-local_pytorch, `torch.nn.MultiheadAttention`, and
    attention with weights for query, key, value and output (Hugging Face, timm), whose law is read where torch takes
    its softmax, fused or not.  Of each: signs of W with their null model, lean, spectral against numerical abscissa; of
    the affinity row sums, reversibility, spectral gap, Dobrushin coefficient; factors or the certificate of a stage;
    energy and effective rank of the features.

        audit(net, images)                        net(images)
        audit(net, (x, y))                        net(x, y)
        audit(net, {"input_ids": ids})            net(input_ids=ids): what a tokenizer of Hugging Face returns

    Parameters
    ----------
    model : any network; it is run once, in evaluation and without gradients, and is afterwards what it was before.
    x : its input, a tuple of inputs, or a mapping of inputs by name; none of them is modified.
    sample : which sample of the batch is looked at.
    positions : the largest M whose affinity is looked at, at O(M^3).
    heads : of attention layers that neither say nor show how many they have.
    name : of the network, for the reader.

    Returns  `AuditReport`, its layers in the order in which they act; its notes say what was left out and why.
    Raises   DtypeError: model is no module, or a parameter holds no numbers; DomainError: no averaging layer; whatever
             the network itself raises.
    Accuracy blocks are computed again in float64 from what they were given; where the output is not theirs, to what
             rounding in the precision of the network may do, only their weights are audited. Of attention it is said
             whether the affinity and the weights that were found explain what it returns.
    Cost     one pass, and for each layer with h heads h times O(M^3 + C^3).
    """
    _check(model)
    check_count(sample, "sample")
    check_count(positions, "positions", at_least=2)
    if heads is not None:
        check_count(heads, "heads", at_least=1)
    layers, notes = _inspected(model, x, Asked(sample, positions, heads))
    passages = {layer.name: passage(layer.averages) for layer in layers if layer.averages is not None}
    effects = {layer.name: effect(layer) for layer in layers}
    verdicts = {key: found.verdict for key, found in effects.items()}
    return AuditReport(
        name or type(model).__name__,
        {layer.name: _audited(layer, effects[layer.name], passages.get(layer.name)) for layer in layers},
        verdicts,
        depth_audit(passages, verdicts),
        tuple(notes),
        {layer.name: partial(layer_figure, layer, passages.get(layer.name)) for layer in layers},
    )


def _inspected(model: nn.Module, x: Any, asked: Asked) -> tuple[list[Inspected], list[str]]:
    """The layers in the order of their calls, and notes on what was left out."""
    tensors = tensors_of(model)
    known = {layer.name: layer for layer in layers_of(tensors)}
    watch = Watch(model, [name for name, _ in model.named_modules() if name in known], asked.sample, asked.positions)
    watch.run(*_arguments(x))
    notes = [f"{strange or type(model).__name__}: {UNKNOWN}." for strange in watch.strange]
    layers: list[Inspected] = []
    with torch.device("cpu"):  # whatever device is the default, numbers are analysed on the host
        for name in watch.order:
            module, title = watch.modules[name], name or type(model).__name__
            made, more = look(title, module, known[name], tensors, watch.seen[name], asked)
            layers += [] if made is None else [made]
            notes += more
    if not layers:
        raise DomainError(
            "the network has no layer that averages over positions and can be audited",
            got="; ".join(notes) or type(model).__name__,
            why=LOOKED_FOR,
        )
    return layers, notes


def _check(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise DtypeError("model must be a torch.nn.Module", got=type(model).__name__)
    empty = [name for name, p in model.named_parameters() if is_lazy(p) or p.is_meta]
    if empty:
        raise DtypeError(
            "every parameter of the network must hold numbers",
            got=f"{empty[0]}, which has none yet",
            fix="load its weights, or run a lazy network once",
        )


def _arguments(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the network is called with."""
    if isinstance(x, Mapping):
        return (), dict(x)
    return (x, {}) if isinstance(x, tuple) else ((x,), {})


def _audited(layer: Inspected, acts: Effect, found: Passage | None) -> Audit:
    pictures = (Picture("layer", CAPTION, partial(layer_figure, layer, found)),)
    first, findings = effect_section(layer, acts)
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
    return Audit(layer.name, "layer", kind, tuple(said), tuple(findings), tuple(sections))


def _named(section: Section, part: str) -> Section:
    """The section of one head or sub-block."""
    facts = tuple(Fact(f"{part}.{f.key}", f.label, f.value, f.meaning) for f in section.facts)
    return Section(f"{section.title}, {part}", section.lead, facts, section.formula, section.pictures)
