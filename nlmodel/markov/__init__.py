"""Markov chains and jump processes: what a normalised affinity is, seen as probabilities.

Row convention everywhere: P_ij is the probability and Q_ij the rate of i -> j.  Densities are row vectors and evolve by
P^T, observables evolve by P.  A chain is a NumPy array, a SciPy sparse matrix (which stays sparse), an array of another
library (answers come back in NumPy), or a nonlocal operator: as a transition matrix its K, as a generator its L.
"""

from nlmodel.markov.checks import check_generator as check_generator
from nlmodel.markov.checks import check_transition_matrix as check_transition_matrix
from nlmodel.markov.checks import is_generator as is_generator
from nlmodel.markov.checks import is_transition_matrix as is_transition_matrix
from nlmodel.markov.cheeger import cheeger_constant as cheeger_constant
from nlmodel.markov.classes import period as period
from nlmodel.markov.classes import recurrent_classes as recurrent_classes
from nlmodel.markov.contraction import birkhoff_bound as birkhoff_bound
from nlmodel.markov.contraction import dobrushin_coefficient as dobrushin_coefficient
from nlmodel.markov.entropy import entropy_production as entropy_production
from nlmodel.markov.entropy import relative_entropy as relative_entropy
from nlmodel.markov.entropy import total_variation as total_variation
from nlmodel.markov.evolution import evolve_density as evolve_density
from nlmodel.markov.evolution import evolve_observable as evolve_observable
from nlmodel.markov.gap import SpectralGap as SpectralGap
from nlmodel.markov.gap import second_eigenvalue_modulus as second_eigenvalue_modulus
from nlmodel.markov.gap import spectral_gap as spectral_gap
from nlmodel.markov.generator import generator as generator
from nlmodel.markov.generator import generator_from_transition as generator_from_transition
from nlmodel.markov.jump_process import JumpEvents as JumpEvents
from nlmodel.markov.jump_process import JumpProcess as JumpProcess
from nlmodel.markov.lazy import lazy as lazy
from nlmodel.markov.lazy import lazy_completion as lazy_completion
from nlmodel.markov.master_equation import euler_limit as euler_limit
from nlmodel.markov.master_equation import euler_step as euler_step
from nlmodel.markov.master_equation import master_equation_rhs as master_equation_rhs
from nlmodel.markov.mixing import mixing_time as mixing_time
from nlmodel.markov.mixing import worst_distance as worst_distance
from nlmodel.markov.mixing_bounds import MixingBounds as MixingBounds
from nlmodel.markov.mixing_bounds import mixing_time_bounds as mixing_time_bounds
from nlmodel.markov.reverse import ReverseMeanings as ReverseMeanings
from nlmodel.markov.reverse import backward_step_matrix as backward_step_matrix
from nlmodel.markov.reverse import inverse_condition as inverse_condition
from nlmodel.markov.reverse import reverse_meanings as reverse_meanings
from nlmodel.markov.reversibility import detailed_balance_gap as detailed_balance_gap
from nlmodel.markov.reversibility import is_reversible as is_reversible
from nlmodel.markov.reversibility import kolmogorov_cycle_gap as kolmogorov_cycle_gap
from nlmodel.markov.reversibility import time_reversal as time_reversal
from nlmodel.markov.stationary import stationary as stationary
from nlmodel.markov.uniformization import propagate as propagate
from nlmodel.markov.uniformization import transition_matrix as transition_matrix
from nlmodel.markov.uniformization import uniformized as uniformized
