"""``fastdl train table``."""

import argparse
import functools
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import saving
from .._files import replacing, save_picture, shown, try_replacing
from ._frames import column_of, installed, read_frame
from ._shared import CommandError, bad_input, use_threads
from ._streams import note
from ._table_report import Judged, judge, picture, report

MODEL, CURVE, REPORT, PICTURE = "model.safetensors", "history.csv", "report.md", "report.png"
_FEW = 20  # whole numbers of so few values are classes
_LEAST = 10  # rows


def run(arguments: argparse.Namespace) -> int:
    """Train, and report."""
    use_threads(arguments.threads)
    frame = read_frame(arguments.file, arguments.encoding, arguments.separator, arguments.decimal)
    y = column_of(frame, arguments.target, "--target", arguments.file)
    for name in arguments.drop or []:
        column_of(frame, name, "--drop", arguments.file)
    X = frame.drop(columns=[arguments.target, *(arguments.drop or [])])
    if not X.shape[1]:
        raise CommandError(f"{shown(arguments.file)}: has no column beside the target")
    y, X = _present(arguments, y, X)
    classes = _are_classes(y) if arguments.task == "auto" else arguments.task == "classification"
    _check_target(arguments, y, classes)
    if classes and y.dtype.kind == "f" and (y == y.round()).all():  # whole numbers with gaps
        y = y.astype(np.int64)
    folder = Path(arguments.out)
    with bad_input():
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, CURVE, REPORT, PICTURE):
            try_replacing(folder / name)
    train, held = _split(arguments, y, classes)
    if not arguments.quiet:
        what = f"{y.nunique()} classes" if classes else "numbers"
        sys.stderr.write(f"{len(train):,} rows to learn, {len(held):,} held out; {arguments.target}: {what}\n")
    model, linear = (_fitted(arguments, X.iloc[train], y.iloc[train], classes, wide) for wide in (True, False))
    judged = judge(model, linear, X.iloc[held], y.iloc[train], y.iloc[held])
    saving.save(model, folder / MODEL, metadata={"command": "train table", "target": arguments.target})
    return _write(folder, arguments, model, judged, len(train))


def _present(arguments: argparse.Namespace, y: Any, X: Any) -> tuple[Any, Any]:
    """The rows whose target is there."""
    there = y.notna().to_numpy()
    if not there.all():
        note(f"{int((~there).sum()):,} rows without {shown(arguments.target)} are left out")
    y, X = y[there], X[there]
    if len(y) < _LEAST:
        raise CommandError(f"{shown(arguments.file)}: has {len(y)} rows with a target, expected at least {_LEAST}")
    return y, X


def _are_classes(y: Any) -> bool:
    """Whether targets are classes: texts, yes and no, and whole numbers of few values."""
    if y.dtype.kind in "iuf":
        values = y.to_numpy(np.float64)
        return bool((values == np.round(values)).all()) and len(np.unique(values)) <= min(_FEW, len(y) // 5)
    return True


def _check_target(arguments: argparse.Namespace, y: Any, classes: bool) -> None:
    name, several = shown(arguments.target), y.nunique()
    if not classes:
        if y.dtype.kind not in "iufb":
            example = shown(y.iloc[0])
            raise CommandError(f"--target {name}: holds {example!r}, expected numbers for a regression")
        if not np.isfinite(y.to_numpy(np.float64)).all():
            raise CommandError(f"--target {name}: holds infinity, expected finite numbers")
    if several < 2:
        raise CommandError(f"--target {name}: has one value alone, {shown(y.iloc[0])!r}: there is nothing to learn")
    if classes and several > len(y) // 2:
        raise CommandError(
            f"--target {name}: has {several:,} different values in {len(y):,} rows, too many for classes; a column of "
            "numbers takes --task regression"
        )


def _split(arguments: argparse.Namespace, y: Any, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn and rows held out; of each class its share, where each has two."""
    with installed():
        from sklearn.model_selection import train_test_split
    stratify = y.to_numpy() if classes and y.value_counts().min() > 1 else None
    share = arguments.validation
    if stratify is not None and min(share, 1 - share) * len(y) < y.nunique():
        stratify = None
    train, held = train_test_split(np.arange(len(y)), test_size=share, random_state=arguments.seed, stratify=stratify)
    return np.sort(train), np.sort(held)


def _fitted(arguments: argparse.Namespace, X: Any, y: Any, classes: bool, hidden: bool) -> Any:
    """A network on the rows to learn, or without hidden layers a linear model, for comparison."""
    with installed():
        from .. import estimators
    kind = estimators.TableClassifier if classes else estimators.TableRegressor
    rare = classes and y.value_counts().min() < 2  # of which none can be held out for stopping
    settings = {
        "hidden_layer_sizes": arguments.hidden if hidden else (), "dropout": arguments.dropout if hidden else 0.0,
        "learning_rate_init": arguments.lr, "max_iter": arguments.epochs, "batch_size": min(arguments.batch, len(X)),
        "categories": arguments.categories, "n_iter_no_change": arguments.patience, "random_state": arguments.seed,
        "early_stopping": not rare and len(X) >= 5 * _LEAST,
        "verbose": "bar" if hidden and not arguments.quiet else False,
    }  # fmt: skip
    with warnings.catch_warnings(), bad_input():
        warnings.simplefilter("ignore")  # that the epochs were too few is in the curve
        return kind(**settings).fit(X, y.astype(str) if classes and y.dtype.kind == "O" else y)


def _write(folder: Path, arguments: argparse.Namespace, model: Any, judged: Judged, learnt: int) -> int:
    """The curve, the report and its picture; what cannot be written of these is worth a message, and status 1."""
    failed = False
    figure = None
    try:
        figure = picture(model, judged, arguments.target)
    except ImportError:
        note(f"no {PICTURE}: matplotlib is not installed")
    text = report(arguments.file, arguments.target, model, judged, learnt, None if figure is None else PICTURE)
    writing: dict[str, Any] = {CURVE: model.history_.to_csv, REPORT: functools.partial(_write_text, text)}
    if figure is not None:
        writing[PICTURE] = functools.partial(save_picture, figure)
    for name, write in writing.items():
        try:
            write(folder / name)
        except OSError as error:
            note(f"error: {folder / name}: {error.strerror}")
            failed = True
    sys.stdout.write(f"{judged.table()}\nmodel in {folder / MODEL}, report in {folder / REPORT}\n")
    return 1 if failed else 0


def _write_text(text: str, path: Path) -> None:
    with replacing(path) as file:
        file.write(text.encode())
