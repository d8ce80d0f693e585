"""Time stepping of Z' = L Z W^T + R(Z), with a stability check before the first step."""

from nlmodel.stepping.evolve import evolve as evolve
from nlmodel.stepping.method import Method as Method
from nlmodel.stepping.problem import Problem as Problem
from nlmodel.stepping.registry import METHODS as METHODS
from nlmodel.stepping.trajectory import Trajectory as Trajectory
