from ..baseline.dense import *
from ..baseline.dense import LEVEL as LEVEL
