"""Images: non-local means, as a filter and as the nonlocal operator whose step it is."""

from nlmodel.images.means import nonlocal_means as nonlocal_means
from nlmodel.images.operator import patch_operator as patch_operator
from nlmodel.images.patches import PatchWeights as PatchWeights
from nlmodel.images.picture import picture as picture
