"""Figures as functions that return a matplotlib `Figure`; nothing is shown and no global state is touched.

Each takes plain arrays, so that the same figure serves the audit, a claim and a notebook.
"""

from nlmodel.plot.chains import gillespie_vs_expm as gillespie_vs_expm
from nlmodel.plot.chains import jump_persistence as jump_persistence
from nlmodel.plot.damping import mode_damping as mode_damping
from nlmodel.plot.growth import backward_growth as backward_growth
from nlmodel.plot.maps import affinity_map as affinity_map
from nlmodel.plot.maps import position_maps as position_maps
from nlmodel.plot.orders import convergence as convergence
from nlmodel.plot.sheet import canvas as canvas
from nlmodel.plot.spectra import spectrum_against_null as spectrum_against_null
from nlmodel.plot.spectra import spectrum_of as spectrum_of
from nlmodel.plot.stability import cfl_disc as cfl_disc
from nlmodel.plot.trajectories import trajectory as trajectory
