"""Whole models, ready to train: one for each way in which a recurrent network maps sequences (docs/models.md 5.2).

:class:`Classifier` one-to-one, :class:`SequenceGenerator` one-to-many, :class:`SequenceClassifier` and
:class:`Forecaster` many-to-one, :class:`CharLM` and :class:`Tagger` many-to-many step by step, and :class:`Seq2Seq`
from one length to another.
"""

from ._char_lm import CharLM
from ._classifier import Classifier
from ._forecaster import Forecaster
from ._seq2seq import Seq2Seq
from ._sequence_classifier import SequenceClassifier
from ._sequence_generator import SequenceGenerator
from ._tagger import Tagger

__all__ = ["CharLM", "Classifier", "Forecaster", "Seq2Seq", "SequenceClassifier", "SequenceGenerator", "Tagger"]


def __dir__() -> list[str]:
    return __all__
