"""Training: from a configuration, a seed and images to curves, spectra, weights and a result."""

from .divergence import verdict as verdict
from .engine import Engine as Engine
from .folder import COLUMNS as COLUMNS
from .graph import GraphEngine as GraphEngine
from .observe import is_logged as is_logged
from .observe import observe as observe
from .result import Result as Result
from .result import load_result as load_result
from .schedule import learning_rate as learning_rate
from .train import train as train
from .train import train_together as train_together
