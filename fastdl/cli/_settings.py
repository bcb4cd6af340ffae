"""What the words of a command line may be, and the settings of a training run with their defaults."""

import argparse
import math
from collections.abc import Callable
from typing import Any


def path(word: str) -> str:
    """An argparse type: the name of a file or folder."""
    if not word or "\0" in word:
        raise argparse.ArgumentTypeError(f"got {word!r}, expected the name of a file or folder")
    return word


def number(
    kind: type, low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> Callable[[str], Any]:
    """An argparse type: a finite number of a kind, in a range."""

    def parse(word: str) -> Any:
        try:
            value = kind(word)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"got {word!r:.80}, expected {wanted}") from None
        inside = (value > low if open_low else value >= low) and (value < high if open_high else value <= high)
        if not inside or (kind is float and not math.isfinite(value)):
            wanted = f"{'more than' if open_low else 'at least'} {low}"
            if high < math.inf:
                wanted += f" and {'less than' if open_high else 'at most'} {high}"
            raise argparse.ArgumentTypeError(f"got {word:.80}, expected {wanted}")
        return value

    return parse


MOST = 2**63 - 1


def add_threads(parser: Any) -> None:
    """The option that every command has which computes."""
    parser.add_argument(
        "--threads", type=number(int, 1, MOST), metavar="N", help="threads to use, at most four a core (all cores)"
    )


def letter(word: str) -> str:
    r"""An argparse type: one character; ``\t`` is a tab."""
    word = "\t" if word == r"\t" else word
    if len(word) != 1:
        raise argparse.ArgumentTypeError(f"got {word!r:.80}, expected one character")
    return word


def add_reading(parser: Any) -> None:
    """The options of every command that reads CSV."""
    reading = parser.add_argument_group("how CSV is written")
    reading.add_argument("--encoding", default="utf-8", metavar="NAME", help="as cp1252 or latin-1 (%(default)s)")
    reading.add_argument(
        "--separator", type=letter, metavar="C", help=r"between fields, \t for a tab (found in the first line)"
    )
    reading.add_argument("--decimal", type=letter, default=".", metavar="C", help="of numbers (%(default)s)")


# Name: (default, type, help).
TRAINING_SETTINGS: dict[str, tuple[Any, Callable[[str], Any], str]] = {
    "epochs": (8, number(int, 1, MOST), "passes over the text; --resume may give more"),
    "embedding": (64, number(int, 1, 2**31 - 1), "size of a character's vector"),
    "hidden": (256, number(int, 1, 2**31 - 1), "size of the LSTM's state"),
    "layers": (1, number(int, 1, 1000), "LSTM layers"),
    "dropout": (0.0, number(float, 0, 1, open_high=True), "probability of dropping an LSTM output"),
    "seq-len": (64, number(int, 1, 2**31 - 1), "characters that gradients go back"),
    "batch": (32, number(int, 1, 2**31 - 1), "stretches of text read side by side"),
    "lr": (2e-3, number(float, 0, open_low=True), "Adam's learning rate"),
    "clip": (1.0, number(float, 0), "largest norm of the gradient; 0 for no clipping"),
    "patience": (
        0,
        number(int, 0, MOST),
        "end after N epochs without improvement; 0 for never; --resume may give more",
    ),
    "seed": (0, number(int, 0, MOST), "start of all randomness"),
}
