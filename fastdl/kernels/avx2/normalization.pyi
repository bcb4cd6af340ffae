from ..baseline.normalization import *
from ..baseline.normalization import LEVEL as LEVEL
