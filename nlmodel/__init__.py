"""nlmodel: numerical analysis of nonlocal neural networks and nonlocal PDEs, one definition for both."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from types import ModuleType as _ModuleType

from nlmodel import continuum as continuum
from nlmodel import errors as errors
from nlmodel import filters as filters
from nlmodel import kernels as kernels
from nlmodel import markov as markov
from nlmodel import network as network
from nlmodel import spectrum as spectrum
from nlmodel import testing as testing
from nlmodel.assumptions import AssumptionReport as AssumptionReport
from nlmodel.assumptions import check_assumptions as check_assumptions
from nlmodel.normalization import Normalized as Normalized
from nlmodel.normalization import normalize as normalize
from nlmodel.operators import LinearMap as LinearMap
from nlmodel.operators import NonlocalOperator as NonlocalOperator
from nlmodel.operators import row_averages as row_averages
from nlmodel.stability import Certificate as Certificate
from nlmodel.stability import StepBound as StepBound
from nlmodel.stability import certify as certify
from nlmodel.stability import cfl_limit as cfl_limit
from nlmodel.stepping import Trajectory as Trajectory
from nlmodel.stepping import evolve as evolve


__version__ = _version("nlmodel")


def __getattr__(name: str) -> _ModuleType:
    """Rooms on first use: `nlmodel.nn`, `nlmodel.distributed` (they need torch), `nlmodel.images`, `nlmodel.sweep`."""
    if name in ("nn", "distributed", "images", "sweep"):
        return _import_module(f"nlmodel.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
