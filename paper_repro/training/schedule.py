"""The learning rate over a run."""

from __future__ import annotations

from paper_repro.config import RunConfig


def learning_rate(config: RunConfig, epoch: int, iteration: int) -> float:
    """The learning rate of one iteration.

        lr gamma^k,   k = the number of milestones <= epoch

    so that a milestone m takes effect after m full epochs.  The first `warmup_iterations` run at a tenth of that, as in
    He et al. 2016, "Identity mappings in deep residual networks" (0.01 for 400 iterations); the paper has none.

    Parameters
    ----------
    epoch : full epochs before this iteration.
    iteration : iterations before this one, from the start of the run.
    """
    passed = sum(milestone <= epoch for milestone in config.milestones)
    rate = config.lr * config.gamma**passed
    return 0.1 * rate if iteration < config.warmup_iterations else rate
