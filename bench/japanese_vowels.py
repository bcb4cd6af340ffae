"""Nine speakers told apart by a vowel: ``python bench/japanese_vowels.py``, with the data that aeon or sktime bring.

270 utterances to learn from and 370 others, 7 to 29 steps of 12 LPC cepstra (Kudo, Toyama and Shimbo 1999). A row tells
the accuracy on the others and the whole ``fit`` of a seed. ``--choose`` shows how the settings were chosen: by
5-fold cross-validation on the 270 alone, with three seeds.
"""

import argparse
import resource
import statistics
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score

import fastdl as fd

PLACES = ("aeon/datasets/data", "sktime/datasets/data")
SETTINGS: dict[str, Any] = {
    "hidden_size": 64, "bidirectional": True, "pooling": "mean", "dropout": 0.5, "noise": 0.6, "solver": "adamw",
    "solver_options": {"weight_decay": 0.01}, "alpha": 0.0, "batch_size": 32, "learning_rate": "one_cycle",
    "learning_rate_init": 5e-3, "max_norm": 1.0, "max_iter": 40, "n_iter_no_change": np.inf,
}  # fmt: skip
TRIED: list[dict[str, Any]] = [
    {"noise": 0.3}, {"noise": 0.6}, {"noise": 1.0}, {"noise": 0.6, "max_iter": 25},
    *({"noise": noise, "conv_channels": (64,)} for noise in (0.3, 0.6, 1.0)),
]  # fmt: skip


def folder(given: Path | None) -> Path:
    """Where the files are."""
    for place in PLACES:
        package, _, rest = place.partition("/")
        found = find_spec(package)
        if given is None and found is not None and found.origin is not None:
            given = Path(found.origin).parent / rest / "JapaneseVowels"
    if given is None or not given.is_dir():
        raise SystemExit("the data are not here: pip install aeon, or --data FOLDER with JapaneseVowels_TRAIN.ts")
    return given


def read(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences (T, 12) of a .ts file, whose rows are the features and at last the class, parted by colons."""
    x, y = [], []
    for line in path.read_text().splitlines():
        if line and line[0] not in "@#":
            *features, label = line.split(":")
            x.append(np.array([one.split(",") for one in features], np.float32).T)
            y.append(label.strip())
    return x, np.array(y)


def choose(x: list[np.ndarray], y: np.ndarray) -> None:
    """Print the accuracy that cross-validation finds for each of the settings that were tried."""
    for tried in TRIED:
        found = [
            cross_val_score(
                fd.estimators.SequenceClassifier(**{**SETTINGS, **tried}, random_state=seed), x, y,
                cv=StratifiedKFold(5, shuffle=True, random_state=seed),
            ).mean()
            for seed in range(3)
        ]  # fmt: skip
        print(f"{statistics.mean(found):.4f} {tried}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the two files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="compare settings on the part that is learned from")
    arguments = parser.parse_args()
    where = folder(arguments.data)
    x, y = read(where / "JapaneseVowels_TRAIN.ts")
    if arguments.choose:
        choose(x, y)
        return
    others, theirs = read(where / "JapaneseVowels_TEST.ts")
    scores, seconds = [], []
    for seed in range(arguments.seeds):
        model = fd.estimators.SequenceClassifier(**SETTINGS, random_state=seed)
        wall, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        model.fit(x, y)
        wall, spent = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
        scores.append(model.score(others, theirs))
        seconds.append(wall)
        processor = spent.ru_utime + spent.ru_stime - cpu.ru_utime - cpu.ru_stime
        print(f"seed {seed}: accuracy {scores[-1]:.4f}, fit {wall:.2f} s, of the processor {processor:.2f} s")
    print(f"mean of {len(scores)} seeds: accuracy {statistics.mean(scores):.4f}, fit {statistics.mean(seconds):.2f} s")


if __name__ == "__main__":
    main()
