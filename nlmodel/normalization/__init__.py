"""From the raw affinity omega to the averaging matrix K."""

from nlmodel.normalization.dense import DenseRowSums as DenseRowSums
from nlmodel.normalization.dense import Normalized as Normalized
from nlmodel.normalization.dense import averaging as averaging
from nlmodel.normalization.dense import check_dense as check_dense
from nlmodel.normalization.dense import exponential as exponential
from nlmodel.normalization.dense import is_mirrored as is_mirrored
from nlmodel.normalization.dense import is_nonnegative as is_nonnegative
from nlmodel.normalization.dense import is_symmetric as is_symmetric
from nlmodel.normalization.dense import log_weights_of as log_weights_of
from nlmodel.normalization.dense import normalize as normalize
from nlmodel.normalization.dense import rescale as rescale
from nlmodel.normalization.dense import row_tops as row_tops
from nlmodel.normalization.potentials import HOW as HOW
from nlmodel.normalization.potentials import Potentials as Potentials
from nlmodel.normalization.potentials import potentials as potentials
from nlmodel.normalization.row_sums import RowSums as RowSums
from nlmodel.normalization.row_sums import log_of_row_sums as log_of_row_sums
