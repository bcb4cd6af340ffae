from ..baseline.optim import *
from ..baseline.optim import LEVEL as LEVEL
