from ..baseline.optim_factored import *
from ..baseline.optim_factored import LEVEL as LEVEL
