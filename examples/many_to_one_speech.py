"""Many-to-one: which of nine men spoke? JapaneseVowels, 12 cepstral coefficients a frame.

An LSTM reads 7 to 29 frames in both directions and names the speaker. Trained on 270 utterances, tested on the other
370 of the published split. The picture counts who was taken for whom.
"""

from _common import arguments, pyplot, save, size

import fastdl as fd


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.japanese_vowels()
    model = fd.models.SequenceClassifier(
        12, 9, hidden=128, bidirectional=True, noise=0.1, dropout=0.5, rng=options.seed
    )
    model.fit(*data.train, epochs=5 if options.quick else 60, learning_rate=3e-3)
    x, y = data.test
    found = model.predict(x)
    accuracy = float((found == y).mean())
    print(f"speakers named rightly: {accuracy:.4f} of {len(x)}")
    figure, axes = pyplot().subplots(figsize=(6, 5))
    fd.plots.confusion_matrix(fd.metrics.confusion_matrix(y, found), range(1, 10), ax=axes)
    save(figure, options.out / "speakers.png")
    return {"accuracy": accuracy, "parameters": size(model)}


if __name__ == "__main__":
    main()
