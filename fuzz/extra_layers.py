"""Recipes of layers, models, training and text (see extra.py)."""

from pathlib import Path
from typing import Any

import numpy as np

import fastdl as fd

from .extra import normals, recipe


def _through(layer: Any, *inputs: Any) -> None:
    """Forward and backward, twice, and what every module has."""
    layer.train()
    for call in (layer, layer.forward):
        y = call(*inputs)
        layer.backward(np.ones_like(y))
    layer.eval()
    layer.forward(*inputs)
    layer.train(True)
    for one in layer.parameters():
        one.data = one.data * 2
        one.grad = np.zeros(one.shape, np.float32)
    layer.load_state_dict(layer.state_dict())
    layer.load_random_state(layer.random_state())
    layer.check_gradients(*inputs, entries=1)
    layer.apply(lambda one: None)


@recipe
def plain_layers() -> None:
    x = normals(4, 2, 3)
    for layer in (fd.nn.Linear(3, 5, rng=0), fd.nn.Dropout(0.3, rng=0),
                  fd.nn.AlphaDropout(rng=0), fd.nn.GaussianDropout(0.2, rng=0), fd.nn.GaussianNoise(0.1, rng=0),
                  fd.nn.DropConnect(fd.nn.Linear(3, 2, rng=0), 0.4, rng=1)):  # fmt: skip
        _through(layer, x)


@recipe
def norms_and_windows() -> None:
    x, lengths = normals(6, 2, 4), np.array([6, 3])
    for layer in (fd.nn.LayerNorm(4), fd.nn.LayerNorm((2, 4)), fd.nn.BatchNorm1d(4),
                  fd.nn.Conv1d(4, 3, 2, padding="causal", rng=0), fd.nn.Conv1d(4, 4, 3, 2, 1, groups=4, rng=0),
                  fd.nn.MaxPool1d(2), fd.nn.AvgPool1d(3, 1, 1), fd.nn.Flatten(), fd.nn.Identity(),
                  fd.nn.Residual(fd.nn.GRU(4, 4, rng=0))):  # fmt: skip
        _through(layer, x)
        if hasattr(layer, "lengths_after"):
            layer.lengths_after(lengths)
    for layer in (fd.nn.BatchNorm1d(4), fd.nn.MaxPool1d(2), fd.nn.Conv1d(4, 3, 2, rng=0),
                  fd.nn.Residual(fd.nn.GRU(4, 4, rng=0))):  # fmt: skip
        layer.forward(x, lengths=lengths)
    layer.forward(x, lengths=lengths, return_state=True)
    fd.nn.Conv1d(4, 3, 2, padding="causal", rng=0).step(x[0])
    fd.layer_norm_backward(x, fd.layer_norm_forward(x, np.ones((2, 4), np.float32))[1])
    fd.batch_norm_backward(x, fd.batch_norm_forward(x, lengths=lengths)[1])


