"""The fit loop: what a step is, what an epoch records, and how a run ends."""

import math
import signal
import sys
import threading

import numpy as np
import pytest

import fastdl as fd
from fastdl.training import ArrayBatches, Callback, EarlyStopping, SaveBest, evaluate, fit
from fastdl.training import _progress as progress_module
from fastdl.training._interruption import Interruption


def linear_data(count=24, seed=0):
    rng = fd.random.Generator(seed)
    x = rng.uniform(-1, 1, (count, 3))
    return x, x @ np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]], np.float32) + np.float32(0.25)


def linear_run(batches, epochs=2, lr=0.05, **options):
    model = fd.nn.Linear(3, 2, rng=1)
    optimizer = fd.optim.SGD(model.parameters(), lr=lr)
    options = {"loss": fd.mse_loss, "progress": False} | options
    return model, fit(model, optimizer, batches, epochs=epochs, **options)


def text_data(length=700, batch_size=3, seq_len=7):
    return fd.text.TextBatches(fd.random.Generator(5).integers(0, 6, length), seq_len, batch_size)


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---- a step -----------------------------------------------------------------------------------------
def test_a_step_is_forward_backward_clip_update():
    x, y = linear_data()
    model, history = linear_run([(x, y)], epochs=1, max_norm=0.3)
    ours = fd.nn.Linear(3, 2, rng=1)
    error = x @ ours.weight.data + ours.bias.data - y
    d_weight, d_bias = x.T @ error * (2 / error.size), error.sum(0) * (2 / error.size)
    norm = math.sqrt((d_weight**2).sum() + (d_bias**2).sum())
    assert norm > 0.3
    scale = 0.05 * 0.3 / (norm + 1e-6)
    np.testing.assert_allclose(model.weight.data, ours.weight.data - scale * d_weight, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.bias.data, ours.bias.data - scale * d_bias, rtol=1e-5, atol=1e-7)
    assert history.losses == pytest.approx([(error**2).mean()], rel=1e-5)


def test_accumulating_batches_of_unequal_size_is_one_large_batch():
    x, y = linear_data(20)
    pieces = [(x[:3], y[:3]), (x[3:9], y[3:9]), (x[9:], y[9:])]
    one, large = linear_run([(x, y)], epochs=3)
    other, small = linear_run(pieces, epochs=3, accumulate=3)
    np.testing.assert_allclose(other.parameters().data, one.parameters().data, rtol=1e-5, atol=1e-7)
    assert small.losses == pytest.approx(large.losses, rel=1e-5)
    assert small["step"] == [1, 2, 3]


def test_a_last_short_group_is_a_step_too():
    x, y = linear_data(20)
    _, history = linear_run(ArrayBatches(x, y, 4), epochs=2, accumulate=3)
    assert history["step"] == [2, 4]
    assert history["tokens"] == [40, 80]


def test_penalties_add_their_gradient_and_are_recorded():
    class Half:
        """(1/2) |w|^2, gradient w."""

        def add(self, parameters):
            parameters.settle_gradients()
            parameters.grad += parameters.data
            return 0.5 * float((parameters.data.astype(np.float64) ** 2).sum())

    x, y = linear_data()
    start = fd.nn.Linear(3, 2, rng=1).parameters().data.astype(np.float64)
    plain, _ = linear_run([(x, y)], epochs=1)
    model, history = linear_run([(x, y)], epochs=1, penalties=[Half()])
    np.testing.assert_allclose(model.parameters().data, plain.parameters().data - 0.05 * start, atol=1e-6)
    assert history["penalty"] == pytest.approx([0.5 * (start**2).sum()], rel=1e-6)


def test_the_state_is_carried_through_the_windows_and_not_through_the_epochs():
    seen = []

    class Counter(fd.nn.Module):
        """Counts the windows in its state."""

        def __init__(self):
            super().__init__()
            self.weight = fd.nn.Parameter("weight", np.ones(1, np.float32))

        def forward(self, x, state=None, *, return_state=False):
            seen.append((self.training, state))
            return x, 1 if state is None else state + 1

        def backward(self, dy):
            self.weight.grad = np.zeros(1, np.float32)

    def loss(y, target):
        return 1.0, y

    model = Counter()
    windows = [(np.ones((2, 2), np.float32), np.ones((2, 2), np.int64))] * 3
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    fit(
        model,
        optimizer,
        windows,
        loss=loss,
        epochs=2,
        validation=windows[:2],
        carry_state=True,
        progress=False,
    )
    epoch = [(True, None), (True, 1), (True, 2), (False, None), (False, 1)]
    assert seen == epoch * 2
    assert model.training


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_parameters():
    x, y = linear_data()
    model = fd.nn.Linear(3, 2, rng=1)
    before = model.parameters().data.copy()
    y[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="became nan at step 1"):
        fit(
            model,
            fd.optim.SGD(model.parameters(), lr=0.1),
            [(x, y)],
            loss=fd.mse_loss,
            progress=False,
        )
    assert np.array_equal(model.parameters().data, before)


