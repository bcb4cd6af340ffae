from ..baseline.system import *
from ..baseline.system import LEVEL as LEVEL
