from ..baseline.record import *
from ..baseline.record import LEVEL as LEVEL
