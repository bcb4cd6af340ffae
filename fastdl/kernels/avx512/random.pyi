from ..baseline.random import *
from ..baseline.random import LEVEL as LEVEL
