"""nlmodel: numerical analysis of nonlocal neural networks and nonlocal PDEs, one definition for both."""

from importlib.metadata import version as _version

from nlmodel import kernels as kernels
from nlmodel.normalization import Normalized as Normalized
from nlmodel.normalization import normalize as normalize
from nlmodel.operators import LinearMap as LinearMap
from nlmodel.operators import NonlocalOperator as NonlocalOperator


__version__ = _version("nlmodel")
