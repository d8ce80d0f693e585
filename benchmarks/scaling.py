"""Time and bytes of a distributed product against processes.  usage: python -m benchmarks.scaling [--help]

Measured for the numbers of processes in --measured, each process with one thread, and modelled beyond:

    T(P) = (P - 1) max(c m^2, l + b m / B) + c m^2,    m = M / P

with c the time of one entry of the affinity (measured with one process), b = 8 (D + 1 + C) bytes a position, and the
latency l and bandwidth B of messages between two processes (measured here, through this machine's own memory; of
another network: --latency, --bandwidth).  A step of the ring computes with one part while the next is on its way: the
longer of the two counts.  "With gradient" is the operator made anew, the product, and the backward pass of both.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
import torch.distributed as dist

from nlmodel.distributed import DistributedOperator, Processes, processes
from nlmodel.kernels import Gaussian


D, C = 3, 4
NUMBER = 8  # bytes
POSITION = NUMBER * (D + 1 + C)
REPEATS = 5


@dataclass(frozen=True)
class Network:
    """Seconds until a message arrives: latency + bytes / bandwidth."""

    latency: float
    bandwidth: float


@dataclass(frozen=True)
class Measured:
    """Medians of one number of processes, the slowest process of each."""

    processes: int
    product: float
    gradient: float
    memory: float


def modelled(M: int, P: int, entry: float, network: Network) -> float:
    """T(P) in seconds."""
    m = M / P
    return (P - 1) * max(entry * m * m, network.latency + POSITION * m / network.bandwidth) + entry * m * m


def sent(M: int, P: int) -> float:
    """Bytes that each process sends in a product."""
    return (P - 1) * POSITION * M / P


def measure(M: int) -> None:
    """In each process: the product and its gradient; process 0 prints."""
    torch.set_num_threads(1)
    with processes() as mine:
        g = torch.Generator().manual_seed(0)
        part = mine.part(M)
        X = torch.rand(M, D, generator=g, dtype=torch.float64)[part].clone().requires_grad_()
        Z = torch.randn(M, C, generator=g, dtype=torch.float64)[part].clone().requires_grad_()
        before = peak()

        def make() -> DistributedOperator:
            return DistributedOperator.from_points(X, Gaussian(0.2), "row")

        op = make()
        with torch.no_grad():
            product = typical(lambda: op @ Z, op)
        gradient = typical(lambda: (make() @ Z).sum().backward(), op)
        most = op.ring.largest(peak() - before)
        found: dict[str, Any] = asdict(Measured(mine.count, product, gradient, most))
        if mine.count == 2:
            found |= asdict(network(mine))
        if mine.rank == 0:
            print(json.dumps(found))


def typical(call: Any, op: DistributedOperator) -> float:
    """Median seconds of a call, that of the slowest process."""
    call()
    seconds = []
    for _ in range(REPEATS):
        dist.barrier()
        began = time.perf_counter()
        call()
        seconds.append(op.ring.largest(time.perf_counter() - began))
    return median(seconds)


def network(mine: Processes) -> Network:
    """From messages between two processes there and back, small and large."""

    def one_way(numbers: int) -> float:
        message, seconds = torch.zeros(numbers, dtype=torch.float64), []
        for _ in range(20):
            began = time.perf_counter()
            for sender in (0, 1):
                dist.send(message, 1 - sender) if mine.rank == sender else dist.recv(message, sender)
            seconds.append((time.perf_counter() - began) / 2)
        return median(seconds)

    latency, large = one_way(1), 2**20
    return Network(latency, NUMBER * large / (one_way(large) - latency))


def peak() -> float:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def start(M: int, P: int) -> dict[str, Any]:
    """`measure` under torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={P}"]
    command += ["-m", "benchmarks.scaling", "--points", str(M), "--inside"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{P} processes failed:\n{done.stderr}")
    return json.loads(next(x for x in done.stdout.splitlines() if x.startswith("{")))


def table(M: int, found: dict[int, Measured], net: Network, counts: list[int]) -> str:
    """Markdown."""
    entry = found[1].product / M**2
    lines = [
        f"M = {M}, D = {D}, C = {C}, float64, Gaussian; one entry {entry * 1e9:.2f} ns, latency "
        f"{net.latency * 1e6:.0f} us, bandwidth {net.bandwidth / 1e9:.2f} GB/s",
        "",
        "| P | K Z, s | modelled, s | speed-up | with gradient, s | sent a process, MB | peak above the data, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for P in sorted({*found, *counts}):
        model, here = modelled(M, P, entry, net), found.get(P)
        seconds = here.product if here else model
        cells = [f"{here.product:.3f}" if here else "", f"{model:.3f}", f"{found[1].product / seconds:.2f}"]
        cells += [f"{here.gradient:.3f}" if here else "", f"{sent(M, P) / 1e6:.2f}"]
        cells += [f"{here.memory / 1e6:.0f}" if here else ""]
        lines.append(f"| {P} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--measured", type=int, nargs="+", default=[1, 2], help="with 1 and 2 among them")
    parser.add_argument("--modelled", type=int, nargs="+", default=[4, 8, 16, 64, 256])
    parser.add_argument("--latency", type=float, help="seconds")
    parser.add_argument("--bandwidth", type=float, help="bytes a second")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        measure(chosen.points)
        return
    found, net = {}, {}
    for P in sorted({1, 2, *chosen.measured}):
        numbers = start(chosen.points, P)
        net |= {name: numbers.pop(name) for name in ("latency", "bandwidth") if name in numbers}
        found[P] = Measured(**numbers)
    net |= {name: value for name in net if (value := getattr(chosen, name)) is not None}
    print(table(chosen.points, found, Network(**net), chosen.modelled))


if __name__ == "__main__":
    main()
