"""What a module keeps besides its parameters, how it is loaded, and that its registries are what its attributes are."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import fastdl as fd


class Standardised(fd.nn.Module):
    def __init__(self, rng=None):
        super().__init__()
        self.rng = fd.random.as_generator(rng)
        self.linear = fd.nn.Linear(2, 1, rng=self.rng)
        self.register_buffer("mean", np.zeros(2))
        self.register_buffer("std", 1)
        self.register_buffer("seen", np.zeros(3, np.int64))

    def forward(self, x):
        return self.linear.forward(((x - self.mean) / self.std).astype(np.float32))


# ---- buffers --------------------------------------------------------------------------------------------------
def test_buffers_are_saved_loaded_copied_and_not_trained():
    model = fd.nn.Sequential(Standardised(0))
    model[0].mean = [3, 4]
    model[0].std = 2.5
    model[0].seen[1] = 7
    assert [name for name, _ in model.named_buffers()] == ["0.mean", "0.std", "0.seen"]
    assert model.parameters().names == ["0.linear.weight", "0.linear.bias"]
    assert list(model.state_dict()) == ["0.mean", "0.std", "0.seen", "0.linear.weight", "0.linear.bias"]
    other = fd.nn.Sequential(Standardised(1))
    held = other[0].mean
    other.load_state_dict(model.state_dict())
    assert held is other[0].mean
    for one in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(one[0].mean, [3, 4])
        assert isinstance(one[0].std, float)
        assert one[0].std == 2.5
        assert one[0].seen.dtype == np.int64
        one[0].mean[:] = 0
        np.testing.assert_array_equal(model[0].mean, [3, 4])


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (
            lambda m: setattr(m, "mean", np.zeros(3)),
            ValueError,
            r"Standardised.mean: got shape \(3,\), expected \(2,\)",
        ),
        (lambda m: setattr(m, "mean", None), TypeError, "Standardised.mean: got NoneType"),
        (lambda m: setattr(m, "std", np.zeros(2)), ValueError, r"Standardised.std: got shape \(2,\), expected \(\)"),
        (lambda m: setattr(m, "seen", [0.5, 1, 2]), TypeError, "Standardised.seen: got dtype float64"),
        (lambda m: m.register_buffer("linear", 1.0), ValueError, "name: got 'linear'"),
        (lambda m: m.register_buffer("forward", 1.0), ValueError, "name: got 'forward'"),
        (lambda m: m.register_buffer("a.b", 1.0), ValueError, "name: got 'a.b'"),
        (lambda m: m.register_buffer(3, 1.0), TypeError, "name: got int"),
        (lambda m: m.register_buffer("new", [1.0]), TypeError, "value: got list"),
        (lambda m: m.register_buffer("new", None), TypeError, "value: got NoneType"),
        (lambda m: m.register_buffer("new", np.array(["a"])), TypeError, "value: got dtype"),
    ],
)
def test_buffers_that_do_not_fit(act, error, message):
    model = Standardised(0)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        act(model)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---- loading --------------------------------------------------------------------------------------------------
class Fails(fd.nn.Linear):
    def _import(self, arrays):
        super()._import(arrays)
        raise OSError("in the middle")


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (lambda s: None, TypeError, "state: got NoneType, expected a mapping"),
        (lambda s: 5, TypeError, "state: got int"),
        (lambda s: list(s), TypeError, "state: got list"),
        (lambda s: {}, ValueError, "state: names do not fit: missing"),
        (lambda s: s | {3: np.zeros(2)}, ValueError, r"unknown \['3'\]"),
        (lambda s: s | {"mean": None}, TypeError, r"state\['mean'\]: got NoneType"),
        (lambda s: s | {"mean": [[1.0], [1.0, 2.0]]}, TypeError, r"state\['mean'\]: got list"),
        (lambda s: s | {"seen": np.zeros(3)}, TypeError, r"state\['seen'\]: got dtype float64"),
        (lambda s: s | {"linear.bias": np.zeros(2)}, ValueError, r"state\['linear.bias'\]: got shape"),
        (lambda s: s | {"linear.bias": np.ma.array([1.0], mask=[1])}, TypeError, "got a masked array"),
        (lambda s: s | {"linear.bias": np.zeros(1, complex)}, TypeError, "got dtype complex128"),
        (lambda s: s | {"linear.bias": np.array([1e300])}, RuntimeWarning, "overflow"),
    ],
)
def test_a_state_that_does_not_fit_leaves_everything(state, error, message):
    model = Standardised(0)
    before = model.state_dict()
    given = {name: array + 1 for name, array in before.items()}
    with pytest.raises(error, match=message):
        model.load_state_dict(state(given))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_layer_that_fails_in_the_middle_undoes_all():
    model = fd.nn.Sequential(Standardised(0), Fails(2, 2, rng=0))
    before = model.state_dict()
    with pytest.raises(OSError, match="in the middle"):
        model.load_state_dict({name: array + 1 for name, array in before.items()})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_nan_is_loaded():
    model = fd.nn.Linear(2, 1, rng=0)
    model.load_state_dict({name: array * np.nan for name, array in model.state_dict().items()})
    assert np.isnan(model.parameters()[0].data).all()


# ---- generators -----------------------------------------------------------------------------------------------
def test_generators_are_gathered_once_each():
    rng = fd.random.Generator(3)
    model = fd.nn.Sequential(Standardised(rng), fd.nn.Dropout(0.5, rng=rng), Standardised(rng), Standardised(4))
    model[3].noise = np.random.default_rng(5)
    state = model.random_state()
    assert set(state) == {"0", "1", "3"}
    assert set(state["3"]) == {"rng", "noise"}
    drawn = [rng.uniform(size=3), model[3].noise.normal(size=3), model[1](np.ones(50))]
    model.load_random_state(pickle.loads(pickle.dumps(state)))
    again = [rng.uniform(size=3), model[3].noise.normal(size=3), model[1](np.ones(50))]
    for one, two in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_layers_hold_inside_is_gathered_too():
    inner = fd.nn.LSTM(3, 4, num_layers=2, dropout=0.5, state_dropout=0.2, rng=0)
    for model in (fd.nn.DropConnect(inner, names=("weight_hh_l0",), rng=1), inner):
        x = np.ones((5, 2, 3), np.float32)
        state = model.random_state()
        first = model(x)
        model.load_random_state(state)
        np.testing.assert_array_equal(model(x), first)


@pytest.mark.parametrize("make", [lambda: fd.models.Tagger(7, 4, 8, 8, rng=5), lambda: fd.models.Seq2Seq(5, 5, rng=5)])
def test_models_that_draw_need_list_nothing(make):
    model = make()
    assert model.random_state()["rng"] == model.rng.state_dict()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: 5,
        lambda s: None,
        lambda s: {},
        lambda s: s | {"more": {}},
        lambda s: s | {"1": 5},
        lambda s: s | {"1": {"seed": 1}},
        lambda s: s | {"1": {"seed": 1, "step": -1}},
        lambda s: s | {"2": {"own": None}},
        lambda s: s | {"2": {"own": {"seed": 1, "step": "x"}}},
        lambda s: s | {"3": {"rng": {"seed": 1, "block": -1}}},
        lambda s: s | {"3": {"rng": {"seed": 2**70, "block": 1}}},
    ],
)
def test_a_random_state_that_does_not_fit_leaves_everything(change):
    lstm = fd.nn.LSTM(3, 4, zoneout=0.2, rng=0)
    model = fd.nn.Sequential(Standardised(1), fd.nn.Dropout(0.5, rng=0), lstm, Standardised(2))
    before = model.random_state()
    model[0].rng.uniform()
    other = model.random_state()
    model.load_random_state(before)
    with pytest.raises((TypeError, ValueError), match="^state"):
        model.load_random_state(change(other))
    assert model.random_state() == before


def test_monte_carlo_leaves_every_generator():
    class Noisy(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.rng = fd.random.Generator(1)

        def forward(self, x):
            return x + self.rng.uniform()

    model = Noisy()
    before = model.random_state()
    fd.nn.monte_carlo(model, np.ones(3), draws=3)
    assert model.random_state() == before


# ---- registries -----------------------------------------------------------------------------------------------
def test_attributes_and_registries_agree():
    model = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0), fd.nn.LSTM(2, 2, rng=0))
    names = lambda: [name for name, _ in model.named_parameters()]  # noqa: E731
    arena = model.parameters()
    del model[0].bias
    assert "0.bias" not in names()
    assert not hasattr(model[0], "bias")
    assert model.parameters() is not arena
    setattr(model, "1", None)
    assert names() == ["0.weight"]
    setattr(model, "1", fd.nn.Linear(2, 3, rng=0))
    assert names() == ["0.weight", "1.weight", "1.bias"]
    setattr(model, "1", fd.nn.Parameter("p", np.ones(2, np.float32)))
    assert names() == ["1", "0.weight"]
    assert len(model) == 1
    delattr(model, "1")
    model.register_buffer("b", 1.0)
    model.b = fd.nn.Tanh()
    assert model.named_buffers() == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        model.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="nothing"):
        del model.nothing
    with pytest.raises(TypeError, match="weight.data: got NoneType"):
        model[0].weight = None


def test_a_replaced_recurrent_parameter_is_used():
    layer = fd.nn.LSTM(2, 3, rng=0)
    x = np.ones((4, 1, 2), np.float32)
    layer(x)
    layer.weight_ih_l0 = fd.nn.Parameter("w", np.zeros((2, 12), np.float32), transposed=True)
    with_zeros = layer(x)
    layer.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer(x), with_zeros)
    np.testing.assert_array_equal(layer(2 * x), with_zeros)


def test_without_the_bases_init_it_says_so():
    class Forgot(fd.nn.Module):
        def __init__(self):
            self.layer = fd.nn.Linear(2, 2, rng=0)

    class Forgot2(fd.nn.Module):
        def __init__(self):
            self.size = 3

    with pytest.raises(AttributeError, match=r"Forgot: call super\(\).__init__\(\) first"):
        Forgot()
    for act in (lambda m: m.parameters(), lambda m: m.train(), lambda m: m.state_dict()):
        with pytest.raises(AttributeError, match=r"Forgot2: call super\(\).__init__\(\) first"):
            act(Forgot2())


def test_a_second_init_keeps_what_was_assigned():
    class Both(fd.nn.Module):
        def __init__(self):
            fd.nn.Module.__init__(self)
            self.layer = fd.nn.Linear(2, 2, rng=0)
            fd.nn.Module.__init__(self)

    assert len(Both().parameters()) == 2


def test_layers_in_lists_are_told_of():
    class Stack(fd.nn.Module):
        def __init__(self, known):
            super().__init__()
            self.layers = []
            for k in range(2):
                self.layers.append(fd.nn.Linear(2, 2, rng=0))
                if known:
                    setattr(self, f"layer{k}", self.layers[k])

    with pytest.warns(UserWarning, match=r"^Stack.layers: holds a Linear that is no part of the model"):
        Stack(False).parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Stack(True).parameters()) == 4


# ---- what constructors say ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fd.nn.Linear(3, 2)(np.ones((4, 3))), TypeError, "^x: got dtype float64, expected float32"),
        (lambda: fd.nn.Linear(3, 2)(np.ones((4, 5), np.float32)), ValueError, r"^x: got shape \(4, 5\), exp"),
        (lambda: fd.nn.Embedding(3, 2)(np.array([3])), ValueError, "^x: got values from 3 to 3"),
        (lambda: fd.nn.AdditiveAttention(0, 2, 3), ValueError, "^query_size: got 0"),
        (lambda: fd.nn.AdditiveAttention(2, "x", 3), TypeError, "^source_size: got 'x'"),
        (lambda: fd.nn.LSTM(2, 3).initial_state(-1), ValueError, "^batch: got -1"),
        (lambda: fd.nn.LSTM(2, 3).initial_state(1.5), TypeError, "^batch: got 1.5"),
        (lambda: fd.nn.LSTM(2, 3)(np.ones((1, 1, 2), np.float32), 5), TypeError, r"^state: got int, expected \(h, c\)"),
        (lambda: fd.nn.Sequential(fd.nn.Tanh())(np.ones(2), 5), TypeError, "^state: got int, expected a list"),
        (lambda: fd.nn.LSTM(2, 3).import_weights("keras", 5), TypeError, "^arrays: got int, expected a mapping"),
        (lambda: fd.random.Generator(0).load_state_dict(5), TypeError, "^state: got int, expected a mapping"),
        (lambda: fd.nn.monte_carlo(3, np.ones(2)), TypeError, "^model: got int"),
        (lambda: fd.nn.Linear(2, 3, rng=-1), ValueError, "^rng: got -1"),
        (lambda: fd.nn.Linear(2, 3, rng=True), TypeError, "^rng: got bool"),
        (lambda: fd.nn.Dropout(rng=np.random.default_rng(0)), TypeError, "^rng: got numpy.random.Generator"),
        (lambda: fd.nn.EmbeddingDropout(fd.nn.Embedding(9, 2), 2**32), ValueError, "^num_embeddings: got 4294967296"),
        (lambda: fd.nn.EmbeddingDropout(3, 2), TypeError, "^embedding: got int"),
        (lambda: fd.nn.DropConnect(fd.nn.Linear(2, 2), names="weight"), TypeError, "^names: got 'weight'"),
        (lambda: fd.nn.Linear(2, 3, dtype="nonsense"), TypeError, "^dtype: got 'nonsense'"),
        (
            lambda: fd.nn.DotAttention()(np.ones((3, 2, 4)), np.ones((5, 2, 3))),
            ValueError, r"^source: got shape \(5, 2, 3\), expected \(any, 2, 4\)",
        ),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", [fd.nn.RNN, fd.nn.LSTM, fd.nn.GRU])
def test_dropout_between_one_layer_is_told_of(kind):
    with pytest.warns(UserWarning, match="^dropout: got 0.5 with one layer") as caught:
        kind(3, 4, dropout=0.5)
    assert caught[0].filename == __file__
    kind(3, 4, num_layers=2, dropout=0.5)


def test_weights_of_other_frameworks_come_whole_or_not_at_all():
    layer = fd.nn.LSTM(2, 3, rng=0)
    given = {name: array + 1 for name, array in layer.export_weights("keras").items()}
    before = layer.state_dict()
    with pytest.raises(RuntimeWarning, match="overflow"):
        layer.import_weights("keras", given | {"bias": np.full(12, 1e300)})
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
