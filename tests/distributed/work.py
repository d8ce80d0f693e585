"""What the processes of a test do; every process does all of it."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch

from nlmodel import NonlocalOperator
from nlmodel.distributed import DistributedOperator, Processes, Ring, processes, turn
from nlmodel.distributed.operator import HOW
from nlmodel.errors import NlmodelError
from nlmodel.kernels import ExpDot, FunctionKernel, Gaussian, TruncatedGaussian
from nlmodel.testing import tolerance
from tests.distributed.gathered import Gathered
from tests.operators.cases import Case, cauchy
from tests.operators.test_operator_laws import LAWS


KERNELS = (Gaussian(1.5), ExpDot(4.0), FunctionKernel(cauchy), TruncatedGaussian(2.5, 1.0, 2))
DTYPES = (np.float64, np.float32)
CASES = {  # all normalisations, kernels and precisions, with two processes all pairs of a normalisation and a kernel
    2: range(16),
    4: (0, 5, 10, 15),
}


def parts_of(rng: np.random.Generator, M: int, count: int) -> list[slice]:
    """Contiguous parts of any length >= 1."""
    ends = [0, *sorted(1 + rng.choice(M - 1, count - 1, replace=False)), M]
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def random_case(number: int, mine: Processes) -> Case:
    """A case of the law suite on parts of random lengths."""
    rng = np.random.default_rng(number)
    how, dtype, kernel = HOW[number % 4], DTYPES[(number // 2 + number // 4) % 2], KERNELS[number // 4 % 4]
    M = mine.count + int(rng.integers(1, 8))
    part = parts_of(rng, M, mine.count)[mine.rank] if mine.count > 1 else slice(0, M)
    X, weights = rng.standard_normal((M, 2)).astype(dtype), rng.uniform(0.5, 2.0, M).astype(dtype)
    op = DistributedOperator.from_points(
        torch.tensor(X[part]), kernel, how, weights=torch.tensor(weights[part]), alpha=1.0
    )
    return Case(Gathered(op), kernel(X.astype(np.float64)), weights.astype(np.float64), how)


def law_suite() -> tuple[list[str], Counter]:
    """The laws that fail, and how often each had something to say."""
    turn.TILES["cpu"] = 3  # so that parts have several tiles
    broken, spoken = [], Counter()
    with processes(timeout=30) as mine:
        for number in CASES[mine.count]:
            case = random_case(number, mine)
            if not np.array_equal(case.op.op.gather(case.op.op.measure), case.op.measure):
                broken.append(f"gather of case {number}")
            for law in LAWS:
                try:
                    spoken[law.__name__] += law(case, np.random.default_rng(number))
                except AssertionError as error:
                    broken.append(f"{law.__name__} of case {number}, {case}: {error}")
    return broken, spoken


# ---------------------------------------------------------------------- mistakes that the laws must see


class Deaf(Ring):
    """Works on its own part alone."""

    def turn(self, own, work, sums=0):
        return super().turn(own, lambda part: work(part) if part is own else None, sums)


class Repeating(Ring):
    """Works on its own part in place of every other of that length, as if nothing had arrived."""

    def turn(self, own, work, sums=0):
        return super().turn(own, lambda part: work(own), sums)


class Alone(Ring):
    """Takes its own sum for that of all."""

    def total(self, x):
        return x


class Forgetful(Ring):
    """Loses what should come home."""

    def turn(self, own, work, sums=0):
        found = super().turn(own, work, sums)
        return found if found is None else torch.zeros_like(found)


class Untransposed(DistributedOperator):
    def apply_transposed(self, Z):
        return self.apply(Z)


def with_ring(kind: type[Ring], op: DistributedOperator) -> DistributedOperator:
    return replace(op, averaging=replace(op.averaging, around=kind(**vars(op.ring))))


MISTAKES: dict[str, Callable[[DistributedOperator], DistributedOperator]] = {
    "none": lambda op: op,
    "own part only": lambda op: with_ring(Deaf, op),
    "own part repeated": lambda op: with_ring(Repeating, op),
    "own sums only": lambda op: with_ring(Alone, op),
    "transpose forgotten": lambda op: Untransposed(op.averaging, op.potentials),
}


def laws_against_mistakes() -> dict[str, set[str]]:
    """The laws that each mistake breaks."""
    found: dict[str, set[str]] = {words: set() for words in MISTAKES}
    with processes(timeout=30) as mine:
        X = np.random.default_rng(5).standard_normal((3 * mine.count, 2))
        weights = np.ones(len(X))
        right = DistributedOperator.from_points(torch.tensor(X[mine.part(len(X))]), Gaussian(1.5))
        for words, make in MISTAKES.items():
            case = Case(Gathered(make(right)), Gaussian(1.5)(X), weights, "row")
            for law in LAWS:
                try:
                    law(case, np.random.default_rng(0))
                except AssertionError:
                    found[words].add(law.__name__)
    return found


# ---------------------------------------------------------------------- gradients


def objective(op: Any, Z: torch.Tensor, total: Callable[[torch.Tensor], torch.Tensor], share: float) -> torch.Tensor:
    """Something of everything: energy and mean (which all processes hold), K Z and L^T Z (of which each has a part)."""
    local = (op.T @ Z).sin().sum() + (op.average(Z) ** 2).sum()
    return total(local) * share + (op.energy(Z) + op.mean(Z).cos().sum()) * share


def gradient_gaps(forgetful: bool = False) -> dict[str, float]:
    """The largest difference to the gradient of one process, over its size and the tolerance: <= 1 where right."""
    turn.TILES["cpu"] = 3
    gaps = {}
    with processes(timeout=30) as mine:
        for number, kernel in enumerate(KERNELS):
            how = HOW[number]
            rng = np.random.default_rng(number)
            M = mine.count + 7
            part = parts_of(rng, M, mine.count)[mine.rank]
            X, Z, w = (torch.tensor(rng.uniform(0.5, 2.0, (M, n))) for n in (2, 3, 1))
            whole = [x.clone().requires_grad_() for x in (X, Z, w)]
            one = NonlocalOperator.from_points(whole[0], kernel, how, storage="dense", weights=whole[2][:, 0])
            objective(one, whole[1], lambda x: x, 1.0).backward()
            own = [x[part].clone().requires_grad_() for x in (X, Z, w)]
            op = DistributedOperator.from_points(own[0], kernel, how, weights=own[2][:, 0])
            op = with_ring(Forgetful, op) if forgetful else op
            objective(op, own[1], op.ring.total, 1 / mine.count).backward()
            for name, mine_, all_ in zip(("X", "Z", "weights"), own, whole, strict=True):
                size = float(all_.grad.abs().max())
                bound = tolerance("reduction", n=64 * M, scale=size)
                gaps[f"{name}, {how}"] = float((mine_.grad - all_.grad[part]).abs().max()) / bound
    return gaps


# ---------------------------------------------------------------------- memory


class Counting(Ring):
    """Counts the numbers that it sends."""

    sent: ClassVar[list[int]] = []

    def _start(self, messages):
        self.sent.extend(outgoing.numel() for outgoing, _ in messages)
        return super()._start(messages)


def traffic(D: int = 2, C: int = 3, M: int = 80) -> dict[str, int]:
    """The largest tile and what is sent, in numbers, in a product and in its backward pass."""
    turn.TILES["cpu"] = 10
    tiles = []

    def function(X, Y):
        tiles.append(len(X) * len(Y))
        return 1 / (1 + ((X[:, None] - Y[None]) ** 2).sum(-1))

    with processes(timeout=30) as mine:
        X = torch.rand(M // mine.count, D, dtype=torch.float64, requires_grad=True)
        Z = torch.rand(M // mine.count, C, dtype=torch.float64, requires_grad=True)
        op = DistributedOperator.from_points(X, FunctionKernel(function, symmetric=True, nonnegative=True), "none")
        op = with_ring(Counting, op)
        Counting.sent.clear()
        found = op @ Z
        forward = list(Counting.sent)
        Counting.sent.clear()
        found.sum().backward()
        backward = list(Counting.sent)
    most = max(forward + backward, default=0)
    return {"tile": max(tiles), "forward": sum(forward), "backward": sum(backward), "most at once": most}


# ---------------------------------------------------------------------- errors that all share


def bad_in(rank: int, mine: Processes, bad: Any, good: Any) -> Any:
    return bad if mine.rank == rank else good


def failing_in(rank: int, mine: Processes) -> FunctionKernel:
    """A kernel that fails in one process, on the tiles of the other."""
    calls = []

    def function(X, Y):
        calls.append(len(X))
        if mine.rank == rank and len(calls) > 3:
            raise ZeroDivisionError("a mistake of the user")
        return torch.exp(-torch.cdist(X, Y))

    return FunctionKernel(function)


def errors_in_one() -> dict[str, str]:
    """What this process says when process 1 makes a mistake; the processes go on together after each."""
    found = {}
    with processes(timeout=30) as mine:
        X, Z = torch.rand(6, 2, dtype=torch.float64), torch.rand(6, 3, dtype=torch.float64)
        make, op = DistributedOperator.from_points, DistributedOperator.from_points(X, Gaussian())
        late = failing_in(1, mine)
        calls = {
            "NaN": lambda: op @ bad_in(1, mine, Z * torch.nan, Z),
            "channels": lambda: op @ bad_in(1, mine, Z[:, :2], Z),
            "dimensions": lambda: op @ bad_in(1, mine, Z[:, 0], Z[:, :1]),
            "requires_grad": lambda: op @ bad_in(1, mine, Z.clone().requires_grad_(), Z),
            "normalize": lambda: make(X, Gaussian(), bad_in(1, mine, "none", "row")),
            "precision": lambda: make(bad_in(1, mine, X.float(), X), Gaussian()),
            "features": lambda: make(bad_in(1, mine, X[:, :1], X), Gaussian()),
            "choice": lambda: make(X, Gaussian(), bad_in(1, mine, "rows", "row")),
            "row sum": lambda: make(X, FunctionKernel(lambda X, Y: bad_in(1, mine, -1, 1) * (X @ Y.mT)), "row"),
            "within a turn": lambda: make(X, late),
        }
        for words, call in calls.items():
            try:
                call()
                found[words] = "nothing"
            except (NlmodelError, ZeroDivisionError) as error:
                found[words] = f"{type(error).__name__}: {error}"
        found["afterwards"] = str(tuple((op @ Z).shape))
    return found


def lost_contact(how: str, timeout: float) -> tuple[str, float]:
    """What this process says, and after how many seconds, when process 1 ends or falls silent during a product."""
    began = time.monotonic()
    try:
        with processes(timeout=timeout) as mine:
            calls = []

            def function(X, Y):
                calls.append(len(X))
                if mine.rank == 1 and len(calls) > 2 and how != "well":
                    os.kill(os.getpid(), {"killed": signal.SIGKILL, "silent": signal.SIGSTOP}[how])
                return torch.exp(-torch.cdist(X, Y))

            op = DistributedOperator.from_points(
                torch.rand(6, 2, dtype=torch.float64),
                FunctionKernel(function, symmetric=True, nonnegative=True),
            )
            began = time.monotonic()
            for _ in range(3):
                _ = op @ torch.rand(6, 1, dtype=torch.float64)
        return "nothing", time.monotonic() - began
    except NlmodelError as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - began
