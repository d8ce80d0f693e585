"""Processes in a circle: parts that go round it, sums that follow them, and errors that all share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from nlmodel.distributed.contact import contact
from nlmodel.errors import DomainError, ProcessError


FACTS = 8  # numbers that processes compare at once


@dataclass(frozen=True)
class Ring:
    """The processes of a group, each with its part of the positions; process p sends to p + 1.

    All calls but the properties are collective.

    Attributes
    ----------
    group : the process group, None for all processes.
    rank : this process, 0, ..., len(counts) - 1.
    counts : how many positions each process has.
    device : where messages live.
    """

    group: dist.ProcessGroup | None
    rank: int
    counts: tuple[int, ...]
    device: torch.device

    @classmethod
    def of(cls, group: dist.ProcessGroup | None = None) -> Ring:
        """The processes of a group, before they have told each other how many positions they have."""
        if not (dist.is_available() and dist.is_initialized()):
            raise DomainError(
                "the processes must be connected first",
                got="no process group of torch.distributed",
                fix="work inside `with nlmodel.distributed.processes():`, and start the program with torchrun",
            )
        on_gpu = dist.get_backend(group) == "nccl"
        device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
        return cls(group, dist.get_rank(group), (0,) * dist.get_world_size(group), device)

    def sharing(self, positions: int) -> Ring:
        """The same processes, of which this one has so many positions."""
        return replace(self, counts=tuple(int(n) for n in self.gather([positions])[:, 0]))

    @property
    def size(self) -> int:
        """The number of processes."""
        return len(self.counts)

    @property
    def part(self) -> slice:
        """The positions of this process among all."""
        start = sum(self.counts[: self.rank])
        return slice(start, start + self.counts[self.rank])

    # ------------------------------------------------------------------ numbers

    def gather(self, numbers: list[float]) -> Tensor:
        """The `numbers` of every process, one row each, in double precision on the CPU."""
        mine = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        rows = [torch.empty_like(mine) for _ in self.counts]
        with contact():
            dist.all_gather(rows, mine, group=self.group)
        return torch.stack(rows).cpu()

    def total(self, x: Tensor) -> Tensor:
        """The sum of `x` over the processes, the same bits in each; see `Total` for its gradient."""
        total: Any = Total.apply(x, self)
        return total

    def largest(self, number: float) -> float:
        """The largest `number` of a process."""
        return float(self.gather([number]).max())

    def all(self, true: bool) -> bool:
        """Whether it is `true` in every process."""
        return bool(self.gather([true]).all())

    # ------------------------------------------------------------------ errors

    @contextmanager
    def together(self) -> Iterator[dict[str, float]]:
        """What every process does for itself: an error of one is an error of all.

        The facts that it notes in the dictionary, at most `FACTS`, must be the same in all processes.
        """
        failure, facts = None, {}
        try:
            yield facts
        except Exception as error:
            failure = error
        self.agree(failure, facts)

    def agree(self, failure: Exception | None, facts: Mapping[str, float] = MappingProxyType({})) -> None:
        """Raise in every process when one of them has a `failure`, or when they do not have the same `facts`.

        Without this an error in one process would leave the others waiting for it.
        """
        told = [0.0] * FACTS if failure is not None else [*facts.values(), *[0.0] * (FACTS - len(facts))]
        found = self.gather([failure is not None, *told])
        culprits = found[:, 0].nonzero()[:, 0].tolist()
        if culprits:
            words = self._tell(str(failure), culprits[0])
            if failure is not None:
                raise failure
            raise ProcessError(
                "another process could not go on",
                got=f"process {culprits[0]}: {words}",
                why="a call is made by all processes together",
                fix="mend what that process reports",
            )
        for name, values in zip(facts, found[:, 1:].T.tolist(), strict=False):
            if len(set(values)) > 1:
                raise DomainError(
                    f"every process must have the same {name.replace('_', ' ')}",
                    got=", ".join(f"{value:g}" for value in values),
                    why="the processes hold parts of one operator and of one field",
                )

    def _tell(self, words: str, source: int) -> str:
        """The `words` of the process `source`, to all."""
        text = words.encode()
        length = int(self.gather([len(text)])[source, 0])
        message = torch.zeros(length, dtype=torch.uint8, device=self.device)
        if self.rank == source:
            message.copy_(torch.tensor(list(text), dtype=torch.uint8))
        with contact():
            dist.broadcast(message, group=self.group, group_src=source)
        return bytes(message.cpu().tolist()).decode()

    # ------------------------------------------------------------------ parts

    def turn(self, own: Tensor, work: Callable[[Tensor], Tensor | None], sums: int = 0) -> Tensor | None:
        """Send the parts once round the ring; `work` sees them one by one while the next is on its way.

        Parameters
        ----------
        own : (m, n) tensor, what this process sends.
        work : given the (m_q, n) tensor of process q = p, p - 1, ..., returns what this process adds to the
            (m_q, sums) sums of q, or None when there are none.
        sums : columns of sums that follow the parts round the ring, one step behind, and end with their owners.

        Returns  the (m, sums) sums of this process, or None.
        Raises   what `work` raises, in every process (`ProcessError` in the others), after the turn.
        Cost     P - 1 messages of m_q n numbers and P of m_q sums; memory for three parts.
        """
        failure, part, behind = None, own, None
        for step in range(self.size):
            following = self._rows(step + 1) if step + 1 < self.size else 0
            arriving = [(part, own.new_empty(following, own.shape[1]))] if following else []
            if behind is not None:
                arriving.append((behind, own.new_empty(self._rows(step), sums)))
            under_way = self._start(arriving)
            added = own.new_zeros(self._rows(step), sums)
            if failure is None:
                try:
                    found = work(part)
                    added = added if found is None else found
                except Exception as error:  # the neighbours still wait for what this process has to pass on
                    failure = error
            self._finish(under_way)
            if sums:
                behind = (added if behind is None else added + arriving[-1][1]).contiguous()
            if following:
                part = arriving[0][1]
        if behind is not None and self.size > 1:
            arriving = [(behind, own.new_empty(self._rows(0), sums))]
            self._finish(self._start(arriving))
            behind = arriving[0][1]
        self.agree(failure)
        return behind

    def parts(self, own: Tensor) -> Tensor:
        """The parts of all processes in order, (M, n), in every process."""
        seen: list[Tensor] = []
        self.turn(own, seen.append)
        return torch.cat([seen[(self.rank - q) % self.size] for q in range(self.size)])

    def _rows(self, step: int) -> int:
        """Positions of the part that is here at this step."""
        return self.counts[(self.rank - step) % self.size]

    def _start(self, messages: list[tuple[Tensor, Tensor]]) -> list[dist.Work]:
        """Begin to send the first of each pair to the next process and to receive the second from the last one."""
        if self.size == 1 or not messages:
            return []
        after, before = (self.rank + 1) % self.size, (self.rank - 1) % self.size
        operations = []
        for tag, (outgoing, incoming) in enumerate(messages):
            operations.append(dist.P2POp(dist.isend, outgoing, group=self.group, tag=tag, group_peer=after))
            operations.append(dist.P2POp(dist.irecv, incoming, group=self.group, tag=tag, group_peer=before))
        with contact():
            return dist.batch_isend_irecv(operations)

    def _finish(self, under_way: list[dist.Work]) -> None:
        with contact():
            for transfer in under_way:
                transfer.wait()


class Total(torch.autograd.Function):
    """The sum over the processes.

    Its backward is a sum over the processes too: what is differentiated is the sum of all that the processes call
    backward on, as everywhere in torch.distributed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, ring: Ring) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.ring = ring
        total = x.clone(memory_format=torch.contiguous_format)
        with contact():
            dist.all_reduce(total, group=ring.group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return Total.apply(gradients[0], ctx.ring), None
