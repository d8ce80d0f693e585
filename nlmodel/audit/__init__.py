"""Audit of features, affinities and weights: which assumptions hold, how large a step may be, and what to do.

`audit_file` reads a file without running anything in it; `audit_features`, `audit_affinity` and `audit_weights` take
arrays.  Each gives an `Audit`: findings in words, and every number behind them.
"""

from nlmodel.audit.audit import Options as Options
from nlmodel.audit.audit import audit_affinity as audit_affinity
from nlmodel.audit.audit import audit_features as audit_features
from nlmodel.audit.audit import audit_file as audit_file
from nlmodel.audit.readers import patches as patches
from nlmodel.audit.report import Audit as Audit
from nlmodel.audit.report import Fact as Fact
from nlmodel.audit.report import Finding as Finding
from nlmodel.audit.report import Section as Section
from nlmodel.audit.weights import audit_weights as audit_weights
