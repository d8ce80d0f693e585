"""One forward pass, watched: what went into and came out of modules, and the attention that was computed in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlmodel.nn.inspection.attended import Attended, Logits, log_law
from nlmodel.nn.inspection.untouched import untouched


@dataclass
class Seen:
    """The first call of a module.

    Attributes
    ----------
    whole : samples in the batch of the network.
    autocast : the dtype to which its products were cast, if any.
    place : how many of the watched modules were called before it; None when it was not called.
    law : (heads, M, M) of the sample, the first attention that was computed in or below the module; in float64 on the
        host, its rows brought to sum one.
    positions : M of that attention; above the limit there is no `law`.
    """

    whole: int = 0
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    calls: int = 0
    autocast: torch.dtype | None = None
    place: int | None = None
    law: Tensor | None = None
    positions: int | None = None

    @property
    def inputs(self) -> list[Tensor]:
        """The floating-point tensors among the arguments, in their order."""
        given = [*self.args, *self.kwargs.values()]
        return [t for t in given if isinstance(t, Tensor) and t.is_floating_point() and not t.is_nested]

    @property
    def batch(self) -> int:
        """How many samples its features are of; 0 where they are of none."""
        return next((len(x) for x in self.inputs if x.ndim > 2), 0)

    def entry(self, sample: int, batch: int) -> tuple[int, tuple[str, ...]]:
        """The first entry that belongs to a sample of the network in a batch of the module, and what to say of it.

        Windows of an image and frames of a video are often entries of their own.
        """
        parts, rest = divmod(batch, self.whole) if self.whole else (1, 0)
        if rest or parts < 2:
            return sample, ()
        return parts * sample, (f"Its batch has {parts} entries for each sample: the first of them is looked at.",)

    def precision(self, found: Tensor) -> torch.dtype:
        """In which an output was computed."""
        return max(self.autocast or found.dtype, found.dtype, key=lambda dtype: torch.finfo(dtype).eps)

    @property
    def result(self) -> Any:
        """The output, or the first of several."""
        return self.output[0] if isinstance(self.output, tuple | list) and self.output else self.output


class Watch:
    """A network run once in evaluation, without gradients.

    Parameters
    ----------
    names : of the modules to watch.
    sample : whose attention is kept, of at most `limit` positions.

    Attributes
    ----------
    modules : of the network, by name.
    seen : by name.
    strange : names of the modules beside those watched that computed attention, or returned what may be attention.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], sample: int = 0, limit: int = 1100):
        self.model, self.sample, self.limit = model, sample, limit
        self.modules = dict(model.named_modules())
        self.seen = {name: Seen() for name in names}
        self.strange: dict[str, None] = {}
        self._running: list[str] = []
        self._computing: set[str] = set()

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Run the network, which is afterwards what it was before, whatever happens; so are its inputs."""
        batch = next((len(x) for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.ndim), 0)
        for seen in self.seen.values():
            seen.whole = batch
        with ExitStack() as stack:
            stack.enter_context(untouched(self.model))
            for name, module in self.modules.items():
                if isinstance(module, torch.jit.ScriptModule):  # takes no hooks
                    continue
                enter = module.register_forward_pre_hook(partial(self._enter, name), with_kwargs=True)
                leave = module.register_forward_hook(partial(self._leave, name), prepend=True)  # before the user's own
                stack.callback(enter.remove)
                stack.callback(leave.remove)
            stack.enter_context(Attended(self._attended))
            self.model(*_copied(args), **_copied(dict(kwargs)))

    @property
    def order(self) -> list[str]:
        """The names of the watched modules in the order of their first calls, at the end those that were not called."""
        places = {name: seen.place for name, seen in self.seen.items()}
        return sorted(places, key=lambda name: len(places) if (place := places[name]) is None else place)

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.append(name)
        seen = self.seen.get(name)
        if seen is not None and seen.place is None:
            seen.place = sum(other.place is not None for other in self.seen.values())
            seen.args, seen.kwargs = _copied(args), _copied(kwargs)
            seen.autocast = next((_autocast(x.device.type) for x in seen.inputs), None)

    def _leave(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        while self._running[-1] != name:  # left by an error that the network caught
            self._computing.discard(self._running.pop())
        for P in output if isinstance(output, tuple | list) else (output,):
            if name not in self._computing and isinstance(P, Tensor) and is_attention(P):
                self._attended(log_law(P))
        self._computing.discard(self._running.pop())
        seen = self.seen.get(name)
        if seen is not None:
            seen.output = _copied(output) if seen.calls == 0 else seen.output
            seen.calls += 1

    def _attended(self, logits: Logits) -> None:
        """Attention was computed: it belongs to the innermost watched module that runs, and is passed up from there."""
        self._computing.update(self._running)
        owner = next((self.seen[name] for name in reversed(self._running) if name in self.seen), None)
        if owner is None:
            self.strange.setdefault(self._innermost())
        elif owner.calls == 0 and owner.positions is None and owner.batch:
            self._keep(owner, logits)

    def _keep(self, owner: Seen, logits: Logits) -> None:
        if logits.positions > self.limit:
            owner.positions = logits.positions
            return
        mine = logits.sample(owner.entry(self.sample, owner.batch)[0], owner.batch)
        if mine is not None:
            owner.positions, owner.law = logits.positions, mine.softmax(-1)

    def _innermost(self) -> str:
        """The innermost module with weights that runs."""
        weights = {name: list(self.modules[name].parameters()) for name in self._running}
        return next((name for name in reversed(self._running) if weights[name]), "")


def is_attention(x: Tensor) -> bool:
    """Whether x (B, heads, M, M) holds laws: nothing negative, rows that sum to one to the precision of x."""
    if x.ndim != 4 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 2 or not x.is_floating_point():
        return False
    slack = 8 * torch.finfo(x.dtype).eps + x.shape[-1] * torch.finfo(torch.float32).eps
    return bool((x >= 0).all()) and bool(((x.sum(-1, dtype=torch.float32) - 1).abs() <= slack).all())


def _autocast(device: str) -> torch.dtype | None:
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _copied(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach().clone()
    if isinstance(x, tuple | list):
        return type(x)(map(_copied, x)) if not hasattr(x, "_fields") else x
    return {key: _copied(value) for key, value in x.items()} if type(x) is dict else x
