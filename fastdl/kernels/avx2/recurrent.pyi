from ..baseline.recurrent import *
from ..baseline.recurrent import LEVEL as LEVEL
