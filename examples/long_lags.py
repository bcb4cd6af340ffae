"""Three tasks that only a memory solves, with data made on the spot: adding, temporal order, copying.

Adding (Hochreiter and Schmidhuber 1997): of T = 400 pairs (number, mark), add the two marked numbers; solved below a
mean squared error of 0.01 (always answering 1 gives 0.167). Temporal order: which of X and Y came first and second,
among 100 distractors. Copying: repeat 8 symbols after a lag of T = 20.
"""

import numpy as np
from _common import arguments

import fastdl as fd


def remember(layer, T):
    """Forget gates that begin with lags spread up to T (Tallec and Ollivier 2018)."""
    H, lags = layer.hidden_size, np.random.default_rng(0).uniform(1, T - 1, layer.hidden_size)
    bias = layer.bias_ih_l0.data
    bias[:H], bias[H : 2 * H] = -np.log(lags), np.log(lags)
    layer.bias_hh_l0.data[: 2 * H] = 0


def train(model, draw, loss_of, goal, steps, rate, every=100):
    """Steps of Adam until the mean loss of `every` steps is below the goal; that mean, and the steps taken."""
    optimizer, losses = fd.optim.Adam(model.parameters(), lr=rate), []
    for step in range(1, steps + 1):
        x, target = draw()
        loss, gradient = loss_of(model.forward(x), target)
        model.backward(gradient)
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss)
        if step % every == 0 and np.mean(losses[-every:]) < goal:
            break
    return float(np.mean(losses[-every:])), step


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    seed, rng = options.seed, np.random.default_rng(options.seed)
    quick = options.quick
    results = {}

    T = 40 if quick else 400
    lstm = fd.nn.LSTM(2, 64, output="last", rng=seed + 1)
    remember(lstm, T)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(64, 1, rng=seed + 2))
    _, steps = train(model, lambda: fd.datasets.adding(T, 32, rng), fd.mse_loss, 0.008, 30 if quick else 20_000, 2e-3)
    model.eval()
    x, target = fd.datasets.adding(T, 1000, seed + 99)
    results["adding"] = float(((model.forward(x) - target) ** 2).mean())
    print(f"adding, T = {T}: mean squared error {results['adding']:.4f} on 1,000 new sequences after {steps:,} steps")

    T = 20 if quick else 100
    lstm = fd.nn.LSTM(8, 32, output="last", rng=seed + 1)
    remember(lstm, T)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(32, 4, rng=seed + 2))
    _, steps = train(
        model,
        lambda: fd.datasets.temporal_order(T, 32, rng),
        fd.softmax_cross_entropy,
        0.02,
        30 if quick else 10_000,
        3e-3,
    )
    model.eval()
    x, target = fd.datasets.temporal_order(T, 1000, seed + 99)
    results["temporal order"] = float((model.forward(x).argmax(-1) == target).mean())
    print(f"temporal order, T = {T}: {results['temporal order']:.3f} right after {steps:,} steps")

    T = 20
    lstm = fd.nn.LSTM(10, 64 if quick else 128, rng=seed + 1)
    remember(lstm, T + 8)
    model = fd.nn.Sequential(lstm, fd.nn.Linear(lstm.hidden_size, 8, rng=seed + 2))

    def recalled(y, told):
        loss, gradient = fd.softmax_cross_entropy(np.ascontiguousarray(y[-len(told) :]), told)
        whole = np.zeros_like(y)
        whole[-len(told) :] = gradient
        return loss, whole

    _, steps = train(model, lambda: fd.datasets.copying(T, 32, rng), recalled, 0.03, 30 if quick else 7_000, 3e-3)
    model.eval()
    x, told = fd.datasets.copying(T, 1000, seed + 99)
    results["copying"] = float((model.forward(x)[-8:].argmax(-1) == told).mean())
    print(f"copying, T = {T}: {results['copying']:.3f} of the symbols right after {steps:,} steps (chance 1/8)")
    return results


if __name__ == "__main__":
    main()
