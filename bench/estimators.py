"""``MLPClassifier`` beside scikit-learn's at equal settings, in turn in one process: ``python bench/estimators.py``.

Digits come with scikit-learn; Fashion-MNIST (60,000 x 784) is read where ``--fashion`` says, as Debian's
``dataset-fashion-mnist`` and others have it. A row tells the whole ``fit``, the least of the rounds; accuracy is the
mean over the seeds, on examples that neither saw. Processor time is what another program's load disturbs least.
"""

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as Theirs
from threadpoolctl import threadpool_limits

import fastdl as fd
from fastdl.estimators import MLPClassifier

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # x and y to learn, x and y to judge


def digits(dtype: type) -> Split:
    """1,797 images of 8 x 8, a quarter of them held out."""
    x, y = load_digits(return_X_y=True)
    x, x_held, y, y_held = train_test_split((x / 16).astype(dtype), y, test_size=0.25, random_state=0, stratify=y)
    return x, y, x_held, y_held


def fashion(path: Path, dtype: type) -> Split:
    """60,000 images of 28 x 28, and 10,000 others."""
    data = fd.datasets.fashion_mnist(path)
    (x, y), (x_held, y_held) = (((x.reshape(len(x), -1) / 255).astype(dtype), y) for x, y in (data.train, data.test))
    return x, y, x_held, y_held


def fitted(kind: Any, split: Split, settings: dict[str, Any], seed: int) -> tuple[float, float, float, int]:
    """Seconds, seconds of the processor, accuracy and epochs of one fit."""
    x, y, x_held, y_held = split
    model = kind(random_state=seed, **settings)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(x, y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall, cpu, model.score(x_held, y_held), model.n_iter_


def compare(name: str, split: Split, settings: dict[str, Any], seeds: int, threads: int, **more: Any) -> None:
    """Print how both did; `more` are settings of ours alone."""
    runs: dict[Callable[..., Any], list[Any]] = {Theirs: [], MLPClassifier: []}
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(seeds):
            for kind, found in runs.items():
                own = more if kind is MLPClassifier else {}
                found.append(fitted(kind, split, settings | own, seed))
    theirs, ours = runs.values()
    ratios = [statistics.median(a[k] / b[k] for a, b in zip(theirs, ours, strict=True)) for k in (0, 1)]
    least = [min(a[0] for a in found) for found in (theirs, ours)]
    accuracy = [statistics.mean(a[2] for a in found) for found in (theirs, ours)]
    print(
        f"{name}, {split[0].dtype}{more or ''}, {threads} threads, {seeds} seeds: {ratios[0]:.2f} times as fast "
        f"(processor time {ratios[1]:.2f}); least {least[0]:.2f} and {least[1]:.2f} s; accuracy {accuracy[0]:.4f} and "
        f"{accuracy[1]:.4f}; epochs {[a[3] for a in theirs]} and {[a[3] for a in ours]}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path, help="where Fashion-MNIST is (fastdl.datasets); left out without it")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--epochs", type=int, default=10, help="of Fashion-MNIST (%(default)s); digits have 200 at most"
    )
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    works: list[tuple[str, Callable[[type], Split], dict[str, Any]]] = [("digits", digits, {})]
    if arguments.fashion is not None:
        settings = {"max_iter": arguments.epochs}
        works.append(("Fashion-MNIST", functools.partial(fashion, arguments.fashion), settings))
    for name, make, settings in works:
        for dtype, more in ((np.float64, {}), (np.float32, {}), (np.float64, {"dtype": "float32"})):
            compare(name, make(dtype), settings, arguments.seeds, arguments.threads, **more)


if __name__ == "__main__":
    main()
