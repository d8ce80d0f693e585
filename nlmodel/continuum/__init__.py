"""Nonlocal diffusion on an interval: compatible quadrature of L, and its Poisson problem with a volume constraint."""

from nlmodel.continuum.moments import second_moment_defect as second_moment_defect
from nlmodel.continuum.poisson import VolumeConstrainedSolution as VolumeConstrainedSolution
from nlmodel.continuum.poisson import volume_constrained_solve as volume_constrained_solve
from nlmodel.continuum.stencil import compatible_operator as compatible_operator
from nlmodel.continuum.stencil import stencil_operator as stencil_operator
from nlmodel.continuum.weights import compatible_weights as compatible_weights
from nlmodel.continuum.weights import riemann_weights as riemann_weights
