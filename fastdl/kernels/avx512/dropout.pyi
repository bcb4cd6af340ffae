from ..baseline.dropout import *
from ..baseline.dropout import LEVEL as LEVEL
