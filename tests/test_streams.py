"""Time steps one by one: the bits of whole sequences, into the caller's arrays, and no array made on the way."""

import copy
import itertools
import pickle
import threading
import tracemalloc

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)
LAYERS = {
    "lstm": lambda dtype: fd.nn.LSTM(3, 5, rng=0, dtype=dtype),
    "lstm of three layers": lambda dtype: fd.nn.LSTM(3, 5, num_layers=3, dropout=0.5, rng=0, dtype=dtype),
    "lstm with everything": lambda dtype: fd.nn.LSTM(
        3, 5, 2, proj_size=4, peepholes=True, layer_norm=True, clip=2.0, zoneout=0.1, learned_state=True, rng=0,
        dtype=dtype,
    ),
    "lstm with one bias": lambda dtype: fd.nn.LSTM(3, 5, bias="single", rng=0, dtype=dtype),
    "gru": lambda dtype: fd.nn.GRU(3, 5, num_layers=2, rng=0, dtype=dtype),
    "gru before": lambda dtype: fd.nn.GRU(3, 5, reset_after=False, rng=0, dtype=dtype),
    "rnn without bias": lambda dtype: fd.nn.RNN(3, 5, bias=False, rng=0, dtype=dtype),
    "slstm": lambda dtype: fd.nn.sLSTM(3, 8, num_layers=2, rng=0, dtype=dtype),
    "mingru": lambda dtype: fd.nn.MinGRU(3, 5, rng=0, dtype=dtype),
    "indrnn": lambda dtype: fd.nn.IndRNN(3, 5, rng=0, dtype=dtype),
}  # fmt: skip
CHAINS = {
    "a head": lambda: fd.nn.Sequential(fd.nn.LSTM(3, 5, rng=0), fd.nn.Linear(5, 2, rng=1)),
    "two and dropout": lambda: fd.nn.Sequential(
        fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh(), fd.nn.GRU(4, 5, rng=1), fd.nn.Dropout(0.5, rng=2), fd.nn.LayerNorm(5),
        fd.nn.LSTM(5, 6, rng=3), fd.nn.Linear(6, 2, rng=4), fd.nn.Softmax(),
    ),
    "a chain within": lambda: fd.nn.Sequential(CHAINS["a head"](), fd.nn.GRU(2, 3, rng=5)),
    "causal": lambda: fd.nn.Sequential(
        fd.nn.Conv1d(3, 4, 3, padding="causal", rng=0), fd.nn.ReLU(), fd.nn.Conv1d(4, 2, 2, padding="causal", rng=1)
    ),
}  # fmt: skip


def arrays_of(tree):
    if isinstance(tree, np.ndarray):
        return [tree]
    return [] if tree is None else [array for one in tree for array in arrays_of(one)]


def like(tree, fill=np.nan):
    if isinstance(tree, np.ndarray):
        return np.full_like(tree, fill)
    return None if tree is None else type(tree)(like(one, fill) for one in tree)


def same(one, other):
    return all((a == b).all() for a, b in zip(arrays_of(one), arrays_of(other), strict=True))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_the_sequence(name, dtype, batch):
    layer = LAYERS[name](dtype).eval()
    x = RNG.normal(size=(6, batch, 3)).astype(dtype)
    state = before = None
    for one in x:
        y, after = layer.forward(one[None], state, return_state=True)
        found, plain = layer.step(one, state)
        assert same(found, y[0])
        assert same(plain, after)
        if before is None:
            places = like(found), like(plain)
        written = layer.step(one, before, out=places)
        assert written[0] is places[0]
        assert written[1] is places[1]
        assert same(places[0], y[0])
        assert same(places[1], after)
        view, again = layer.step(one, state, out=(None, like(plain)))
        assert np.may_share_memory(view, arrays_of(again)[0])
        assert same(view, y[0])
        state, before = after, places[1]


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_steps_as_its_forward_goes(name):
    model = CHAINS[name]()
    x = RNG.normal(size=(6, 2, 3)).astype(np.float32)
    model.train()
    y, state = model.step(x[0])  # in evaluation for this while
    assert model.training
    assert all(not one._tape for one in model.modules())
    places = like(y), like(state)
    assert same(model.step(x[0], out=places)[0], y)
    for one in x[1:]:
        y, state = model.step(one, state)
        assert model.step(one, places[1], out=places) == places
        assert same(places, (y, state))
    np.testing.assert_allclose(y, model.eval().forward(x)[-1], atol=1e-6)


