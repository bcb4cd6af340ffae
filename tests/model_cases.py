"""Every model of fastdl.models, with data of its kind; who adds a class adds it here."""

import numpy as np

import fastdl as fd

RNG = np.random.default_rng(3)
LABELS = np.array([0, 1, 1, 0])
VECTORS = RNG.random((4, 3), dtype=np.float32)
RAGGED = [RNG.random((length, 2), dtype=np.float32) for length in (3, 1, 5, 2)]
WORDS = [np.array(one) for one in ([1, 2, 0], [3], [2, 2], [0, 3, 1, 1])]
SERIES = 1000 + 50 * np.sin(np.arange(30) / 3)
TEXT = "the cat sat on the mat. " * 6


class Case:
    """How a model is made, trained by its own fit and by training.fit, and asked for numbers."""

    def __init__(self, make, fit, batches, loss, ask, options=None):
        self.make, self.fit, self.batches, self.loss, self.ask = make, fit, batches, loss, ask
        self.options = options or {}

    def train(self, model, optimizer=None, **options):
        """By training.fit, on the same batches every epoch."""
        optimizer = optimizer or fd.optim.Adam(model.parameters(), lr=0.01)
        return fd.training.fit(
            model, optimizer, self.batches(model), loss=self.loss, progress=False, **(self.options | options)
        )


def ignoring(logits, targets):
    return fd.softmax_cross_entropy(logits, targets, ignore_index=-1)


def padded(arrays, fill=0):
    batch = np.full((max(map(len, arrays)), len(arrays), *arrays[0].shape[1:]), fill, arrays[0].dtype)
    for b, one in enumerate(arrays):
        batch[: len(one), b] = one
    return batch, np.array([len(one) for one in arrays])


def seq2seq_batches(model):
    before, _ = padded([np.append(model.boundary, one) for one in WORDS])
    after, _ = padded([np.append(one, model.boundary) for one in WORDS], -1)
    return [((*padded(WORDS), before), after)]


def rows():
    return RNG.integers(0, 3, (4, 4, 2))


ROWS = rows()


def generator_batches(model):
    wanted = np.ascontiguousarray(ROWS.swapaxes(0, 1))
    return [((LABELS, np.concatenate([np.zeros_like(wanted[:1]), wanted[:-1]])), wanted)]


def write(model):
    letters = model.generate("the", rng=5)
    return np.array([ord(next(letters)) for _ in range(20)])


def flat(arrays):
    return np.concatenate([np.ravel(one) for one in arrays])


CASES = {
    "CharLM": Case(
        lambda: fd.models.CharLM(fd.text.Vocabulary(TEXT), 4, 6, layers=2, dropout=0.2, rng=1),
        lambda m, **options: m.fit(TEXT, **({"seq_len": 8, "batch_size": 3} | options)),
        lambda m: m.batches(TEXT, 8, 3),
        fd.softmax_cross_entropy,
        write,
        {"carry_state": True},
    ),
    "Classifier": Case(
        lambda: fd.models.Classifier(3, 2, 6, noise=0.1, rng=1),
        lambda m, **options: m.fit(VECTORS, LABELS, **options),
        lambda m: [(VECTORS, LABELS)],
        fd.softmax_cross_entropy,
        lambda m: m.predict(VECTORS),
    ),
    "Forecaster": Case(
        lambda: fd.models.Forecaster(5, 6, rng=1),
        lambda m, **options: m.fit(SERIES, **options),
        lambda m: [(VECTORS[:, [0, 1, 2, 0, 1]], VECTORS[:, :1])],
        fd.mse_loss,
        lambda m: m.predict(SERIES)[5:],
    ),
    "Seq2Seq": Case(
        lambda: fd.models.Seq2Seq(4, 4, embedding=4, hidden=6, teacher_forcing=0.5, dropout=0.2, rng=1),
        lambda m, **options: m.fit(WORDS, WORDS, **options),
        seq2seq_batches,
        ignoring,
        lambda m: flat(m.predict(WORDS, max_length=5)),
    ),
    "SequenceClassifier": Case(
        lambda: fd.models.SequenceClassifier(2, 2, 6, noise=0.1, rng=1),
        lambda m, **options: m.fit(RAGGED, LABELS, **options),
        lambda m: [(padded(RAGGED), LABELS)],
        fd.softmax_cross_entropy,
        lambda m: m.predict(RAGGED),
    ),
    "SequenceGenerator": Case(
        lambda: fd.models.SequenceGenerator(2, 4, 2, 3, 6, rng=1),
        lambda m, **options: m.fit(LABELS, ROWS, **options),
        generator_batches,
        fd.softmax_cross_entropy,
        lambda m: m.generate(LABELS, rng=3),
    ),
    "Tagger": Case(
        lambda: fd.models.Tagger(4, 3, 4, 6, unknown=0.3, rng=1),
        lambda m, **options: m.fit(WORDS, [one % 3 for one in WORDS], **options),
        lambda m: [(padded(WORDS), padded([one % 3 for one in WORDS], -1)[0])],
        ignoring,
        lambda m: flat(m.predict(WORDS)),
    ),
}
assert CASES.keys() == set(fd.models.__all__), "a model without a case"


def same(one, other):
    """Whether two models have the same arrays, bit for bit."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
