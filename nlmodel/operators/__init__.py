"""Nonlocal operators as values, in several representations."""

from nlmodel.operators.affinity import Affinity as Affinity
from nlmodel.operators.algebra import Diagonal as Diagonal
from nlmodel.operators.dense import DenseAffinity as DenseAffinity
from nlmodel.operators.grid import GridAffinity as GridAffinity
from nlmodel.operators.linear_map import LinearMap as LinearMap
from nlmodel.operators.lowrank import LowRankAffinity as LowRankAffinity
from nlmodel.operators.nonlocal_operator import NonlocalOperator as NonlocalOperator
from nlmodel.operators.nufft import NufftAffinity as NufftAffinity
from nlmodel.operators.plan import OperatorPlan as OperatorPlan
from nlmodel.operators.row_averages import row_averages as row_averages
from nlmodel.operators.sparse import SparseAffinity as SparseAffinity
from nlmodel.operators.streamed import StreamedAffinity as StreamedAffinity