def test_values_that_change_and_arenas_that_move_are_followed():
    model = CHAINS["a head"]().eval()
    x = np.ones((1, 3), np.float32)
    places = model.step(x)
    first = places[0].copy()
    for change in (
        lambda: model.parameters(),
        lambda: setattr(model[0].bias_hh_l0, "data", np.full(20, 0.5, np.float32)),
        lambda: fd.nn.Sequential(model, fd.nn.Tanh()).parameters(),
        lambda: setattr(model[0], "weight_ih_l0", fd.nn.Parameter("w", np.ones((3, 20), np.float32), transposed=True)),
        lambda: setattr(model, "1", fd.nn.Linear(5, 2, rng=9)),
        lambda: model[0].load_state_dict({k: 2 * v for k, v in model[0].state_dict().items()}),
    ):
        change()
        model.step(x, out=places)
        np.testing.assert_array_equal(places[0], model.forward(x[None])[0])
    assert (first != places[0]).any()
    for other in (copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert same(other.step(x)[0], places[0])


def peak_of_steps(units):
    """Bytes that a step into places takes at most, for a chain and for its layer alone."""
    model = fd.nn.Sequential(fd.nn.LSTM(8, units, rng=0), fd.nn.Linear(units, units, rng=1)).eval()
    x, found = np.ones((1, 8), np.float32), []
    for one in (model, model[0]):
        places = one.step(x)
        tracemalloc.start()
        for _ in range(200):  # what the interpreter keeps of its own, which grows at first
            one.step(x, places[1], out=places)
        tracemalloc.clear_traces()
        for _ in range(20):
            one.step(x, places[1], out=places)
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return np.array(found)


def test_a_step_into_places_makes_no_array():
    """Any array of 512 units has 2 KB more than one of 8; tuples and views of a call are as many."""
    assert (peak_of_steps(512) < peak_of_steps(8) + 1024).all()
    characters = fd.models.CharLM(fd.text.Vocabulary("abc"), 8, 16, rng=0).eval()
    places = characters.step(np.array([1]))
    assert characters.step(np.array([1]), places[1], out=places)[0] is places[0]


def test_places_in_a_file_are_written_too(tmp_path):
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1)).eval()
    x = RNG.normal(size=(1, 3)).astype(np.float32)
    expected, state = model.step(x)
    places = np.memmap(tmp_path / "y", np.float32, "w+", shape=(1, 2))
    assert model.step(x, out=(places, state))[0] is places
    assert np.array_equal(places, expected)


