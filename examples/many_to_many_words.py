"""Many-to-many, synchronised: a language model of words, which says what word comes next.

The Brown corpus in Bengio's split: 800,000 words to train on, 200,000 to choose by, 161,192 to test; 16,383 kinds of
words. His neural network has a test perplexity of 252, his smoothed trigram 336 (Bengio et al. 2003, from memory; on a
slightly other edition). Most of the work is in the softmax over all words. So each step sees the words that come and
2,000 others alone (sampled softmax, --head sampled); exact softmax in blocks and adaptive softmax are the other heads.
Measured is always exactly. The word vectors are the head's weights, too; the adaptive head has its own. The heads
were compared on 16,000 of the 200,000 words. The picture is the learning curve, on 40,000 of them.
"""

import time

import numpy as np
from _common import arguments, pyplot, save

import fastdl as fd

STEPS, SEQUENCES = 32, 32


def windows(words):
    """Successive windows (T, B) of sequences side by side: inputs, and the words that follow."""
    length = (len(words) - 1) // SEQUENCES
    x, y = (words[at : at + SEQUENCES * length].reshape(SEQUENCES, length).T for at in (0, 1))
    return [(x[t : t + STEPS], y[t : t + STEPS]) for t in range(0, length, STEPS)]


def head_of(kind, width, vocabulary, words, rng):
    if kind == "adaptive":
        return fd.nn.AdaptiveLogSoftmaxWithLoss(width, vocabulary, [2000, 6000], rng=rng)
    samples = min(2000, vocabulary) if kind == "sampled" else None
    return fd.nn.LinearCrossEntropy(width, vocabulary, tied=words, samples=samples, rng=rng)


def model_of(kind, vocabulary, width, rng):
    words = fd.nn.Embedding(vocabulary, width, rng=rng)
    fd.nn.init.uniform_(words.weight, -0.1, 0.1, rng=rng)
    return fd.nn.Sequential(
        words,
        fd.nn.Dropout(0.4, rng=rng),
        fd.nn.LSTM(width, width, rng=rng),
        fd.nn.Dropout(0.4, rng=rng),
        head_of(kind, width, vocabulary, words, rng),
    )


def main(argv=None):
    parser = arguments(__doc__)
    parser.add_argument("--head", choices=("sampled", "adaptive", "exact"), default="sampled", help="(%(default)s)")
    parser.add_argument("--width", type=int, default=256, help="of vectors and states (%(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="(%(default)s)")
    options = parser.parse_args(argv)
    data = fd.datasets.brown_words(vocabulary=500 if options.quick else 16383)
    train, valid, test = (part[0][: 20_000 if options.quick else None] for part in (data.train, data.valid, data.test))
    width, epochs = (64, 1) if options.quick else (options.width, options.epochs)
    model = model_of(options.head, len(data.names), width, fd.random.Generator(options.seed))
    batches, head = windows(train), model[-1]
    if options.head != "adaptive":  # begins with how often each word is there
        head.linear.bias.data = np.log((np.bincount(train, minlength=len(data.names)) + 0.5) / len(train))
    optimizer = fd.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    began = time.perf_counter()
    history = fd.training.fit(
        model, optimizer, batches, loss=head.loss, epochs=epochs, carry_state=True, validation=windows(valid[:40_000]),
        schedule=fd.optim.schedules.one_cycle(epochs * len(batches)), max_norm=1.0, progress=not options.quick,
        unit="words",
    )  # fmt: skip
    speed = epochs * len(train) / (time.perf_counter() - began)
    perplexity = {
        name: float(np.exp(fd.training.evaluate(model, windows(part), loss=head.loss, carry_state=True)))
        for name, part in (("perplexity", test), ("perplexity on the valid part", valid))
    }
    print(f"perplexity of {len(test):,} words: {perplexity['perplexity']:.1f}; {speed:,.0f} words a second in training")
    figure, ax = pyplot().subplots(figsize=(5, 4), layout="constrained")
    ax.plot(np.exp(history["validation_loss"]), "o-", label=f"{options.head} softmax")
    ax.axhline(252, color="grey", linestyle=":", label="Bengio et al. 2003, test part")
    ax.set(xlabel="epoch", ylabel="perplexity, valid part", yscale="log")
    ax.legend()
    save(figure, options.out / "words.png")
    return {**perplexity, "words a second": speed}


if __name__ == "__main__":
    main()
