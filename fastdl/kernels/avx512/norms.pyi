from ..baseline.norms import *
from ..baseline.norms import LEVEL as LEVEL
