"""The room past one machine: nonlocal operators whose points are shared out among processes of torch.distributed.

Every process runs the same program (under torchrun) and holds a contiguous part of the points and the same part of
every field.  All calls are collective: every process makes them, in the same order.  A mistake in one process is an
error in all; a process that ends or falls silent is a `ProcessError` in the others after the time-out of the group at
the latest, and ends the run.
"""

from nlmodel.distributed.affinity import DistributedAffinity as DistributedAffinity
from nlmodel.distributed.operator import DistributedOperator as DistributedOperator
from nlmodel.distributed.processes import Processes as Processes
from nlmodel.distributed.processes import processes as processes
from nlmodel.distributed.ring import Ring as Ring
