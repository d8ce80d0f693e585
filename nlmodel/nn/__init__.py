"""The torch room: nonlocal blocks and stages as modules, built from the library's own definitions."""

from .block import NonlocalBlock as NonlocalBlock
from .compact_generalized import CompactGeneralizedNonlocal as CompactGeneralizedNonlocal
from .criss_cross import CrissCross as CrissCross
from .double_attention import DoubleAttention as DoubleAttention
from .global_context import GlobalContext as GlobalContext
from .multihead import MultiheadNonlocalBlock as MultiheadNonlocalBlock
from .plan import Plan as Plan
from .spectral import SpectralNonlocalBlock as SpectralNonlocalBlock
from .stage import NonlocalStage as NonlocalStage
