"""The arguments of the commands on tables."""

import argparse
from typing import Any

from ._settings import MOST, add_reading, add_threads, number, path


def sizes(word: str) -> tuple[int, ...]:
    """An argparse type: sizes of layers, as 128,64."""
    try:
        found = tuple(int(part) for part in word.split(","))
    except ValueError:
        found = ()
    if not found or not all(1 <= one < 2**31 for one in found):
        raise argparse.ArgumentTypeError(f"got {word!r:.80}, expected sizes of layers, as 128,64")
    return found


def add_train_table(kinds: Any) -> None:
    """``fastdl train table``."""
    parser = kinds.add_parser(
        "table",
        help="a classifier or a regression on the rows of a table",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a network that predicts one column of a table by the others. What the columns are, is\n"
        "found: numbers, categories, dates, with gaps or without. Rows held out measure the result, beside\n"
        "a baseline and a linear model.",
        epilog="Written to the --out folder, in the place of an earlier run's:\n"
        "  model.safetensors   for 'fastdl predict' and fd.load\n"
        "  report.md           what was measured, and what each column was taken as\n"
        "  report.png          learning curve and predictions, where matplotlib is installed\n"
        "  history.csv         the learning curve, a row per epoch",
    )
    parser.add_argument("file", type=path, metavar="FILE", help="CSV or Parquet, - for CSV from stdin")
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    parser.add_argument("--drop", action="append", metavar="COLUMN", help="leave it out; may be given several times")
    parser.add_argument(
        "--task",
        choices=("auto", "classification", "regression"),
        default="auto",
        help="what the target is; auto takes texts and whole numbers of few values for classes (%(default)s)",
    )
    parser.add_argument(
        "--out", type=path, default="runs/table", metavar="DIR", help="folder for the results (%(default)s)"
    )
    settings = parser.add_argument_group("the model and its training")
    settings.add_argument(
        "--hidden", type=sizes, default=(128, 64), metavar="N,N", help="units of the hidden layers (128,64)"
    )
    for name, kind, default, metavar, text in (
        ("dropout", number(float, 0, 1, open_high=True), 0.1, "X", "probability of dropping a hidden unit"),
        ("epochs", number(int, 1, MOST), 200, "N", "passes over the rows at most"),
        ("patience", number(int, 1, MOST), 10, "N", "end after N epochs without improvement"),
        ("lr", number(float, 0, open_low=True), 1e-3, "X", "Adam's learning rate"),
        ("batch", number(int, 1, MOST), 64, "N", "rows a step"),
        ("seed", number(int, 0, 2**32 - 1), 0, "N", "start of all randomness"),
        ("validation", number(float, 0, 1, open_low=True, open_high=True), 0.2, "X", "share of the rows held out"),
    ):
        settings.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=f"{text} (%(default)s)")
    settings.add_argument(
        "--categories",
        choices=("auto", "onehot", "embed"),
        default="auto",
        help="a column for each category or a learnt vector; auto does the former up to ten of them (%(default)s)",
    )
    add_reading(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr, only the result on stdout")
    add_threads(parser)
    parser.set_defaults(run=_run_train_table)


def add_predict(commands: Any) -> None:
    """``fastdl predict``."""
    parser = commands.add_parser(
        "predict",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="predict with a model of 'train table' or 'train series'",
        description="Predict a column for each row of a table, or what comes after the series in it: to --out,\n"
        "or as CSV to stdout. Rows after a series' last value say what is known of its future.",
    )
    parser.add_argument(
        "model", type=path, metavar="MODEL", help="the --out folder of a 'train' command, or a model's file"
    )
    parser.add_argument("file", type=path, metavar="FILE", help="CSV or Parquet, - for CSV from stdin")
    parser.add_argument("-o", "--out", type=path, metavar="FILE", help="CSV, or Parquet by its suffix (stdout)")
    add_reading(parser)
    add_threads(parser)
    parser.set_defaults(run=_run_predict)


def _run_train_table(arguments: argparse.Namespace) -> int:
    from ._train_table import run

    return run(arguments)


def _run_predict(arguments: argparse.Namespace) -> int:
    from ._predict import run

    return run(arguments)
