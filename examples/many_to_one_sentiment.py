"""Many-to-one: is a sentence of a film review negative, neutral or positive? Twenty people rated each.

Word vectors, an LSTM in both directions, and the mean of its states over time; the mean of five such models answers.
Three words in ten are hidden in training. Half of the sentences to train on, half to test, as in the paper (Hutto and
Gilbert 2014), whose naive Bayes reaches an F1 of 0.75; what ours reaches on this half is printed too. Settings were
chosen on 800 sentences of the training half. The picture is the confusion matrix.
"""

import re
from collections import Counter

import numpy as np
from _common import arguments, pyplot, save, size

import fastdl as fd

RARE = 1  # words that are seen once or never; 0 fills up
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[!?.,;:]")


def encoded(texts, known):
    return [np.array([known.get(word, RARE) for word in WORD.findall(text.lower())] or [RARE]) for text in texts]


def naive_bayes(sentences, y, test, words):
    """Classes by which words are there, each word's probability smoothed by one."""
    seen = np.ones((3, words))
    for codes, label in zip(sentences, y, strict=True):
        np.add.at(seen[label], codes, 1)
    scores = np.log(seen / seen.sum(1, keepdims=True))
    prior = np.log(np.bincount(y, minlength=3) / len(y))
    return np.array([(scores[:, codes].sum(1) + prior).argmax() for codes in test])


def hiding(x, y, rng):
    """Three words in ten replaced by RARE, others each epoch."""
    codes, lengths = x
    return (np.where(rng.uniform(size=codes.shape) < 0.3, RARE, codes), lengths), y


class Reader(fd.nn.Module):
    """Logits (B, 3) of padded sentences: pairs of codes (T, B) and lengths (B,)."""

    def __init__(self, words, rng):
        super().__init__()
        self.embed = fd.nn.Embedding(words, 128, rng=rng)
        self.drop = fd.nn.Dropout(0.5, rng=rng)
        self.lstm = fd.nn.LSTM(128, 64, bidirectional=True, rng=rng)
        self.linear = fd.nn.Linear(128, 3, rng=rng)

    def forward(self, x):
        codes, lengths = x
        h = self.lstm(self.drop(self.embed(codes)), lengths=lengths)
        inside = (np.arange(len(codes))[:, None] < lengths)[..., None].astype(np.float32)
        return self.linear((h * inside).sum(0) / lengths[:, None].astype(np.float32))


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.sentiment("movies", seed=options.seed)
    (texts, _, y), (test_texts, _, wanted) = data.train, data.test
    counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
    known = {word: code for code, word in enumerate((w for w, n in counts.items() if n > 1), RARE + 1)}
    words = len(known) + RARE + 1
    x, test = (encoded(some, known) for some in (texts, test_texts))
    logits = np.zeros((len(test), 3))
    for seed in range(options.seed, options.seed + (1 if options.quick else 5)):
        model = Reader(words, seed)
        optimizer = fd.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        batches = fd.training.Examples(x, y, batch_size=32, seed=seed, time_first=True)
        batches = fd.training.Augmented(batches, hiding, seed)
        fd.training.fit(model, optimizer, batches, epochs=1 if options.quick else 10, max_norm=1.0, progress=False)
        logits += fd.log_softmax(fd.training.predict(model, test))
    found = logits.argmax(1)
    answers = {"F1": found, "naive Bayes": naive_bayes(x, y, test, words)}
    results = {name: float(fd.metrics.f1_score(wanted, one, average="weighted")) for name, one in answers.items()}
    print(f"F1 on {len(test):,} sentences: LSTM {results['F1']:.4f}, naive Bayes {results['naive Bayes']:.4f}")
    figure, axes = pyplot().subplots(figsize=(5, 4))
    fd.plots.confusion_matrix(fd.metrics.confusion_matrix(wanted, found, labels=range(3)), data.names, ax=axes)
    save(figure, options.out / "sentiment.png")
    return results | {"parameters": size(model)}


if __name__ == "__main__":
    main()
