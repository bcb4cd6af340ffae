"""The arguments of every command, and their help."""

import argparse
import sys
from typing import Any, NoReturn

from .._files import shown
from .._version import __version__
from ._series_parser import add_train_series
from ._settings import MOST, TRAINING_SETTINGS, add_threads, number, path
from ._table_parser import add_predict, add_train_table


class Parser(argparse.ArgumentParser):
    """Errors look the same wherever they come from, and options are not abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"allow_abbrev": False})
        self._intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._subparsers or self._intermixed:
            return super().parse_known_args(args, namespace)
        self._intermixed = True  # FILEs may stand before, between and after a command's options
        try:
            return self.parse_known_intermixed_args(_without_dashes(list(args or [])), namespace)
        finally:
            self._intermixed = False

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastdl: error: {shown(message, 2000)}\nTry '{self.prog} --help'.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own takes no notice of a full disk


def _without_dashes(words: list[str]) -> list[str]:
    """What follows ``--`` are names, which argparse does not know when it looks for options everywhere."""
    if "--" not in words:
        return words
    border = words.index("--")
    names = [f"./{word}" if word.startswith("-") and word != "-" else word for word in words[border + 1 :]]
    return words[:border] + names


def make_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="fastdl",
        description="Train small models on the CPU, and use them.",
        epilog="'fastdl COMMAND --help' explains a command. A first try: 'fastdl train text --epochs 1', "
        "then 'fastdl generate runs/text'.",
    )
    parser.add_argument("--version", action="version", version=f"fastdl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    train = commands.add_parser("train", help="train a model", description="Train a model.")
    kinds = train.add_subparsers(title="what to train on", metavar="DATA", required=True)
    _add_train_text(kinds)
    add_train_table(kinds)
    add_train_series(kinds)
    _add_generate(commands)
    _add_evaluate(commands)
    add_predict(commands)
    info = commands.add_parser(
        "info",
        help="show what a file of a model holds",
        description="Show what a model's file or a checkpoint holds: layers, arrays and their shapes, and the rest.",
    )
    info.add_argument("file", type=path, metavar="FILE", help="a file in the safetensors layout")
    info.set_defaults(run=_run_info)
    show = commands.add_parser(
        "show-config",
        help="show the kernel build in use, threads and versions",
        description="Show the kernel build in use, threads, OpenMP and versions.",
    )
    show.set_defaults(run=_run_show_config)
    bench = commands.add_parser(
        "bench",
        help="measure this machine (about a minute)",
        description="Time the kernels against plain NumPy, and against PyTorch, JAX, Keras on TensorFlow, thinc and "
        "scikit-learn where they are installed. Takes about a minute; run it on an idle machine. 'make bench' in the "
        "source tree runs the full set.",
    )
    bench.add_argument("--json", type=path, metavar="FILE", help="also write the result there, for programs")
    add_threads(bench)
    bench.set_defaults(run=_run_bench)
    return parser


def _add_train_text(kinds: Any) -> None:
    parser = kinds.add_parser(
        "text",
        help="a character language model on text",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a language model (embedding, LSTM, linear layer) that predicts the next\n"
        "character. The first nine tenths of the text are learnt, the last tenth measures the\nresult.",
        epilog="Written to the --out folder, once all that an earlier run left there is removed:\n"
        "  model.safetensors        the model with the best held-out loss so far\n"
        "  checkpoint.safetensors   everything --resume needs, as of the last epoch or interruption\n"
        "  history.csv              the learning curve, a row per epoch (losses in nats per character)\n"
        "  learning_curve.png       its picture, where matplotlib is installed\n\n"
        "Ctrl-C, SIGTERM or SIGHUP ends the run with a checkpoint (exit status 130, 143 or 129);\n"
        "a second one does not wait.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        default=[],
        type=path,
        metavar="FILE",
        help="UTF-8 text in any alphabet, - for stdin; several are joined. Default: the English help texts that come "
        "with Python",
    )
    parser.add_argument(
        "--out", type=path, default="runs/text", metavar="DIR", help="folder for the results (%(default)s)"
    )
    # None here means the default below or, with --resume, what the run began with.
    settings = parser.add_argument_group("the model and its training (a resumed run keeps its own)")
    for name, (default, kind, text) in TRAINING_SETTINGS.items():
        metavar = "N" if isinstance(default, int) else "X"
        settings.add_argument(f"--{name}", type=kind, metavar=metavar, default=None, help=f"{text} ({default})")
    running = parser.add_argument_group("the run")
    running.add_argument("--resume", action="store_true", help="go on from the checkpoint in the --out folder")
    running.add_argument(
        "--checkpoint-every",
        type=number(int, 1, MOST),
        metavar="N",
        help="write the checkpoint every N steps too, not only after every epoch",
    )
    running.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="measure this too after every epoch, as accuracy or bits_per_character; may be given several times",
    )
    running.add_argument("--log-csv", type=path, metavar="FILE", help="write the learning curve there too, as it grows")
    running.add_argument("--tensorboard", type=path, metavar="DIR", help="write it there as TensorBoard reads it")
    running.add_argument("--quiet", action="store_true", help="no progress on stderr, only the result on stdout")
    add_threads(running)
    parser.set_defaults(run=_run_train_text)


def _add_generate(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="write text with a trained model",
        description="Write text with a trained model, character after character, to stdout.",
    )
    _add_model(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="beginning of the text (none)")
    parser.add_argument(
        "--length",
        type=number(int, 0, MOST),
        default=500,
        metavar="N",
        help="characters after the prompt (%(default)s)",
    )
    parser.add_argument(
        "--temperature",
        type=number(float, 0),
        default=0.8,
        metavar="X",
        help="below 1 safer, above 1 wilder, 0 always the likeliest character (%(default)s)",
    )
    parser.add_argument(
        "--top-k",
        type=number(int, 1, MOST),
        metavar="K",
        help="choose among the K likeliest characters only (all)",
    )
    parser.add_argument(
        "--top-p",
        type=number(float, 0, 1, open_low=True),
        metavar="P",
        help="choose among the fewest likeliest characters that together have probability P (all)",
    )
    parser.add_argument("--seed", type=number(int, 0, MOST), metavar="N", help="repeatable text (another every time)")
    add_threads(parser)
    parser.set_defaults(run=_run_generate)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a trained model on text",
        description="Measure a trained model: bits per character, lower is better.",
    )
    _add_model(parser)
    parser.add_argument(
        "files",
        nargs="*",
        default=[],
        type=path,
        metavar="FILE",
        help="UTF-8 text, - for stdin. Default: the last tenth of Python's help texts, which 'train text' holds out",
    )
    parser.add_argument("--held-out", action="store_true", help="measure on the last tenth of the FILEs only")
    add_threads(parser)
    parser.set_defaults(run=_run_evaluate)


def _add_model(parser: Any) -> None:
    parser.add_argument("model", type=path, metavar="MODEL", help="the --out folder of 'train text', or a file from it")


# A command's module is imported when the command runs: '--help' need not wait for the kernels.
def _run_train_text(arguments: argparse.Namespace) -> int:
    from ._train_text import run

    return run(arguments)


def _run_generate(arguments: argparse.Namespace) -> int:
    from ._generate import run

    return run(arguments)


def _run_evaluate(arguments: argparse.Namespace) -> int:
    from ._evaluate import run

    return run(arguments)


def _run_bench(arguments: argparse.Namespace) -> int:
    from ._bench._tour import run

    return run(arguments)


def _run_info(arguments: argparse.Namespace) -> int:
    from . import _info

    return _info.run(arguments)


def _run_show_config(arguments: argparse.Namespace) -> int:
    from .._config import show_config

    show_config()
    return 0
