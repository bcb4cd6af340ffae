"""Many-to-many, synchronised: the part of speech of every word of the Brown corpus, by what surrounds it.

An LSTM reads a sentence both ways. Of each word it sees which one it is, its last letters, its first ones, and whether
it has capitals, digits or hyphens: that is what tells the class of a word never seen. Five folds of 57,340 sentences,
1,161,192 words; published for the twelve universal tags and five folds: 0.9667, a bidirectional LSTM of words
(pranavphoenix/BiLSTM-POS-Tagging). Settings were chosen on a tenth of the first fold's training sentences. The picture
is the confusion matrix.
"""

from collections import Counter

import numpy as np
from _common import arguments, pyplot, save

import fastdl as fd

UNKNOWN, FOLDS, EPOCHS, WIDTHS = 0, 5, 2, (64, 32, 16, 8, 16, 8)


def features(word):
    """What is seen of a word: itself, its last letters, its first ones, its form."""
    low = word.lower()
    marks = word[:1].isupper(), word[1:].isupper(), any(map(str.isdigit, word)), "-" in word, word.isalpha()
    return word, low[-3:], low[-2:], low[-1:], low[:3], marks


def known_in(sentences):
    """For each feature the codes of those that are there at least twice; UNKNOWN stands for all others."""
    columns = zip(*(features(word) for words in sentences for word in words), strict=True)
    frequent = [[one for one, n in Counter(column).items() if n > 1] for column in columns]
    return [{one: code for code, one in enumerate(some, UNKNOWN + 1)} for some in frequent]


def encoded(sentences, known):
    kinds = {word for words in sentences for word in words}
    rows = {word: [some.get(one, UNKNOWN) for some, one in zip(known, features(word), strict=True)] for word in kinds}
    return [np.array([rows[word] for word in words]) for words in sentences]


class Tagger(fd.nn.Module):
    """Logits (T, B, tags) of padded sentences: pairs of features (T, B, 6) and lengths (B,)."""

    def __init__(self, sizes, tags, rng):
        super().__init__()
        tables = [fd.nn.Embedding(size, width, rng=rng) for size, width in zip(sizes, WIDTHS, strict=True)]
        self.tables, self.rng = fd.nn.ModuleList(tables), rng
        self.drop, self.drop_states = fd.nn.Dropout(0.2, rng=rng), fd.nn.Dropout(0.3, rng=rng)
        self.lstm = fd.nn.LSTM(sum(WIDTHS), 96, bidirectional=True, rng=rng)
        self.linear = fd.nn.Linear(192, tags, rng=rng)

    def forward(self, x):
        codes, lengths = x
        if self.training:  # some words are hidden, so that their form and their neighbours have to tell
            hidden = self.rng.uniform(size=codes.shape[:2]) < 0.1
            codes = np.concatenate([np.where(hidden, UNKNOWN, codes[..., 0])[..., None], codes[..., 1:]], -1)
        seen = np.concatenate([table(codes[..., i]) for i, table in enumerate(self.tables)], -1)
        return self.linear(self.drop_states(self.lstm(self.drop(seen), lengths=lengths)))


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.brown_tags()
    words, _, tags = (np.array(column, object)[:: 100 if options.quick else 1] for column in data.all)
    fold = np.random.default_rng(options.seed).permutation(len(words)) % FOLDS
    wanted, found, shares = [], [], []
    for k in range(1 if options.quick else FOLDS):
        seed, known = options.seed + k, known_in(words[fold != k])
        model = Tagger([len(some) + 1 for some in known], len(data.names), fd.random.Generator(seed))
        optimizer = fd.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
        x, y = encoded(words[fold != k], known), list(tags[fold != k])
        batches = fd.training.Examples(x, y, batch_size=64, seed=seed, time_first=True)
        schedule = fd.optim.schedules.one_cycle(EPOCHS * len(batches))
        fd.training.fit(model, optimizer, batches, epochs=EPOCHS, schedule=schedule, max_norm=1.0, progress=False)
        logits = fd.training.predict(model, encoded(words[fold == k], known))
        found.append(np.concatenate([row.argmax(-1) for row in logits]))
        wanted.append(np.concatenate(tags[fold == k]))
        shares.append(float((found[-1] == wanted[-1]).mean()))
    results = {"accuracy": float(np.mean(shares)), "lowest fold": min(shares)}
    print(f"{sum(map(len, found)):,} words, tagged rightly: {results['accuracy']:.4f}, folds {np.round(shares, 4)}")
    matrix = fd.metrics.confusion_matrix(*map(np.concatenate, (wanted, found)), labels=range(len(data.names)))
    figure, ax = pyplot().subplots(figsize=(6, 5))
    fd.plots.confusion_matrix(matrix, data.names, ax=ax)
    save(figure, options.out / "parts-of-speech.png")
    return results


if __name__ == "__main__":
    main()