class _List(fd.nn.ModuleList):
    def forward(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        for layer in self:
            x = layer(x)
        return x


class _Dict(fd.nn.ModuleDict):
    def forward(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return self["a"](x) if "a" in self else x


@recipe
def lists_and_dicts() -> None:
    linear = fd.nn.Linear(3, 3, rng=0)
    _List([linear, fd.nn.Tanh()]).check_gradients(normals(4, 3), entries=1)
    _Dict({"a": linear}).check_gradients(normals(4, 3), entries=1)
    layers = [fd.nn.Linear(3, 3, rng=k) for k in range(3)]
    for held in (fd.nn.ModuleList(layers), fd.nn.Sequential(layers)):
        held.append(fd.nn.Tanh())
        held.insert(1, fd.nn.ReLU())
        held.extend([fd.nn.Tanh()])
        held.pop(0)
        held[0] = layers[0]
        held[1:]
        len(held), list(held)
    model = fd.nn.Sequential(fd.nn.Conv1d(3, 4, 2, rng=0), fd.nn.GRU(4, 2, rng=1))
    model.forward(normals(5, 2, 3), lengths=np.array([5, 2]), return_state=True)
    model.forward((normals(5, 2, 3), np.array([5, 2])))
    model.lengths_after(np.array([5, 2]))
    fd.nn.ModuleList(layers).apply(lambda one: None)
    named = fd.nn.ModuleDict({"a": layers[0]})
    named.apply(lambda one: None)
    named.update({"b": layers[1]})
    named["c"] = layers[2]
    named["a"], len(named), list(named), list(named.keys()), list(named.values()), list(named.items())
    named.pop("b")
    named.clear()


@recipe
def activations() -> None:
    x = normals(4, 2, 3)
    for name in fd.nn._activations.__all__:
        _through(getattr(fd.nn, name)(), x)


@recipe
def losses() -> None:
    x, y, weights, lengths = normals(4, 2, 3), normals(4, 2, 3, seed=1), np.ones((4, 2)), np.array([4, 1])
    for loss in (fd.mse_loss, fd.l1_loss, fd.smooth_l1_loss, fd.quantile_loss, fd.poisson_nll_loss,
                 fd.binary_cross_entropy_with_logits):  # fmt: skip
        loss(x, y, "sum", weights=weights[..., None], lengths=lengths)
    fd.binary_cross_entropy_with_logits(x, y, pos_weight=np.ones(3))
    fd.quantile_loss(x, y[..., 0].copy(), quantiles=[0.1, 0.5, 0.9])
    fd.gaussian_nll_loss((x, np.abs(y)), x, weights=weights[..., None], lengths=lengths)
    fd.cosine_embedding_loss((x, y), np.ones((4, 2)), margin=0.5, weights=weights, lengths=lengths)
    fd.kl_div(x, y, log_target=True, weights=weights, lengths=lengths)
    fd.error_to_signal_ratio(x, y, dc=1.0, weights=np.ones((2, 1)), lengths=lengths)
    tags = np.array([[0, 1], [2, 1], [0, 2], [1, 1]])
    for entropy in (fd.softmax_cross_entropy, fd.nll_loss):
        entropy(x, tags, class_weights=[1, 2, 3], weights=weights, lengths=lengths)
    fd.softmax_cross_entropy(x, np.abs(y), label_smoothing=0.1, class_weights=[1, 2, 3], weights=weights)
    W, b = normals(3, 5), normals(5)
    fd.linear_cross_entropy(x, W, b, tags, 1, 0.1, "sum", lengths, weights=weights, out=(W.copy(), b.copy()))
    fd.linear_cross_entropy(x, W, None, tags, class_weights=np.ones(5), gradients=False)
    heads = (
        fd.nn.LinearCrossEntropy(3, 5, label_smoothing=0.1, rng=0),
        fd.nn.LinearCrossEntropy(3, 5, samples=2, ignore_index=1, rng=0),
        fd.nn.AdaptiveLogSoftmaxWithLoss(3, 5, [2, 4], 2.0, True, rng=0),
    )
    for head in heads:
        _, gradient = head.loss(head(x), tags, lengths, weights=weights)
        head.backward(gradient())
        head.predict(head.forward(x))
        head.log_prob(x)
        head.check_gradients(x, entries=1)
        head.apply(lambda one: None)


@recipe
def first_values() -> None:
    for target in (fd.nn.Linear(3, 4, rng=0).weight, normals(4, 3)):
        fd.nn.init.uniform_(target, -1.0, 1.0, rng=0)
        fd.nn.init.kaiming_uniform_(target, 0.1, "fan_out", "leaky_relu", rng=fd.random.Generator(1))
        fd.nn.init.sparse_(target, 0.5, rng=2)
        fd.nn.init.calculate_gain("leaky_relu", 0.2)


@recipe
def zoneout() -> None:
    layer = fd.nn.Zoneout(0.2, rng=0)
    _through(layer, normals(4, 3), normals(4, 3, seed=1))


@recipe
def embeddings() -> None:
    index = np.array([[0, 2], [3, 1]])
    _through(fd.nn.Embedding(5, 3, padding_idx=2, rng=0), index)
    _through(fd.nn.EmbeddingDropout(fd.nn.Embedding(5, 3, rng=0), 5, 0.3, rng=1), index)


@recipe
def attention() -> None:
    lengths = np.array([4, 2])
    _through(fd.nn.DotAttention(), normals(3, 2, 4), normals(4, 2, 4), lengths)
    _through(fd.nn.AdditiveAttention(4, 4, 5, rng=0), normals(3, 2, 4), normals(4, 2, 4), lengths)


def _recurrent(kind: str, **options: Any) -> None:
    layer = getattr(fd.nn, kind)(3, 4, rng=0, **options)
    x, lengths = normals(5, 2, 3), np.array([5, 3])
    y, state = layer.forward(x, lengths=lengths, return_state=True)
    layer.backward(np.ones_like(y), state[:3] if kind == "sLSTM" else state, return_state=True)
    layer.lengths_after(lengths)
    _through(layer, x)
    if not options.get("bidirectional"):
        layer.eval()
        layer.step(normals(2, 3), layer.initial_state(2))
    if kind in ("LSTM", "GRU", "RNN") and not options.keys() & {"layer_norm", "learned_state"}:  # which the layout has
        layer.import_weights("onnx", layer.export_weights("onnx"))


@recipe
def lstm() -> None:
    _recurrent("LSTM")


@recipe
def lstm_with_options() -> None:
    _recurrent("LSTM", num_layers=2, dropout=0.1, bidirectional=True, learned_state=True)
    _recurrent("LSTM", bias=False, init="gers")
    _recurrent(
        "LSTM", layer_norm=True, peepholes=True, zoneout=0.1, input_dropout=0.1, state_dropout=0.1, weight_dropout=0.1
    )
    layer = fd.nn.LSTM(3, 4, proj_size=2, rng=0)
    y = layer.forward(normals(5, 2, 3), return_cells=True)[0]
    layer.backward(np.ones_like(y))


@recipe
def gru() -> None:
    _recurrent("GRU", num_layers=2, reset_after=False)
    _recurrent("GRU", bias="single", init="keras")


@recipe
def gru_last() -> None:
    layer = fd.nn.GRU(3, 4, output="last", batch_first=True, rng=0)
    layer.backward(np.ones_like(layer.forward(normals(2, 5, 3), lengths=[5, 2])))


@recipe
def rnn() -> None:
    _recurrent("RNN", nonlinearity="relu", layer_norm=True)
    _recurrent("RNN")


@recipe
def cells_without_a_product() -> None:
    _recurrent("IndRNN", num_layers=2)
    _recurrent("MinGRU", positive=True)
    _recurrent("MinLSTM", normalized=False)


@recipe
def exponential_gates() -> None:
    _recurrent("sLSTM", heads=2, num_layers=2, dropout=0.1)
    _recurrent("sLSTM", forget_gate="exp", bidirectional=True, init="torch")


@recipe
def chain() -> None:
    model = fd.nn.Sequential(fd.nn.Embedding(5, 3, rng=0), fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 5, rng=0))
    tokens = np.array([[0, 1], [2, 4], [3, 3]])
    _, state = model.forward(tokens, return_state=True)
    model.forward(tokens, state)
    _through(model, tokens)
    len(model)
    model[0]
    list(model)
    fd.nn.monte_carlo(fd.nn.Sequential(fd.nn.Linear(3, 2, rng=0), fd.nn.Dropout(rng=0)), normals(2, 3), 3)


@recipe
def parameters() -> None:
    one, two = fd.nn.Parameter("a", normals(3, 2)), fd.nn.Parameter("b", normals(4), by_rows=True)
    arena = fd.nn.Arena([("a", one), ("b", two)])
    one.claim_grad()
    two.claim_grad(np.array([0, 2]))
    two.written_rows()
    one.grad = normals(3, 2)
    one.data = normals(3, 2)
    arena.renew_gradients()
    arena.settle_gradients()
    arena.is_current()
    len(arena)
    arena[0]


@recipe
def own_module() -> None:
    class Own(fd.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = fd.nn.Parameter("weight", normals(3, 2))
            self.inner = fd.nn.Linear(2, 2, rng=0)

        def forward(self, x: np.ndarray) -> np.ndarray:
            self._tape.append(x)
            return self.inner(x @ self.weight.data)

        def backward(self, dy: np.ndarray) -> np.ndarray:
            dy, x = self.inner.backward(dy), self._tape.pop()
            grad, accumulate = self.weight.claim_grad()
            grad[...] = x.T @ dy + (grad if accumulate else 0)
            return dy @ self.weight.data.T

    _through(Own(), normals(4, 3))
    fd.nn.Module()
    fd.nn.GradientChecks({"x": fd.curvature.check_gradient(lambda x: (x * x).sum(), np.ones(2), np.full(2, 0.5))})


# ---- models
def _fitted(model: Any, *data: Any) -> Any:
    history = model.fit(*data, epochs=1)
    history.to_csv("history.csv")
    return model


@recipe
def classifier() -> None:
    model = _fitted(fd.models.Classifier(3, 2, hidden=4, rng=0), normals(6, 3), np.array([0, 1, 0, 1, 1, 0]))
    model.predict(normals(2, 3))
    _through(model, normals(4, 3))


@recipe
def forecaster() -> None:
    model = _fitted(fd.models.Forecaster(4, 3, rng=0), normals(12))
    model.predict(normals(9))
    _through(model, normals(3, 4))


@recipe
def sequence_classifier() -> None:
    sequences = [normals(4, 3), normals(2, 3), normals(5, 3)]
    model = _fitted(fd.models.SequenceClassifier(3, 2, 4, rng=0), sequences, [0, 1, 1])
    model.predict(sequences)
    _through(model, (normals(4, 2, 3), np.array([4, 2])))


@recipe
def sequence_generator() -> None:
    model = _fitted(fd.models.SequenceGenerator(2, 3, 2, 4, 5, rng=0), np.array([0, 1]), np.zeros((2, 3, 2), np.int64))
    model.generate([1, 0], temperature=0.5, top_k=2, rng=0)
    _through(model, (np.array([0, 1]), np.zeros((3, 2, 2), np.int64)))


@recipe
def tagger() -> None:
    sentences = [np.array([1, 2, 3]), np.array([4])]
    model = _fitted(fd.models.Tagger(5, 3, 4, 4, rng=0), sentences, [np.array([0, 1, 2]), np.array([1])])
    model.predict(sentences)
    _through(model, (np.array([[1, 2], [3, 4]]), np.array([2, 1])))


@recipe
def seq2seq() -> None:
    for attention in ("dot", "additive"):
        model = fd.models.Seq2Seq(5, 4, 3, 4, attention=attention, rng=0)
        sources, lengths = np.array([[1, 2], [3, 4], [0, 1]]), np.array([3, 2])
        _through(model, (sources, lengths, np.array([[4, 4], [1, 2]])))
        encoded, state = model.encode(sources, lengths)
        model.decode(np.array([[4, 4]]), state, encoded, lengths)
        _fitted(model, [np.array([1, 2]), np.array([3])], [np.array([1]), np.array([0, 2])])
        model.predict([np.array([1, 2])], max_length=3, width=2)


@recipe
def characters() -> None:
    vocabulary = fd.text.Vocabulary("abc ")
    model = fd.models.CharLM(vocabulary, 3, 4, 2, 0.1, rng=0)
    for x, _ in model.batches("abc abc abc abc", 2, 2):
        model.backward(np.ones_like(model(x)))
        model.check_gradients(x, entries=1)
        break
    model.apply(lambda one: None)
    model.save("model.safetensors")
    fd.models.CharLM.load("model.safetensors")
    text = model.generate("ab", temperature=0.8, top_k=3, rng=0)
    [next(text) for _ in range(3)]
    batches = fd.text.TextBatches(vocabulary.encode("abc abc abc"), 2, 2)
    len(batches), batches.fingerprint()
    next(batches.iterate(0, 1))
    Path("text.txt").write_text("abc abc")
    fd.text.read_text(["text.txt"])
    fd.text.read_corpus(["text.txt"])
    with open("text.txt", "rb") as file:
        list(fd.text.decoded(file, "text.txt"))
    vocabulary.compact("abc"), vocabulary.indexed("abc")
    fd.text.split_held_out("abc " * 30)


# ---- training
class _Watch(fd.training.Callback):
    """Calls what a user's callback may call of a run."""

    def on_epoch_end(self, run: fd.training.Run) -> None:
        super().on_epoch_end(run)
        run.history.to_csv("history.csv")
        run.history.plot("history.png")
        run.stop()


@recipe
def fitting() -> None:
    model, x, y = fd.nn.Linear(3, 2, rng=0), normals(8, 3), np.arange(8) % 2
    batches = fd.training.ArrayBatches(x, y, 3)
    stopping = fd.training.EarlyStopping(2)
    callbacks = [stopping, fd.training.SaveBest("best.safetensors")]
    optimizer = fd.optim.Adam(model.parameters())
    options: dict[str, Any] = {
        "validation": batches,
        "callbacks": callbacks,
        "checkpoint": "run.safetensors",
        "progress": False,
    }
    fd.training.fit(model, optimizer, batches, epochs=1, max_norm=1.0, accumulate=2, penalties=[fd.L2(0.1)],
                    constraints=[fd.MaxNorm(1.0)], metadata={"note": "x"}, **options)  # fmt: skip
    fd.training.fit(model, optimizer, batches, epochs=2, resume=True, max_norm=1.0, accumulate=2, **options)
    fd.training.evaluate(model, batches)
    for callback in (stopping, fd.training.Callback()):
        callback.load_state_dict(callback.state_dict())
    len(batches)
    next(iter(batches.iterate(0, 1)))


@recipe
def runs() -> None:
    model, x, y = fd.nn.Linear(3, 2, rng=0), normals(8, 3), np.arange(8) % 2
    optimizer = fd.optim.SGD(model.parameters(), 0.1)
    batches, watch = fd.training.ArrayBatches(x, y, 4), fd.training.EarlyStopping()
    run = fd.training.Run(model, optimizer, fd.softmax_cross_entropy, max_norm=None, accumulate=1, penalties=(),
                          constraints=(), callbacks=[watch, _Watch()], carry_state=False)  # fmt: skip
    run.update([(x, y)])
    run.forward(x)
    run.stop()
    run.finish_epoch(0.5)
    for one in (watch, fd.training.SaveBest("best.safetensors"), fd.training.Callback()):
        for moment in (one.on_train_begin, one.on_step_end, one.on_epoch_end, one.on_train_end):
            moment(run)
        one.load_state_dict(one.state_dict())
    text = fd.training.LambdaCallback(on_epoch_end=lambda run: None)
    ends = [fd.training.StopAtTarget(-1.0), fd.training.TimeLimit(1e6)]
    for one in (text, *ends, fd.training.CSVLogger("log.csv"), fd.training.TensorBoard("events")):
        for moment in (one.on_train_begin, one.on_step_end, one.on_epoch_end, one.on_train_end):
            moment(run)
    fd.training.fit(model, optimizer, batches, callbacks=[_Watch()], progress=False).plot("history.png")


@recipe
def sampled_text() -> None:
    model = fd.models.CharLM(fd.text.Vocabulary("ab "), 3, 4, rng=0)
    run = fd.training.Run(model, fd.optim.SGD(model.parameters()), fd.softmax_cross_entropy, max_norm=None,
                          accumulate=1, penalties=(), constraints=(), callbacks=(), carry_state=False)  # fmt: skip
    sample = fd.training.SampleText("a", 5, 0.7, 1, show=len)
    for moment in (sample.on_train_begin, sample.on_step_end, sample.on_epoch_end, sample.on_train_end):
        moment(run)


@recipe
def examples_of_data() -> None:
    x, y = normals(6, 4, 3), np.arange(24).reshape(6, 4) % 2
    data = fd.training.Examples(x, y, 4, time_first=True, sample_weight=np.ones(6), class_weight={0: 2.0})
    len(data)
    next(iter(data.iterate(0, 1)))
    data.fingerprint()
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    average = fd.optim.ExponentialAverage(model.parameters())
    fd.training.fit(model, fd.optim.SGD(model.parameters()), (list(x), list(y)), batch_size=4, shuffle=False, seed=1,
                    validation=(x, y), metrics=["accuracy"], monitor="accuracy", restore_best=True, average=average,
                    class_weight="balanced", progress=False)  # fmt: skip
    fd.training.evaluate(model, (x, y))


@recipe
def files_of_models() -> None:
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    fd.save(model, "model.safetensors", metadata={"by": "me"})
    fd.load("model.safetensors", custom=[])
    fd.saving.info("model.safetensors")


@recipe
def augmented() -> None:
    batches = fd.training.ArrayBatches(normals(4, 3), np.arange(4), batch_size=2)
    changed = fd.training.Augmented(batches, lambda x, y, rng: (x * 2, y), seed=1)
    list(changed.iterate(1, 1))