@pytest.mark.peer
def test_the_learning_curve_is_pytorchs():
    """The default run of `fastdl train text`, its first 50 steps, from the same weights."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    learnt, _ = fd.text.split_held_out(fd.text.default_corpus())
    model = fd.models.CharLM(fd.text.Vocabulary(learnt), rng=0)
    data = list(model.batches(learnt))[:50]
    codes = len(model.vocabulary)
    layers = {
        "embedding": torch.nn.Embedding(codes, 64),
        "lstm": torch.nn.LSTM(64, 256),
        "linear": torch.nn.Linear(256, codes),
    }
    theirs = torch.nn.ModuleDict(layers)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    optimizer = torch.optim.Adam(theirs.parameters(), lr=2e-3)
    losses, state = [], None
    for x, y in data:
        h, state = layers["lstm"](layers["embedding"](torch.from_numpy(x)), state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(layers["linear"](h).flatten(0, 1), torch.from_numpy(y).flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    ours = fd.optim.Adam(model.parameters(), lr=2e-3)
    history = fit(model, ours, data, max_norm=1.0, carry_state=True, progress=False)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-5)


# ---- epochs and history -----------------------------------------------------------------------------
def test_history_has_the_epochs_means_and_validation():
    x, y = linear_data(10)
    data = ArrayBatches(x, y, 4, shuffle=False)
    model, history = linear_run(data, epochs=2, validation=[(x[:5], y[:5]), (x[5:], y[5:])])
    first, second, third = history.losses[:3]
    assert history["loss"][0] == pytest.approx((4 * first + 4 * second + 2 * third) / 10)
    assert history["epoch"] == [1, 2]
    assert history["validation_loss"][-1] == pytest.approx(evaluate(model, [(x, y)], loss=fd.mse_loss), rel=1e-5)
    assert history["validation_loss"][1] < history["validation_loss"][0]
    assert 0 < history["seconds"][0] < history["seconds"][1]
    with pytest.raises(ValueError, match="column: got 'lr'"):
        history["lr"]


def test_history_as_csv_and_picture(tmp_path):
    x, y = linear_data()
    _, history = linear_run(ArrayBatches(x, y, 8), epochs=2)
    history.to_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,loss,validation_loss,penalty,learning_rate,gradient_norm,tokens,seconds"
    assert lines[1].split(",")[:4] == ["1", "3", repr(history["loss"][0]), ""]
    pytest.importorskip("matplotlib")
    history.plot(tmp_path / "curve.png", scale=2.0, label="bits")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.compiled_only("the bits of any number of threads")
def test_the_same_seed_gives_the_same_run_on_any_number_of_threads():
    ends = []
    for threads in (1, 2, 3, 8):
        fd.set_num_threads(threads)
        model = fd.nn.Sequential(fd.nn.Embedding(6, 5, rng=0), fd.nn.LSTM(5, 9, rng=1), fd.nn.Linear(9, 6, rng=2))
        optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        history = fit(model, optimizer, text_data(), epochs=2, max_norm=1.0, carry_state=True, progress=False)
        ends.append((model.parameters().data.tobytes(), history.losses))
    assert all(end == ends[0] for end in ends)


# ---- batches ----------------------------------------------------------------------------------------
def test_array_batches_cover_the_data_in_another_order_each_epoch():
    x = np.arange(23)
    batches = ArrayBatches(x, -x, 5, seed=3)
    orders = [np.concatenate([x for x, _ in batches.iterate(epoch, 0)]) for epoch in (0, 0, 1)]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert all(np.array_equal(x, -y) for x, y in batches)
    assert len(batches) == len(list(batches)) == 5
    rest = np.concatenate([x for x, _ in batches.iterate(1, 3)])
    assert np.array_equal(rest, orders[2][15:])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [1, 2]}, TypeError, "x: got list"),
        ({"x": np.zeros((0, 2))}, ValueError, "x: got shape"),
        ({"y": np.zeros(3)}, ValueError, "y: got 3 examples, expected 4"),
        ({"batch_size": 0}, ValueError, "batch_size: got 0"),
        ({"seed": -1}, ValueError, "seed: got -1"),
    ],
)
def test_array_batches_refuse(change, error, message):
    given = {"x": np.zeros((4, 2)), "y": np.zeros(4), "batch_size": 2} | change
    with pytest.raises(error, match=message):
        ArrayBatches(given.pop("x"), given.pop("y"), **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: got 0"),
        ({"accumulate": 0}, "accumulate: got 0"),
        ({"max_norm": 0.0}, "max_norm: got 0.0"),
        ({"resume": True}, "checkpoint: got None"),
        ({"checkpoint_every": 3}, "checkpoint: got None"),
    ],
)
def test_fit_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        linear_run([linear_data()], **options)


def test_empty_and_used_up_data_are_refused():
    with pytest.raises(ValueError, match="gave nothing in epoch 1"):
        linear_run([])
    with pytest.raises(ValueError, match="an iterator, which can be read once"):
        linear_run(iter([linear_data()]), epochs=2)
    linear_run(iter([linear_data()]), epochs=1)
    with pytest.raises(ValueError, match="gave no targets"):
        evaluate(fd.nn.Linear(3, 2, rng=0), [], loss=fd.mse_loss)


# ---- callbacks --------------------------------------------------------------------------------------
def test_callbacks_are_called_in_order_and_may_stop():
    calls = []

    class Note(Callback):
        def on_train_begin(self, run):
            calls.append("begin")

        def on_step_end(self, run):
            calls.append(run.step)
            if run.step == 5:
                run.stop()

        def on_epoch_end(self, run):
            calls.append(f"epoch {run.epoch}")

        def on_train_end(self, run):
            calls.append("end")

    x, y = linear_data()
    _, history = linear_run(ArrayBatches(x, y, 8), epochs=9, callbacks=[Note()])
    assert calls == ["begin", 1, 2, 3, "epoch 1", 4, 5, "end"]
    assert len(history.epochs) == 1


def test_early_stopping_waits_for_its_patience():
    x, y = linear_data()
    _, history = linear_run([(x, y)], epochs=50, lr=1e-9, callbacks=[EarlyStopping(2, min_delta=0.1)])
    assert len(history.epochs) == 3
    _, history = linear_run([(x, y)], epochs=6, callbacks=[EarlyStopping(2)])
    assert len(history.epochs) == 6


def test_save_best_keeps_the_best_epoch(tmp_path):
    class Ruin(Callback):
        """After two good epochs, a step in the wrong direction."""

        def on_epoch_end(self, run):
            if run.epoch == 2:
                run.optimizer.lr = 50.0

    x, y = linear_data()
    best = SaveBest(tmp_path / "best.safetensors")
    model, history = linear_run([(x, y)], epochs=3, validation=[(x, y)], callbacks=[best, Ruin()])
    assert history["validation_loss"][2] > history["validation_loss"][1]
    expected, _ = linear_run([(x, y)], epochs=2)
    saved, _ = fd._safetensors.load(tmp_path / "best.safetensors")
    assert same(saved, expected.state_dict())
    assert not same(saved, model.state_dict())


# ---- progress ---------------------------------------------------------------------------------------
def test_progress_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress_module.Lines, "interval", 0.0)
    x, y = linear_data()
    linear_run(ArrayBatches(x, y, 8), epochs=2, progress=True, validation=[(x, y)], unit="pairs")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("epoch 1/2, 17%: loss ")
    assert lines[0].endswith(" left")
    assert " pairs/s, " in lines[0]
    assert lines[3].startswith("epoch 1/2: loss ")
    assert ", validation loss " in lines[3]


def test_progress_bar_on_a_terminal(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress_module.Bar, "interval", 0.0)
    x, y = linear_data()
    linear_run(ArrayBatches(x, y, 8), epochs=2, progress=True)
    err = capsys.readouterr().err
    assert "6/6" in err
    assert "tokens/s" in err
    assert "epoch 1/2: loss " in err


def test_without_tqdm_there_are_lines(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    linear_run([linear_data()], epochs=1, progress=True)
    assert capsys.readouterr().err.startswith("epoch 1/1: loss ")


def test_quiet(capsys):
    linear_run([linear_data()], epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.compiled_only("how many calls")
def test_the_loop_adds_few_calls_to_a_step():
    class Nothing(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = fd.nn.Parameter("weight", np.ones(1, np.float32))

        def forward(self, x):
            return x

        def backward(self, dy):
            return dy

    class Still:
        def step(self):
            pass

    def calls(steps):
        found = 0

        def note(frame, event, argument):
            nonlocal found
            found += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            fit(Nothing(), Still(), [batch] * steps, loss=lambda y, t: (1.0, y), progress=False)
        finally:
            sys.setprofile(None)
        return found

    batch = (np.ones((1, 1), np.float32), np.ones((1, 1), np.int64))
    calls(10)  # what happens once
    assert (calls(210) - calls(10)) / 200 < 90  # 66 on 2026-11-26


# ---- signals ----------------------------------------------------------------------------------------
def test_a_first_signal_is_noted_and_a_second_acts():
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.signum == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with Interruption():
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.signum is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_in_another_thread_leaves_the_handlers_alone(tmp_path):
    results = []

    def work():
        before = signal.getsignal(signal.SIGINT)
        linear_run([linear_data()], checkpoint=tmp_path / "c.safetensors")
        results.append(signal.getsignal(signal.SIGINT) == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [True]
    assert (tmp_path / "c.safetensors").exists()
