"""The representations as models: what they compute, what they refuse. What they learn is in test_examples.py."""

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)
SOURCES = [RNG.integers(0, 5, length) for length in (4, 1, 6)]
TARGETS = [RNG.integers(0, 4, length) for length in (2, 5, 1)]


def seq2seq(**options):
    model = fd.models.Seq2Seq(5, 4, embedding=6, hidden=8, rng=3, **options)
    model.parameters().data[...] *= 3  # far from linear, so that no gradient is next to nothing
    return model


def batch(boundary=4):
    """As fit makes it: (sources, lengths, tokens before), wanted tokens."""
    S, T, B = 6, 6, 3
    sources, before, wanted = np.zeros((S, B), int), np.zeros((T, B), int), np.full((T, B), -1)
    for b, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        sources[: len(source), b] = source
        before[: len(target) + 1, b] = [boundary, *target]
        wanted[: len(target) + 1, b] = [*target, boundary]
    return (sources, np.array([4, 1, 6]), before), wanted


def gradients(model):
    x, wanted = batch()
    logits = model.forward(x)
    loss, dlogits = fd.softmax_cross_entropy(logits, wanted, ignore_index=-1)
    model.zero_grad()
    model.backward(dlogits)
    model.parameters().settle_gradients()
    return logits, loss, {name: parameter.grad.copy() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_a_decoder_step_by_step_has_the_gradients_of_all_at_once(attention):
    """A ratio below 1 takes single steps, each layer run T times before its backward; here all tokens are forced."""
    logits, loss, expected = gradients(seq2seq(attention=attention))
    got_logits, got_loss, got = gradients(seq2seq(attention=attention, teacher_forcing=1 - 1e-12))
    np.testing.assert_allclose(got_logits, logits, atol=2e-6)
    assert got_loss == pytest.approx(loss, rel=1e-6)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        assert np.abs(gradient).max() > 1e-4, name
        np.testing.assert_allclose(got[name], gradient, atol=2e-6, err_msg=name)


def test_without_teacher_forcing_the_model_reads_what_it_wrote():
    model = seq2seq(teacher_forcing=0.0)
    (sources, lengths, before), _ = batch()
    logits = model.forward((sources, lengths, before))
    own = np.concatenate([before[:1], logits[:-1].argmax(-1)])
    model.teacher_forcing = 1.0
    np.testing.assert_allclose(model.forward((sources, lengths, own)), logits, atol=2e-6)


@pytest.mark.peer
def test_the_encoder_decoder_equals_torch():
    torch = pytest.importorskip("torch")
    model = seq2seq()
    (sources, lengths, before), wanted = batch()
    logits, loss, got = gradients(model)
    state = {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
    layers = torch.nn.ModuleDict(
        {
            "source_embedding": torch.nn.Embedding(5, 6),
            "encoder": torch.nn.LSTM(6, 4, bidirectional=True),
            "target_embedding": torch.nn.Embedding(5, 6),
            "decoder": torch.nn.LSTM(6, 8),
            "output": torch.nn.Sequential(
                torch.nn.Linear(16, 8), torch.nn.Tanh(), torch.nn.Dropout(0), torch.nn.Linear(8, 5)
            ),
        }
    )
    layers.load_state_dict(state)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        layers["source_embedding"](torch.tensor(sources)), torch.tensor(lengths), enforce_sorted=False
    )
    encoded, (h, c) = layers["encoder"](packed)
    encoded, _ = torch.nn.utils.rnn.pad_packed_sequence(encoded)
    first = torch.cat(list(h), 1)[None], torch.cat(list(c), 1)[None]
    states, _ = layers["decoder"](layers["target_embedding"](torch.tensor(before)), first)
    scores = torch.einsum("tbh,sbh->tbs", states, encoded)
    past = torch.arange(6)[None, None] >= torch.tensor(lengths)[None, :, None]
    context = torch.einsum("tbs,sbh->tbh", scores.masked_fill(past, -torch.inf).softmax(-1), encoded)
    result = layers["output"](torch.cat([states, context], 2))
    total = torch.nn.functional.cross_entropy(result.reshape(-1, 5), torch.tensor(wanted).ravel(), ignore_index=-1)
    total.backward()
    np.testing.assert_allclose(logits, result.detach().numpy(), atol=2e-6)
    assert loss == pytest.approx(total.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        theirs = dict(layers.named_parameters())
        gradient = theirs[name].grad.numpy()
        np.testing.assert_allclose(
            got[name].T if parameter.transposed else got[name], gradient, atol=1e-6, err_msg=name
        )


def test_a_beam_finds_what_is_at_least_as_likely():
    model = seq2seq()
    model.fit(SOURCES, TARGETS, epochs=20, batch_size=2, warm_start=True)
    assert not model.training

    def log_p(source, target):
        before, after = np.append(4, target), np.append(target, 4)
        logits = model.forward((source[:, None], np.array([len(source)]), before[:, None]))
        return -fd.softmax_cross_entropy(logits, after[:, None], reduction="sum")[0]

    for source, greedy, wide in zip(
        SOURCES, model.predict(SOURCES, max_length=8), model.predict(SOURCES, max_length=8, width=8), strict=True
    ):
        assert log_p(source, wide) >= log_p(source, greedy) - 1e-5
    alone = [model.predict([source], max_length=8)[0] for source in SOURCES]
    for one, other in zip(alone, model.predict(SOURCES, max_length=8), strict=True):
        np.testing.assert_array_equal(one, other)


def models():
    """Each model with data to fit, and what to ask of it."""
    labels, words = np.array([0, 1, 1]), [np.array([1, 2, 0]), np.array([3]), np.array([2, 2])]
    vectors = RNG.random((3, 4), dtype=np.float32)
    ragged = [RNG.random((length, 2), dtype=np.float32) for length in (3, 1, 5)]
    rows = RNG.integers(0, 3, (3, 4, 2))
    series = RNG.random(30)
    return {
        "Classifier": (lambda: fd.models.Classifier(4, 2, 8, rng=0), (vectors, labels), lambda m: m.predict(vectors)),
        "SequenceClassifier": (
            lambda: fd.models.SequenceClassifier(2, 2, 8, rng=0), (ragged, labels), lambda m: m.predict(ragged)
        ),
        "Forecaster": (lambda: fd.models.Forecaster(5, 8, rng=0), (series,), lambda m: m.predict(series)[5:]),
        "SequenceGenerator": (
            lambda: fd.models.SequenceGenerator(2, 4, 2, 3, 8, rng=0), (labels, rows),
            lambda m: m.generate(labels, rng=0),
        ),
        "Tagger": (
            lambda: fd.models.Tagger(4, 2, 6, 8, rng=0), (words, [w % 2 for w in words]), lambda m: m.predict(words)
        ),
        "Seq2Seq": (seq2seq, (SOURCES, TARGETS), lambda m: m.predict(SOURCES, max_length=5)),
    }  # fmt: skip


@pytest.mark.parametrize("name", models())
def test_models_repeat_with_their_seed_and_keep_nothing_for_backward(name):
    make, data, ask = models()[name]
    results = []
    for _ in range(2):
        model = make()
        history = model.fit(*data, epochs=2, batch_size=2, warm_start=True)  # Seq2Seq has values of its own
        assert len(history["loss"]) == 2
        results.append((history["loss"], ask(model)))
        assert not model.training
        assert all(not module._tape for module in model.modules())
    for one, other in zip(*(np.concatenate([np.ravel(a) for a in (*r[0], *r[1])]) for r in results), strict=True):
        assert one == other


def test_a_sequence_is_read_alone_as_in_a_batch():
    make, (ragged, labels), _ = models()["SequenceClassifier"]
    model = make()
    model.fit(ragged, labels, epochs=1)
    x = np.zeros((5, 3, 2), np.float32)
    for b, one in enumerate(ragged):
        x[: len(one), b] = one
    together = model.forward((x, np.array([3, 1, 5])))
    for b, one in enumerate(ragged):
        alone = model.forward((one[:, None], np.array([len(one)])))[0]
        np.testing.assert_allclose(together[b], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fd.models.Seq2Seq(5, 4, hidden=7), ValueError, "hidden: got 7, expected an even number"),
        (lambda: fd.models.Seq2Seq(5, 4, attention="none"), ValueError, "attention: got 'none'"),
        (lambda: seq2seq().fit(SOURCES, TARGETS[:2]), ValueError, "targets: got 2, expected 3, as many as sources"),
        (lambda: seq2seq().fit([np.array([5])], TARGETS[:1]), ValueError, r"sources\[0\]: got values from 5 to 5"),
        (lambda: seq2seq().predict([np.array([1.5])]), TypeError, r"sources\[0\]: got dtype float64"),
        (lambda: seq2seq().predict([]), ValueError, "sources: got 0 sequences"),
        (lambda: fd.models.Tagger(4, 2).fit(SOURCES[:1], [[0]]), ValueError, r"sentences\[0\]: got values"),
        (lambda: fd.models.Tagger(5, 2).fit(SOURCES[:1], [[0]]), ValueError, r"tags\[0\]: got 1, expected 4, as many"),
        (lambda: fd.models.Forecaster(5).fit(np.ones(5)), ValueError, r"series: got shape \(5,\), expected \(6 or"),
        (lambda: fd.models.Classifier(3, 2).fit(np.ones((4, 2)), [0] * 4), ValueError, r"x: got shape \(4, 2\)"),
        (lambda: fd.models.Classifier(3, 2).fit(np.ones((4, 3)), [0] * 3), ValueError, r"y: got shape \(3,\)"),
        (lambda: fd.models.SequenceGenerator(2, 3, 1, 4).generate([2]), ValueError, "labels: got values from 2 to 2"),
        (lambda: fd.models.SequenceGenerator(2, 3, 1, 4).generate([1], top_p=2), ValueError, "top_p: got 2"),
        (lambda: seq2seq().fit(SOURCES, TARGETS, epochs=0), ValueError, "epochs: got 0, expected at least 1"),
    ],
)  # fmt: skip
def test_models_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
