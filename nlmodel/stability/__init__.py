"""Stability of time stepping: how large a step may be, and what a stage of sub-blocks amplifies."""

from nlmodel.stability.bound import StepBound as StepBound
from nlmodel.stability.certificate import Certificate as Certificate
from nlmodel.stability.certification import certify as certify
from nlmodel.stability.cfl import cfl_limit as cfl_limit
from nlmodel.stability.joint_radius import JointRadius as JointRadius
from nlmodel.stability.joint_radius import joint_spectral_radius_bounds as joint_spectral_radius_bounds
from nlmodel.stability.modes import Amplification as Amplification
from nlmodel.stability.modes import amplification as amplification
from nlmodel.stability.sub_block import SubBlock as SubBlock
from nlmodel.stability.tied import oversmoothing_rate as oversmoothing_rate
from nlmodel.stability.tied import tied_weight as tied_weight
from nlmodel.stability.worst_case import worst_case_limit as worst_case_limit
