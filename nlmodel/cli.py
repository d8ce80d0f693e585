"""The console command: `nlmodel audit FILE` and `nlmodel info`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from nlmodel.errors import DomainError, MissingPackageError, NlmodelError


if TYPE_CHECKING:
    from nlmodel.audit import Audit


ANALYSED, BAD_INPUT, INTERRUPTED = 0, 2, 130
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin")
ARRAYS_OR_LAYERS = ".safetensors"
OTHERS = "Tensors that belong to no layer are left out: `--key` takes them as arrays."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did its work, 2 with one message on stderr when the input does not allow it."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        options.run(options)
        sys.stdout.flush()
    except NlmodelError as error:
        print(f"nlmodel: {type(error).__name__}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # the reader, such as head, has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return INTERRUPTED
    return ANALYSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nlmodel", description="Numerical analysis of nonlocal networks.")
    parser.add_argument("--version", action="version", version=f"nlmodel {version('nlmodel')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="versions, BLAS, threads, devices")
    info.set_defaults(run=_info)
    audit = commands.add_parser(
        "audit",
        help="assumptions, spectrum, step limits, Markov chain and steady states of a file",
        description="Audit features (positions x channels), an affinity matrix (positions x positions), weights "
        "(channels x channels, or a pair W_Z, W_g), or the nonlocal blocks and attention layers of a checkpoint. "
        "Loading a file never runs code.",
    )
    audit.set_defaults(run=_audit)
    audit.add_argument(
        "file", type=Path, metavar="FILE", help=".npy, .npz, .png, .jpg, .safetensors, .pt, .pth, .ckpt or .bin"
    )
    audit.add_argument("--report", type=Path, metavar="FILE", help="write one self-contained HTML page with figures")
    audit.add_argument("--json", type=Path, metavar="FILE", help="write every number as JSON")
    reading = audit.add_argument_group("what is in the file")
    reading.add_argument(
        "--as", dest="role", default="auto", metavar="ROLE", help="features, affinity, weights or auto"
    )
    reading.add_argument(
        "--key", action="append", default=[], metavar="NAME", help="take this array or layer (may be repeated)"
    )
    reading.add_argument("--heads", type=int, metavar="N", help="heads of the attention layers in a checkpoint")
    reading.add_argument("--positions", type=int, default=900, metavar="N", help="at most N positions (default 900)")
    reading.add_argument("--patch", type=int, default=4, metavar="P", help="patches of P x P pixels (default 4)")
    kernel = audit.add_argument_group("the affinity")
    kernel.add_argument("--kernel", default="gaussian", metavar="NAME", help="gaussian, exp_dot or dot_product")
    kernel.add_argument(
        "--scale", type=float, metavar="H", help="bandwidth (default: median distance) or temperature (1)"
    )
    kernel.add_argument("--normalize", default="row", metavar="HOW", help="row, sinkhorn, alpha, symmetric or none")
    return parser


def _info(_: argparse.Namespace) -> None:
    from nlmodel.audit.environment import environment

    for name, value in environment().items():
        print(f"{name:17} {value}")


def _audit(options: argparse.Namespace) -> None:
    from nlmodel.audit.packages import require
    from nlmodel.audit.readers.entry import printable
    from nlmodel.audit.store import check_targets, write
    from nlmodel.audit.terminal import print_audits

    require("rich")
    targets = [path for path in (options.report, options.json) if path is not None]
    check_targets(targets, options.file)
    audits, notes = _audits(options)
    about = {"source": printable(options.file.name), "notes": notes, "version": version("nlmodel")}
    texts: list[tuple[Path, str]] = []
    if options.report is not None:
        from nlmodel.audit.page import render

        texts.append((options.report, render(audits, **about)))
    if options.json is not None:
        from nlmodel.audit.record import to_json

        texts.append((options.json, to_json(audits, **about)))
    print_audits(audits, about["source"], notes, sys.stdout)
    for path, text in texts:
        write(path, text)
        print(f"Wrote {printable(str(path))}")


def _audits(options: argparse.Namespace) -> tuple[list[Audit], list[str]]:
    """The audits of layers where a file can hold some, else of arrays."""
    from nlmodel.audit import Options, audit_file

    chosen = Options(
        role=options.role,
        keys=tuple(options.key),
        kernel=options.kernel,
        scale=options.scale,
        normalize=options.normalize,
        positions=options.positions,
        patch=options.patch,
    )
    suffix = options.file.suffix.lower()
    if suffix in CHECKPOINTS and options.role != "auto":
        raise DomainError("--as is for arrays", got="a checkpoint", fix="leave out --as, or save the array as .npy")
    if suffix in CHECKPOINTS or (suffix == ARRAYS_OR_LAYERS and options.role == "auto"):
        try:
            from nlmodel.nn.checkpoint import audit_checkpoint, layer_names
        except ImportError as error:
            if suffix in CHECKPOINTS or options.heads is not None:
                raise MissingPackageError(
                    "a checkpoint needs the package torch",
                    got=str(error),
                    fix="pip install 'nlmodel[nn]'",
                ) from error
        else:
            if suffix in CHECKPOINTS or layer_names(options.file, options.key):
                audits, notes = audit_checkpoint(options.file, heads=options.heads, keys=options.key)
                return audits, notes if suffix in CHECKPOINTS else [*notes, OTHERS]
    if options.heads is not None:
        raise DomainError("--heads is for attention layers", got="a file of arrays", fix="leave out --heads")
    return audit_file(options.file, chosen)


if __name__ == "__main__":
    sys.exit(main())
