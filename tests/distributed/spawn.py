"""A function in several processes, as torchrun would start it, and what each of them returned."""

import multiprocessing
import os
import socket
from multiprocessing.connection import Connection
from typing import Any


LIMIT = 120.0  # seconds that a process may take
CONTEXT = multiprocessing.get_context("forkserver")  # torch is imported once, and children begin without threads
CONTEXT.set_forkserver_preload(["tests.distributed.work", "torch.fx.experimental.symbolic_shapes"])


def run(count: int, function: Any, *arguments: Any, asked: int | None = None) -> list[Any]:
    """What `function(*arguments)` returned in the first `asked` processes; None for one that ended before it told."""
    port = free_port()
    ends, children = [], []
    for rank in range(count):
        ours, theirs = CONTEXT.Pipe(duplex=False)
        child = CONTEXT.Process(target=_begin, args=(theirs, rank, count, port, function, arguments), daemon=True)
        child.start()
        theirs.close()
        ends.append(ours)
        children.append(child)
    found = [_answer(end) for end in ends[:asked]]
    for child in children:
        child.kill()
        child.join()
        child.close()
    return found


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _begin(end: Connection, rank: int, count: int, port: int, function: Any, arguments: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in told.items()})
    try:
        end.send(function(*arguments))
    except Exception as error:
        end.send(f"{type(error).__name__}: {error}")


def _answer(end: Connection) -> Any:
    try:
        return end.recv() if end.poll(LIMIT) else f"no answer within {LIMIT} s"
    except EOFError:
        return None
