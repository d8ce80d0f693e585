"""The torch room: nonlocal blocks and stages as modules, built from the library's own definitions.

Every module runs under torch.compile(fullgraph=True), forward and backward (second derivatives only outside compiled
graphs), and through torch.export with a batch of any size; a memory_budget, which divides the batch, fixes its size.
TorchScript (torch.jit), which torch has deprecated, is not supported.
"""

from .block import NonlocalBlock as NonlocalBlock
from .certificate import affinity_family as affinity_family
from .certificate import stage_certificate as stage_certificate
from .certificate import worst_case as worst_case
from .checkpoint import audit_checkpoint as audit_checkpoint
from .compact_generalized import CompactGeneralizedNonlocal as CompactGeneralizedNonlocal
from .criss_cross import CrissCross as CrissCross
from .double_attention import DoubleAttention as DoubleAttention
from .global_context import GlobalContext as GlobalContext
from .insertion import insert_nonlocal as insert_nonlocal
from .inspection import AuditReport as AuditReport
from .inspection import audit as audit
from .loaders import from_alexhex as from_alexhex
from .loaders import from_mmcv as from_mmcv
from .loaders import from_timm as from_timm
from .multihead import MultiheadNonlocalBlock as MultiheadNonlocalBlock
from .parametrizations import Averaging as Averaging
from .parametrizations import Contraction as Contraction
from .parametrizations import SpectralBall as SpectralBall
from .parametrizations import SpectralDisc as SpectralDisc
from .parametrizations import certified as certified
from .penalty import cfl_penalty as cfl_penalty
from .plan import Plan as Plan
from .spectral import SpectralNonlocalBlock as SpectralNonlocalBlock
from .stage import NonlocalStage as NonlocalStage
