from ..baseline.losses import *
from ..baseline.losses import LEVEL as LEVEL
