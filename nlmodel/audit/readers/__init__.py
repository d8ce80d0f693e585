"""Files to arrays, without running anything a file might contain."""

from nlmodel.audit.readers.patches import patches as patches
from nlmodel.audit.readers.read import SUFFIXES as SUFFIXES
from nlmodel.audit.readers.read import Entry as Entry
from nlmodel.audit.readers.read import check_file as check_file
from nlmodel.audit.readers.read import entries as entries
