"""Whole models, ready to train: one for each way in which a recurrent network maps sequences (MATH 5.2).

:class:`Classifier` one-to-one, :class:`SequenceGenerator` one-to-many, :class:`Forecaster` many-to-one, :class:`CharLM`
many-to-many step by step.
"""

from ._char_lm import CharLM
from ._classifier import Classifier
from ._forecaster import Forecaster
from ._sequence_generator import SequenceGenerator

__all__ = ["CharLM", "Classifier", "Forecaster", "SequenceGenerator"]
