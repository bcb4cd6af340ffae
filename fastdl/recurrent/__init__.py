"""Recurrent layers, forward and backward through time: RNN, LSTM, GRU, IndRNN, MinGRU, MinLSTM and sLSTM.

Arrays are time-major: x is (T, B, I), states are (B, H). Equations: docs/recurrent.md.
"""

from ._gru import GRUGradients, gru_backward, gru_forward
from ._indrnn import IndRNNGradients, indrnn_backward, indrnn_forward
from ._last import last_step, last_step_backward
from ._lstm import LSTMGradients, lstm_backward, lstm_forward
from ._mingru import MinGRUGradients, mingru_backward, mingru_forward
from ._minlstm import MinLSTMGradients, minlstm_backward, minlstm_forward
from ._rnn import RNNGradients, rnn_backward, rnn_forward
from ._run import RecurrentTape
from ._slstm import slstm_backward, slstm_forward, sLSTMGradients

__all__ = [
    "GRUGradients",
    "IndRNNGradients",
    "LSTMGradients",
    "MinGRUGradients",
    "MinLSTMGradients",
    "RNNGradients",
    "RecurrentTape",
    "gru_backward",
    "gru_forward",
    "indrnn_backward",
    "indrnn_forward",
    "last_step",
    "last_step_backward",
    "lstm_backward",
    "lstm_forward",
    "mingru_backward",
    "mingru_forward",
    "minlstm_backward",
    "minlstm_forward",
    "rnn_backward",
    "rnn_forward",
    "sLSTMGradients",
    "slstm_backward",
    "slstm_forward",
]


def __dir__() -> list[str]:
    return __all__
