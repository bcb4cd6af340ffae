"""Long memory: two tasks with data made on the spot, adding and temporal order.

Adding: of T = 600 pairs (number, mark), add the two marked numbers; always answering 1 gives a mean squared error of
0.167. Temporal order: which of X and Y came first and second, among 100 distractors (both Hochreiter and Schmidhuber
1997). Gates begin with lags spread up to T, and the rate falls to 0. The picture shows how the losses fall.
"""

import numpy as np
from _common import arguments, pyplot, remember, save, size, steps_of

import fastdl as fd


def learn(model, draw, loss_of, steps, rate=5e-3):
    """The loss of every step on fresh sequences; the model in evaluation mode at last."""
    cycle = fd.optim.schedules.one_cycle(steps, rise=0.05)
    losses = list(steps_of(model, draw, loss_of, steps, rate, cycle))
    model.eval()
    return losses


def adding(seed, rng, quick):
    """The mean squared error on 1,000 new sequences."""
    T, steps = (40, 30) if quick else (600, 6000)
    gru = remember(fd.nn.GRU(2, 64, output="last", rng=seed + 1), T)
    model = fd.nn.Sequential(gru, fd.nn.Linear(64, 1, rng=seed + 2))
    losses = learn(model, lambda: fd.datasets.adding(T, 32, rng), fd.mse_loss, steps)
    x, target = fd.datasets.adding(T, 1000, seed + 99)
    return model, losses, float(((model.forward(x) - target) ** 2).mean())


def temporal_order(seed, rng, quick):
    """The share of 1,000 new sequences told rightly."""
    T, steps = (20, 30) if quick else (100, 2000)
    lstm = remember(fd.nn.LSTM(8, 32, output="last", rng=seed + 1), T)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(32, 4, rng=seed + 2))
    losses = learn(model, lambda: fd.datasets.temporal_order(T, 32, rng), fd.softmax_cross_entropy, steps)
    x, target = fd.datasets.temporal_order(T, 1000, seed + 99)
    return model, losses, float((model.forward(x).argmax(-1) == target).mean())


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    figure, axes = pyplot().subplots(1, 2, figsize=(9, 3.5))
    results = {"parameters": 0}
    for ax, (name, task) in zip(axes, {"adding": adding, "temporal order": temporal_order}.items(), strict=True):
        model, losses, results[name] = task(options.seed, np.random.default_rng(options.seed), options.quick)
        results["parameters"] += size(model)
        print(f"{name}, after {len(losses):,} steps: {results[name]:.2g}")
        ax.semilogy(np.convolve(losses, np.full(20, 1 / 20), "valid"))
        ax.set(xlabel="step", ylabel="loss, mean of 20 steps", title=name)
    save(figure, options.out / "long-lags.png")
    return results


if __name__ == "__main__":
    main()
