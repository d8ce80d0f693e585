"""`train`: one run, of a row of a preset or of a configuration in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from paper_repro.commands import options as opt


if TYPE_CHECKING:
    from paper_repro.config import RunConfig


def add(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train",
        help="one run: PRESET ROW, or a configuration in a TOML file",
        description="Trains one network. Run it again to go on, after a pause, Ctrl-C or kill -9. Under torchrun all "
        "processes train it together.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("what", nargs="+", metavar="PRESET ROW | FILE", help="table1 proposed-4, or my_run.toml")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    opt.add_out(parser)
    opt.add_training(parser)


def run(options: argparse.Namespace) -> int:
    """Train, under the lock of the run unless torchrun started several processes, and print the outcome."""
    from paper_repro.commands.failures import FAILED, tell_report
    from paper_repro.sweep import Runner, queue, work
    from paper_repro.sweep.worker import together

    row, config = configuration(options.what)
    jobs = queue([(row, config)], [options.seed])
    runner = Runner(options.out, options.data, options.device, options.threads, not options.quiet)
    runner.check(jobs)
    if together() > 1:  # the processes of torchrun are one worker, and only all of them can train
        print(runner(jobs[0], options.time_limit))
        return 0
    report = work(jobs, options.out, runner, time_limit=options.time_limit)
    tell_report(report)
    print(f"Logs: {options.out / jobs[0].run_id}")
    return FAILED if report.failed else 0


def configuration(words: list[str]) -> tuple[str, RunConfig]:
    """A row of a preset by its two names, or the configuration in a file with the file's name as row.

    Raises   ChoiceError: no such preset or row; FileError: no such file, or not TOML.
    """
    from nlmodel._arrays import check_choice
    from nlmodel.errors import DomainError
    from paper_repro.config import RunConfig
    from paper_repro.presets import preset

    if len(words) == 1:
        path = Path(words[0])
        return path.stem, RunConfig.from_toml(path)
    if len(words) != 2:
        raise DomainError("train takes PRESET ROW, or one file", got=" ".join(words))
    rows = dict(preset(words[0]))
    return words[1], rows[check_choice(words[1], "row", rows)]
