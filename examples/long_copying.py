"""Long memory: 10 symbols are shown, 1,000 steps go by, and the symbols are to be repeated.

The cross-entropy, a mean over all outputs, is 0.0204 where nothing is remembered: blanks are easy, and symbols are
guessed. Published LSTM and GRU end there (Bai, Kolter and Koltun 2018). Here an LSTM begins with gates whose lags are
spread up to 1,000, and the lag begins at 10 and doubles each time it is learnt. The picture shows what it saw and said.
"""

import numpy as np
from _common import arguments, pyplot, remember, save, size, steps_of

import fastdl as fd

SYMBOLS, BLANK = 10, 8  # symbols are 0 to 7
LAST = 400  # steps at the whole lag


def parted(y, told):
    """(loss, gradient) of the blanks, and of the symbols after them."""
    blank = np.full(y[:-SYMBOLS].shape[:2], BLANK)
    parts = (y[:-SYMBOLS], blank), (y[-SYMBOLS:], told)
    return [fd.softmax_cross_entropy(np.ascontiguousarray(logits), wanted) for logits, wanted in parts]


def loss_of(y, told):
    """The loss of the symbols; the gradient counts blanks, too, as if there were as many of them."""
    (_, blanks), (loss, symbols) = parted(y, told)
    return loss, np.concatenate([blanks, symbols])


class Lags:
    """Sequences whose lag doubles, up to the longest, once the last 50 losses are below 0.1 in the mean."""

    def __init__(self, first, longest, rng):
        self.lag, self.longest, self.rng, self.recent, self.left = first, longest, rng, [], LAST

    def __call__(self):
        return fd.datasets.copying(int(self.rng.integers((self.lag + 1) // 2, self.lag + 1)), 32, self.rng, SYMBOLS)

    def learnt(self, loss):
        """Take a loss into account; whether all is done."""
        self.recent = [*self.recent[-49:], loss]
        self.left -= self.lag == self.longest
        if self.lag < self.longest and len(self.recent) == 50 and np.mean(self.recent) < 0.1:
            self.lag, self.recent = min(2 * self.lag, self.longest), []
            print(f"lag {self.lag:,}", flush=True)
        return self.left == 0


def draw(x, y, path):
    """Two rows of pixels, time from left to right: a symbol or blank each."""
    figure, axes = pyplot().subplots(2, figsize=(9, 2.4), sharex=True)
    for ax, name, one in ((axes[0], "seen", x), (axes[1], "said", y)):
        ax.imshow(one.T, aspect="auto", cmap="Blues", interpolation="nearest", vmin=0, vmax=1)
        ax.set_ylabel(name)
    axes[1].set_xlabel("step")
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    T, most = (20, 30) if options.quick else (1000, 30_000)
    lags = Lags(10, T, np.random.default_rng(options.seed))
    lstm = remember(fd.nn.LSTM(BLANK + 2, 128, rng=options.seed + 1), T + SYMBOLS)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(128, BLANK + 1, rng=options.seed + 2))
    training = steps_of(model, lags, loss_of, most, 2e-3, lambda _: lags.left / LAST)
    steps = next((step for step, loss in enumerate(training, 1) if lags.learnt(loss)), most)
    x, told = fd.datasets.copying(T, 200, options.seed + 99, SYMBOLS)
    y = model.eval().forward(x)
    (blanks, _), (recalled, _) = parted(y, told)
    mean = float(blanks * (len(y) - SYMBOLS) + recalled * SYMBOLS) / len(y)
    right = float((y[-SYMBOLS:].argmax(-1) == told).mean())
    print(f"lag {T:,}, after {steps:,} steps: cross-entropy {mean:.2g}, {right:.4f} of the symbols right")
    draw(x[:, 0], fd.softmax(y[:, 0]), options.out / "copied.png")
    return {"cross-entropy": mean, "right": right, "parameters": size(model)}


if __name__ == "__main__":
    main()
