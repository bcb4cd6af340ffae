from ..baseline.linear_loss import *
from ..baseline.linear_loss import LEVEL as LEVEL
