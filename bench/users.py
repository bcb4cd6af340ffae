"""Recurrent layers as programs that people use have them, by who uses them: small, narrow, long, one at a time.

Amplifier models, noise suppression, policies, forecasts, lines of text, rivers. ``bench_recurrent_family.py`` and
``make bench-peers`` time them against other libraries, ``cases/recurrent.py`` has them in the table of cases.
"""

from typing import NamedTuple


class User(NamedTuple):
    """A stack of layers, and the batch it is trained on."""

    kind: str  # LSTM or GRU
    T: int
    B: int
    I: int  # noqa: E741
    H: int
    layers: int = 1
    bidirectional: bool = False

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional


USERS = {
    "AIDA-X": User("LSTM", 2048, 8, 1, 16),
    "NAM standard": User("LSTM", 512, 16, 1, 24),
    "NAM lite": User("LSTM", 512, 16, 1, 8, layers=2),
    "GuitarML Proteus": User("LSTM", 1024, 40, 1, 40),
    "RNNoise": User("GRU", 200, 16, 128, 256, layers=3),
    "recurrent PPO": User("LSTM", 128, 1, 64, 256),
    "darts": User("LSTM", 24, 32, 1, 25),
    "neuralforecast": User("LSTM", 72, 32, 1, 128, layers=2),
    "tesseract": User("LSTM", 200, 1, 48, 96),
    "kraken": User("LSTM", 300, 1, 400, 200, bidirectional=True),
    "deep-river": User("LSTM", 1, 1, 4, 10),
    "neuralhydrology": User("LSTM", 365, 32, 32, 256),
}
