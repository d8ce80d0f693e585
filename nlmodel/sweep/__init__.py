"""Parameter studies: a function at many points of its parameters, on any executor, into a table that can be resumed."""

from nlmodel.sweep.points import grid as grid
from nlmodel.sweep.progress import Progress as Progress
from nlmodel.sweep.study import Study as Study
from nlmodel.sweep.study import sweep as sweep
