from ..baseline.activations import *
from ..baseline.activations import LEVEL as LEVEL
