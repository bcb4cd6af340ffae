from ..baseline.sequence import *
from ..baseline.sequence import LEVEL as LEVEL
