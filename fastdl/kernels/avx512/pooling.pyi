from ..baseline.pooling import *
from ..baseline.pooling import LEVEL as LEVEL
