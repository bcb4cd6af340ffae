from ..baseline.convolution import *
from ..baseline.convolution import LEVEL as LEVEL
