"""Many-to-one: handwritten digits read row by row by an LSTM.

Tested on the second half, whose writers are others, and on a stratified random half; means over seeds.
"""

import numpy as np
from _common import arguments, distorted, second_half, size, stratified_half

import fastdl as fd


def trained(images, labels, train, seed, copies):
    x = distorted(images[train], copies, seed)
    y = np.tile(labels[train], copies + 1)
    model = fd.models.SequenceClassifier(8, 10, noise=0.2, rng=seed)
    model.fit(x, y, epochs=6)
    return model


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    images, labels = fd.datasets.digits().all
    seeds, copies = (range(1), 1) if options.quick else (range(5), 5)
    results = {}
    for name, split in {
        "second half": lambda seed: second_half(labels),
        "stratified half": lambda seed: stratified_half(labels, seed),
    }.items():
        found = []
        for seed in seeds:
            train, test = split(seed)
            model = trained(images, labels, train, options.seed + seed, copies)
            found.append(model.score(images[test] / 16, labels[test]))
        results[name] = float(np.mean(found))
        print(f"accuracy, {name}: mean {np.mean(found):.4f}, {' '.join(f'{one:.4f}' for one in found)}")
    return results | {"parameters": size(model)}


if __name__ == "__main__":
    main()
