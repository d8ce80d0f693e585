"""Kernels omega(x, y): affinities of features, and spatial kernels with a horizon."""

from .base import ExponentialKernel as ExponentialKernel
from .base import Kernel as Kernel
from .concatenation import Concatenation as Concatenation
from .declared import Declared as Declared
from .dirac import Dirac as Dirac
from .dot_product import DotProduct as DotProduct
from .embedded import Embedded as Embedded
from .exp_dot import ExpDot as ExpDot
from .exponential import Exponential as Exponential
from .function import FunctionKernel as FunctionKernel
from .function import as_kernel as as_kernel
from .gaussian import Gaussian as Gaussian
from .inverse_distance import InverseDistance as InverseDistance
from .power import Power as Power
from .power import fractional as fractional
from .radial import RadialKernel as RadialKernel
from .top_hat import TopHat as TopHat
from .truncated_gaussian import TruncatedGaussian as TruncatedGaussian
