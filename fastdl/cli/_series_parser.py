"""The arguments of ``fastdl train series``."""

import argparse
from typing import Any

from ._settings import MOST, add_reading, add_threads, number, path


def add_train_series(kinds: Any) -> None:
    """``fastdl train series``."""
    parser = kinds.add_parser(
        "series",
        help="forecasts of many series by one network",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train one network that forecasts all series of a table with a row for each series and time.\n"
        "Forecasts of the series' ends are measured first, beside the usual baselines.",
        epilog="Written to the --out folder, in the place of an earlier run's:\n"
        "  model.safetensors   for 'fastdl predict' and fd.load\n"
        "  report.md           what was measured, and what the series are like\n"
        "  report.png          forecasts of some series, where matplotlib is installed\n"
        "  forecasts.csv       what comes next, with intervals (where no --future columns are needed)\n"
        "  history.csv         the learning curve, a row per epoch",
    )
    parser.add_argument("file", type=path, metavar="FILE", help="CSV or Parquet, - for CSV from stdin")
    parser.add_argument("--time", required=True, metavar="COLUMN", help="dates, or whole numbers")
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the values to forecast")
    parser.add_argument("--series", metavar="COLUMN", help="which series a row belongs to (one series)")
    parser.add_argument("--horizon", required=True, type=number(int, 1, MOST), metavar="N", help="steps to forecast")
    parser.add_argument("--freq", metavar="NAME", help="step of the dates, as D, W-SUN or MS (found)")
    parser.add_argument(
        "--season", type=number(int, 1, MOST), metavar="N", help="steps of a season (found by the dates; 1 of numbers)"
    )
    for name, text in (
        ("past", "a column known up to the present"),
        ("future", "a column known in advance"),
        ("static", "a column that says something about the whole series"),
    ):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="COLUMN", help=f"{text}; may be given several times"
        )
    parser.add_argument(
        "--out", type=path, default="runs/series", metavar="DIR", help="folder for the results (%(default)s)"
    )
    settings = parser.add_argument_group("the model and its training")
    settings.add_argument(
        "--cell", default="lstm", metavar="NAME", help="recurrent layer, as lstm or gru (%(default)s)"
    )
    for name, kind, default, metavar, text in (
        ("hidden", number(int, 1, MOST), 64, "N", "units of the recurrent layer"),
        ("dropout", number(float, 0, 1), 0.0, "X", "probability of dropping a state's element"),
        ("lr", number(float, 0, open_low=True), 5e-3, "X", "AdamW's largest learning rate"),
        ("models", number(int, 1, MOST), 1, "N", "networks whose median is the forecast"),
        ("windows", number(int, 1, MOST), 1, "N", "origins of the forecasts that are measured"),
        ("seed", number(int, 0, 2**32 - 1), 0, "N", "start of all randomness"),
    ):
        settings.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=f"{text} (%(default)s)")
    settings.add_argument(
        "--epochs", type=number(int, 1, MOST), metavar="N", help="passes over the data (by their size)"
    )
    settings.add_argument(
        "--input", type=number(int, 1, MOST), metavar="N", help="values seen at a step (by the season)"
    )
    add_reading(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr, only the result on stdout")
    add_threads(parser)
    parser.set_defaults(run=_run_train_series)


def _run_train_series(arguments: argparse.Namespace) -> int:
    from ._train_series import run

    return run(arguments)
