"""One-to-many: a label in, the eight rows of pixels of a handwritten digit out.

The LSTM writes row by row, each pixel drawn from its distribution over 17 grey levels. A classifier trained on real
digits alone says whether the written ones can be read; a picture shows them beside real ones.
"""

import numpy as np
from _common import arguments, distorted, pyplot, save, size

import fastdl as fd


def draw(real, written, path):
    """Five rows of real digits, and below them five rows of written ones; (5, 10, 8, 8) both."""
    figure, (above, below) = pyplot().subplots(2, figsize=(6, 6.4))
    for axes, name, rows in ((above, "real", real), (below, "written", written)):
        axes.imshow(np.block([[np.pad(image, 1) for image in row] for row in rows]), cmap="gray_r")
        axes.set_title(f"{name} digits")
        axes.axis("off")
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    images, labels = fd.datasets.digits().all
    model = fd.models.SequenceGenerator(10, steps=8, features=8, levels=17, rng=options.seed)
    model.fit(labels, images, epochs=5 if options.quick else 30)
    wanted = np.repeat(np.arange(10), 20 if options.quick else 100)
    written = model.generate(wanted, top_p=0.8, rng=options.seed + 1)
    reader = fd.models.Classifier(64, 10, rng=options.seed + 1)
    copies = 0 if options.quick else 9
    reader.fit(distorted(images, copies, options.seed + 1).reshape(-1, 64), np.tile(labels, copies + 1), epochs=6)
    recognised = (reader.predict(written.reshape(-1, 64) / 16) == wanted).mean()
    copied = sum((np.abs(images - one) <= 1).all((1, 2)).any() for one in written)
    print(f"recognised by a classifier trained on real digits: {recognised:.4f}")
    print(f"copies of a real digit, all pixels within 1: {copied} of {len(written)}")
    real = np.stack([images[labels == label][:5] for label in range(10)], 1)
    draw(real, written.reshape(10, -1, 8, 8)[:, :5].swapaxes(0, 1), options.out / "digits.png")
    return {"recognised": recognised, "parameters": size(model)}


if __name__ == "__main__":
    main()
