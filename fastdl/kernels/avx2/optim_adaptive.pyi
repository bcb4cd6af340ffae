from ..baseline.optim_adaptive import *
from ..baseline.optim_adaptive import LEVEL as LEVEL
