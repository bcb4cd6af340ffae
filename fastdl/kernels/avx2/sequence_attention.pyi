from ..baseline.sequence_attention import *
from ..baseline.sequence_attention import LEVEL as LEVEL
