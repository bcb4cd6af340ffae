"""One-to-one: handwritten digits classified by a dense network.

Trained on the first half of scikit-learn's digits and on distorted copies of them, tested on the second half, whose
writers are others.
"""

import numpy as np
from _common import arguments, distorted, second_half, size

import fastdl as fd


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    images, labels = fd.datasets.digits().all
    train, test = second_half(labels)
    copies = 1 if options.quick else 19
    x = distorted(images[train], copies, options.seed).reshape(-1, 64)
    y = np.tile(labels[train], copies + 1)
    model = fd.models.Classifier(64, 10, hidden=384, rng=options.seed)
    model.fit(x, y, epochs=10, learning_rate=2e-3)
    accuracy = (model.predict(images[test].reshape(-1, 64) / 16) == labels[test]).mean()
    print(f"accuracy on the second half: {accuracy:.4f}")
    return {"accuracy": accuracy, "parameters": size(model)}


if __name__ == "__main__":
    main()
