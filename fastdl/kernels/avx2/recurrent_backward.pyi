from ..baseline.recurrent_backward import *
from ..baseline.recurrent_backward import LEVEL as LEVEL
