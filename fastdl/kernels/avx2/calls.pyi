from ..baseline.calls import *
from ..baseline.calls import LEVEL as LEVEL
