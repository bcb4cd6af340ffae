from ..baseline.curvature import *
from ..baseline.curvature import LEVEL as LEVEL
