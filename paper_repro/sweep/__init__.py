"""The queue of runs, one seed of every row first, worked off by any number of workers on any number of machines."""

from .collect import COLUMNS as COLUMNS
from .collect import collect as collect
from .collect import read_rows as read_rows
from .executor import make_executor as make_executor
from .jobs import Job as Job
from .jobs import queue as queue
from .jobs import run_folder as run_folder
from .lock import Lock as Lock
from .lock import holder as holder
from .runner import Runner as Runner
from .slurm import sbatch_script as sbatch_script
from .spread import sweep as sweep
from .state import State as State
from .state import remaining_seconds as remaining_seconds
from .state import state_of as state_of
from .worker import Report as Report
from .worker import work as work