def test_threads_step_one_model():
    model = fd.nn.Sequential(fd.nn.LSTM(3, 40, num_layers=2, rng=0), fd.nn.Linear(40, 2, rng=1)).eval()
    x = RNG.normal(size=(8, 60, 1, 3)).astype(np.float32)

    def walk(steps):
        places = model.step(steps[0])
        found = [places[0].copy()]
        for one in steps[1:]:
            model.step(one, places[1], out=places)
            found.append(places[0].copy())
        return np.stack(found)

    alone, together = [walk(one) for one in x], [None] * len(x)

    def work(at):
        together[at] = walk(x[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(x))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert same(alone, together)


def test_characters_are_written_step_by_step():
    model = fd.models.CharLM(fd.text.Vocabulary("abcdef"), 6, 12, layers=2, dropout=0.3, rng=0)
    text = "".join(itertools.islice(model.generate("fab", rng=1), 30))
    codes = model.vocabulary.encode("fab" + text)
    state = None
    for at in range(len(codes)):
        logits, state = model.step(codes[at : at + 1], state)
    np.testing.assert_allclose(logits, model.eval().forward(codes[:, None])[-1], atol=1e-5)
    assert not model.training


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda y, s: 3, TypeError, r"out: got int, expected \(y, state\)"),
        (lambda y, s: (y,), ValueError, r"out: got 1 parts, expected \(y, state\)"),
        (lambda y, s: (y[:, :1].copy(), s), ValueError, r"out(\[0\])?: got shape \(\w+(, \w+)*\)"),
        (lambda y, s: (y.astype(float), s), TypeError, "out.*: got dtype float64, expected native float32"),
        (lambda y, s: (y, None), TypeError, r"out\[1\]: got NoneType"),
        (lambda y, s: (y, [s[0]]), ValueError, r"out\[1\]: got 1 parts"),
        (lambda y, s: (y, [s[0], y]), TypeError, r"out\[1\]\[1\]: got ndarray, expected None"),
        (lambda y, s: (y, [(s[0][0],), None]), ValueError, r"out\[1\]\[0\]: got 1 parts"),
        (lambda y, s: (y, [(s[0][0], s[0][1][:, :, :2]), None]), ValueError, r"out\[1\]\[0\]\[1\]: got shape"),
    ],
)
def test_places_that_do_not_fit_are_refused_and_nothing_is_written(change, error, message):
    model = CHAINS["a head"]().eval()
    x = np.ones((1, 3), np.float32)
    y, state = model.step(x)
    for _ in range(2):
        places = like(y, 7.0), like(state, 7.0)
        with pytest.raises(error, match=message):
            model.step(x, state, out=change(*places))
        assert all((one == 7).all() for one in arrays_of(places))
        model.step(x, state, out=places)  # so that the second time memory is there already


def test_places_that_overlap_are_refused():
    layer = fd.nn.LSTM(3, 4, num_layers=2, rng=0)
    x = np.ones((1, 3), np.float32)
    y, (h, c) = layer.step(x)
    both = np.zeros((3, 1, 4), np.float32)
    for out in ((y, (h, h)), (h[1], (h, c)), (y, (both[:2], both[1:]))):
        with pytest.raises(ValueError, match="out: got arrays that overlap"):
            layer.step(x, (h, c), out=out)
    with pytest.raises(ValueError, match=r"out\[1\]: overlaps state"):
        layer.step(x, (both[1:], c), out=(y, (both[:2], c)))
    with pytest.raises(ValueError, match="overlaps"):
        fd.nn.Linear(3, 3, rng=0).forward(x, out=x)
    with pytest.raises(ValueError, match="overlaps"):
        fd.linear_forward(x, np.eye(3, dtype=np.float32), out=x)


def test_what_needs_more_than_a_step_is_refused():
    x = np.ones((1, 3), np.float32)
    for layer, message in (
        (fd.nn.MaxPool1d(2), "MaxPool1d, which has no step"),
        (fd.nn.LSTM(3, 4, bidirectional=True), "reads the future"),
        (fd.nn.Conv1d(3, 4, 3), "padding='causal'"),
        (fd.nn.Softmax(axis=0), "Softmax, which has no step"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            fd.nn.Sequential(fd.nn.Linear(3, 3, rng=0), layer).step(x)
    with pytest.raises(ValueError, match="no layers"):
        fd.nn.Sequential().step(x)
    with pytest.raises(TypeError, match="x: got list"):
        CHAINS["a head"]().step([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="state: got 1 entries, expected 2"):
        CHAINS["a head"]().step(x, [None])


def test_the_reference_steps_too():
    x = np.ones((2, 3))
    for name, make in LAYERS.items():
        layer = make(np.float64).eval()
        expected = layer.step(x)
        with fd.backend("reference"):
            found = layer.step(x, out=(like(expected[0]), like(expected[1])))
        for one, other in zip(arrays_of(found), arrays_of(expected), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12, err_msg=name)


def test_a_batch_of_none_steps():
    layer = fd.nn.LSTM(3, 4, rng=0)
    y, state = layer.step(np.ones((0, 3), np.float32))
    assert y.shape == (0, 4)
    assert layer.step(np.ones((0, 3), np.float32), state, out=(y, state))[0] is y
