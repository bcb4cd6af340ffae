"""Many-to-many of different lengths: how is an English word said? Its letters are read into phones.

An encoder-decoder with attention learns from 105,292 words of CMU's pronouncing dictionary; another 12,388 are held
out, among them names that keep to no rule. A word counts as wrong unless all its phones are one of the ways that the
dictionary gives. Published, on splits whose lists are in no package: a word error rate of 0.286 for an encoder-decoder
of two layers of 500 (Yao and Zweig 2015, from memory). Nothing was tuned; the loss was watched on the valid part's
6,194 words. The picture shows which letters are looked at for each phone.
"""

import numpy as np
from _common import arguments, pyplot, save

import fastdl as fd

LETTERS = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letters(words):
    return [np.array([LETTERS.index(letter) for letter in word]) for word in words]


def looked_at(model, word, phones):
    """Weights (phones, letters) of the attention while the model writes the phones."""
    model.eval()
    (source,) = letters([word])
    lengths = np.array([len(source)])
    encoded, state = model.encode(source[:, None], lengths)
    before = np.append(model.boundary, phones)[:, None]
    h, _ = model.decoder.forward(model.target_embedding.forward(before), state, return_state=True)
    return model.attention.forward(h, encoded, lengths, return_weights=True)[1][:-1, 0]


def draw(model, words, said, names, path):
    figure, axes = pyplot().subplots(1, len(words), figsize=(4 * len(words), 4), layout="constrained")
    for ax, word, phones in zip(axes, words, said, strict=True):
        ax.imshow(looked_at(model, word, phones), cmap="Greys", vmin=0, vmax=1)
        ax.set_xticks(range(len(word)), word)
        ax.set_yticks(range(len(phones)), [names[phone] for phone in phones])
        ax.set(xlabel="letter", ylabel="phone")
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.cmudict()
    codes = {phone: code for code, phone in enumerate(data.names)}
    words, ways = data.train
    pairs = [(word, way) for word, all_ways in zip(words, ways, strict=True) for way in all_ways]
    pairs = pairs[::40] if options.quick else pairs
    sources = letters(word for word, _ in pairs)
    targets = [np.array([codes[phone] for phone in way]) for _, way in pairs]
    model = fd.models.Seq2Seq(
        len(LETTERS), len(codes), embedding=64, hidden=64 if options.quick else 256, dropout=0.2, rng=options.seed
    )
    model.fit(sources, targets, epochs=1 if options.quick else 12, progress=not options.quick)

    words, ways = [part[:200] if options.quick else part for part in data.test]
    found = model.predict(letters(words), max_length=40)
    said = [tuple(data.names[code] for code in one) for one in found]
    wrong = np.array([one not in all_ways for one, all_ways in zip(said, ways, strict=True)])
    nearest = [
        min(all_ways, key=lambda way, one=one: fd.metrics.edit_distance(way, one))
        for one, all_ways in zip(said, ways, strict=True)
    ]
    results = {
        "word error rate": float(wrong.mean()),
        "phone error rate": float(fd.metrics.word_error_rate(nearest, said)),
    }
    for word, one, all_ways in list(zip(words, said, ways, strict=True))[:10]:
        print(f"  {word:16} {' '.join(one)}{'' if one in all_ways else '   dictionary: ' + ' '.join(all_ways[0])}")
    print(f"{len(words):,} words held out:", ", ".join(f"{name} {rate:.4f}" for name, rate in results.items()))
    shown = ("KNOWLEDGE", "THOUGHTFUL", "PHYSICS")
    phones = model.predict(letters(shown), max_length=40)
    draw(model, shown, phones, data.names, options.out / "pronunciation.png")
    return results


if __name__ == "__main__":
    main()
