"""Many-to-one: fifteen gestures of Brazilian sign language, from the hand's path in 45 frames of a video.

The paths come from real videos; the videos themselves are in no package. An LSTM reads position and velocity in both
directions. Accuracy in ten folds, each with its share of every class; settings are those of the speech example. The
picture counts which gesture was taken for which.
"""

import numpy as np
from _common import arguments, pyplot, save, size

import fastdl as fd


def features(paths):
    """Position and velocity, about the middle of a path and in units of their spread."""
    position = paths - paths.mean(1, keepdims=True)
    velocity = np.diff(paths, axis=1, prepend=paths[:, :1])
    return np.concatenate([position / position.std(), velocity / velocity.std()], 2)


def folds(labels, count, seed):
    """The fold of every example: the examples of a class are dealt out in turn."""
    rng, fold = np.random.default_rng(seed), np.empty(len(labels), int)
    for label in np.unique(labels):
        some = rng.permutation(np.flatnonzero(labels == label))
        fold[some] = (
            np.arange(len(some)) + label
        ) % count  # each class begins elsewhere, so that folds are of one size
    return fold


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.movement_libras()
    paths, labels = data.all
    x, fold = features(paths), folds(labels, 10, options.seed)
    found = np.full(len(labels), -1)
    for one in range(2 if options.quick else 10):
        model = fd.models.SequenceClassifier(
            4, 15, hidden=128, bidirectional=True, noise=0.1, dropout=0.5, rng=options.seed + one
        )
        model.fit(x[fold != one], labels[fold != one], epochs=10 if options.quick else 80)
        found[fold == one] = model.predict(x[fold == one])
    tested = found >= 0
    parts = [float((found == labels)[fold == one].mean()) for one in np.unique(fold[tested])]
    print(f"gestures named rightly: {np.mean(parts):.4f}, standard deviation of the folds {np.std(parts):.4f}")
    figure, axes = pyplot().subplots(figsize=(9, 8))
    table = fd.metrics.confusion_matrix(labels[tested], found[tested], labels=range(15))
    fd.plots.confusion_matrix(table, data.names, ax=axes)
    axes.tick_params(axis="x", rotation=90)
    save(figure, options.out / "gestures.png")
    return {"accuracy": float(np.mean(parts)), "parameters": size(model)}


if __name__ == "__main__":
    main()
