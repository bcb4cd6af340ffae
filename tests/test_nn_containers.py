"""Lists, dicts and chains of layers: torch's behaviour; lengths and states handed on; shapes; ragged training."""

import copy
import pickle

import numpy as np
import pytest
from test_normalization import normals

import fastdl as fd
from fastdl import nn

LENGTHS = np.array([12, 7, 3])


def linears(*sizes):
    return [nn.Linear(sizes[k], sizes[k + 1], rng=k) for k in range(len(sizes) - 1)]


def ragged():
    """Every kind of layer that a batch of true lengths may meet."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 3, padding="same", rng=0),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Residual(nn.Sequential(nn.LayerNorm(8), nn.GRU(8, 8, rng=1))),
        nn.DropConnect(nn.LSTM(8, 5, output="last", rng=2), names=("weight_hh_l0",), rng=3),
        nn.Linear(5, 2, rng=4),
    )


# ---- lists --------------------------------------------------------------------------------------------------
def test_a_list_is_a_list():
    first, second, third, fourth = linears(2, 3, 4, 5, 6)
    held = nn.ModuleList([first, third])
    assert held.insert(1, second) is held
    assert held.append(fourth) is held
    assert list(held) == [first, second, third, fourth]
    assert held[-1] is fourth
    assert list(held[1:3]) == [second, third]
    assert isinstance(held[1:3], nn.ModuleList)
    assert [name for name, _ in held.named_parameters()][:3] == ["0.weight", "0.bias", "1.weight"]
    assert held.pop() is fourth
    assert held.pop(0) is first
    held[0] = first
    del held[1:]
    assert list(held) == [first]
    held += [second]
    assert list(held + [third]) == [first, second, third]  # noqa: RUF005
    held.extend(nn.ModuleList([third, fourth]))
    assert len(held) == 4
    assert first in held
    assert list(nn.ModuleList()) == []
    assert [name for name, _ in held.named_modules()] == ["", "0", "1", "2", "3"]


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.Sequential])
def test_a_refused_change_leaves_a_list(kind):
    held = kind(linears(2, 3, 4))
    before = list(held)
    for call, error, match in [
        (lambda: held.append(3), TypeError, "^layer: got int"),
        (lambda: held.extend([before[0], None]), TypeError, r"^layers\[1\]: got NoneType"),
        (lambda: held.extend(3), TypeError, "^layers: got int"),
        (lambda: held.insert(5, before[0]), ValueError, "^index: got 5"),
        (lambda: held.insert(0, "x"), TypeError, "^layer: got str"),
        (lambda: held.insert(0.5, before[0]), TypeError, "^index: got 0.5"),
        (lambda: held.pop(2), IndexError, "^index: got 2"),
        (lambda: held[2], IndexError, "^index: got 2"),
        (lambda: held["x"], TypeError, "^index: got 'x'"),
        (lambda: held.__setitem__(0, np.ones(2)), TypeError, "^layer: got ndarray"),
        (lambda: held.__delitem__(7), IndexError, "^index: got 7"),
        (lambda: kind([1]), TypeError, r"\[0\]: got int"),
        (lambda: kind("ab"), TypeError, "got str"),
    ]:
        with pytest.raises(error, match=match):
            call()
        assert list(held) == before


def test_a_dict_is_a_dict():
    first, second, third, _ = linears(2, 3, 4, 5, 6)
    held = nn.ModuleDict({"mean": first, "spread": second})
    held["more"] = third
    assert list(held) == ["mean", "spread", "more"]
    assert list(held.keys()) == ["mean", "spread", "more"]
    assert list(held.values()) == [first, second, third]
    assert dict(held.items())["mean"] is first
    assert "mean" in held
    assert 3 not in held
    assert held.pop("spread") is second
    assert "spread" not in held
    held.update([("spread", second), ("mean", third)])
    assert held["mean"] is third
    held.update(nn.ModuleDict({"other": first}))
    assert len(held) == 4
    del held["mean"]
    assert [name for name, _ in held.named_modules()] == ["", "more", "spread", "other"]
    held.clear()
    assert len(held) == 0
    for call, error, match in [
        (lambda: held["x"], KeyError, "key: got 'x'"),
        (lambda: held[3], TypeError, "^key: got 3"),
        (lambda: held.__setitem__("a.b", first), ValueError, "^key: got 'a.b'"),
        (lambda: held.__setitem__("keys", first), ValueError, "^key: got 'keys'"),
        (lambda: held.__setitem__("", first), ValueError, "^key: got ''"),
        (lambda: held.update({"a": first, "b": 3}), TypeError, r"^modules\['b'\]: got int"),
        (lambda: held.update(3), TypeError, "^modules: got 3"),
        (lambda: held.update([first]), TypeError, "^modules: got"),
    ]:
        with pytest.raises(error, match=match):
            call()
    assert len(held) == 0


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(linears(3, 4, 5))
        self.heads = nn.ModuleDict({"a": nn.Linear(5, 1, rng=5)})

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.heads["a"](x)

    def backward(self, dy):
        dy = self.heads["a"].backward(dy)
        for layer in reversed(list(self.layers)):
            dy = layer.backward(dy)
        return dy


@pytest.mark.filterwarnings("error")
def test_what_they_hold_is_trained_saved_and_copied():
    model, x = Heads(), normals(6, 3, dtype=np.float32)
    assert len(model.parameters()) == 6  # and nobody warns
    assert list(model.state_dict())[:2] == ["layers.0.weight", "layers.0.bias"]
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    y = model(x)
    model.backward(np.ones_like(y))
    optimizer.step()
    assert not np.array_equal(model(x), y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x), model(x))
        assert other.layers[0] is not model.layers[0]
    with pytest.raises(TypeError, match="ModuleList defines no forward"):
        model.layers(x)


def test_a_plain_list_is_still_found_out():
    model = nn.Sequential(nn.Linear(2, 2, rng=0))
    model.others = linears(2, 3)
    with pytest.warns(UserWarning, match="use ModuleList or ModuleDict"):
        model.parameters()


# ---- chains -------------------------------------------------------------------------------------------------
def test_a_chain_takes_a_list_and_is_cut_and_lengthened():
    layers = linears(2, 3, 4, 5)
    model = nn.Sequential(layers)
    assert list(model) == layers
    assert isinstance(model[1:], nn.Sequential)
    assert list(model[1:]) == layers[1:]
    x = normals(4, 2, dtype=np.float32)
    np.testing.assert_array_equal(model[1:](model[0](x)), model(x))
    model.append(nn.Tanh()).insert(1, nn.ReLU())
    assert [type(one).__name__ for one in model] == ["Linear", "ReLU", "Linear", "Linear", "Tanh"]
    assert list(model.state_dict())[2] == "2.weight"
    y = model(x)
    assert model.backward(np.ones_like(y)).shape == x.shape
    assert model.pop() is not None
    assert nn.Sequential()(x) is x


def test_lengths_reach_every_layer_of_a_chain():
    model, x = ragged().eval(), normals(12, 3, 4, dtype=np.float32)
    for b, length in enumerate(LENGTHS):
        x[length:, b] = np.nan
    y = model(x, lengths=LENGTHS)
    np.testing.assert_array_equal(model((x, LENGTHS)), y)
    np.testing.assert_array_equal(model([x, LENGTHS.tolist()]), y)
    for b, length in enumerate(LENGTHS):
        np.testing.assert_allclose(y[b], model(x[:length, b : b + 1])[0], rtol=1e-4, atol=1e-6)
    assert model.lengths_after(LENGTHS) is None
    assert model[:5].lengths_after(LENGTHS).tolist() == [6, 3, 1]
    model.train()
    model(x, lengths=LENGTHS)
    dx = model.backward(np.ones_like(y))
    assert np.isfinite(dx).all()
    assert not dx[7:, 1].any()
    assert all(np.isfinite(one.grad).all() for one in model.parameters())


def test_lengths_that_nobody_takes_are_refused():
    x = normals(4, 2, 3, dtype=np.float32)
    plain = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Residual(nn.Tanh()), nn.Sequential())
    for call in (lambda: plain(x, lengths=[4, 2]), lambda: nn.Residual(nn.Tanh())(x, lengths=[4, 2])):
        with pytest.raises(TypeError, match=r"^lengths: got \[4, 2\], expected None"):
            call()
    nested = nn.Sequential(plain, nn.GRU(3, 2, rng=1))
    assert not nested(x, lengths=[4, 2])[2:, 1].any()
    with pytest.raises(ValueError, match=r"^lengths: got values"):
        nested(x, lengths=[5, 2])


def test_states_go_through_nested_chains():
    inner = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Residual(nn.GRU(3, 3, rng=1)))
    model = nn.Sequential(inner, nn.LSTM(3, 2, rng=2), nn.Tanh()).eval()
    x = normals(8, 2, 3, dtype=np.float32)
    whole, last = model(x, return_state=True)
    first, state = model(x[:5], return_state=True)
    rest, end = model(x[5:], state, return_state=True)
    np.testing.assert_allclose(np.concatenate([first, rest]), whole, atol=1e-6)
    assert state[0][0] is None
    assert state[0][1].shape == (1, 2, 3)
    np.testing.assert_allclose(end[0][1], last[0][1], atol=1e-6)
    assert state[2] is None
    for wrong, match in [
        ([None, None, 3], r"^state\[2\]: got 3, expected None, since Tanh"),
        ([3, None, None], "^state: got int"),
    ]:
        with pytest.raises(TypeError, match=match):
            model(x, wrong)
    with pytest.raises(ValueError, match=r"^state: got 1 entries"):
        model(x, [None])
    with pytest.raises(TypeError, match=r"^state: got 3, expected None"):
        nn.Residual(nn.Tanh())(x, 3)


def test_ragged_batches_train_a_chain():
    model, rng = ragged(), np.random.default_rng(0)
    x = rng.standard_normal((12, 3, 4)).astype(np.float32)
    batches = [((x, LENGTHS), np.array([0, 1, 1]))]
    optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
    history = fd.training.fit(
        model, optimizer, batches, epochs=20, loss=fd.softmax_cross_entropy, progress=False, validation=batches
    )
    assert history.losses[-1] < history.losses[0] / 2
    result = fd.training.evaluate(model, batches, loss=fd.softmax_cross_entropy)
    assert np.isfinite(list(result.values())[0] if isinstance(result, dict) else result)  # noqa: RUF015


# ---- shapes and residuals -----------------------------------------------------------------------------------
def test_flatten_is_a_reshape():
    x = normals(3, 4, 5, 2)
    for layer, shape in [
        (nn.Flatten(), (3, 40)), (nn.Flatten(0), (120,)), (nn.Flatten(2), (3, 4, 10)), (nn.Flatten(1, 2), (3, 20, 2)),
        (nn.Flatten(-2), (3, 4, 10)), (nn.Flatten(batch_dim=1), (4, 30)), (nn.Flatten(1, 1), x.shape),
    ]:  # fmt: skip
        y = layer(x)
        assert y.shape == shape
        dy = normals(*shape, seed=1)
        np.testing.assert_allclose((y * dy).sum(), (x * layer.backward(dy)).sum(), rtol=1e-12)
    np.testing.assert_array_equal(nn.Flatten(batch_dim=1)(x)[2], x[:, 2].ravel())
    assert nn.Flatten()(np.zeros((0, 3, 2))).shape == (0, 6)
    assert nn.Flatten(2).lengths_after([1]).tolist() == [1]
    assert nn.Flatten(batch_dim=1).lengths_after([1]) is None
    assert repr(nn.Flatten(2)).startswith("Flatten(start_dim=2, end_dim=-1)")
    for call, error, match in [
        (lambda: nn.Flatten(4)(x), ValueError, "^x: got shape .* start_dim=4"),
        (lambda: nn.Flatten(2, 1)(x), ValueError, "^x: got shape"),
        (lambda: nn.Flatten(1.0), TypeError, "^start_dim: got 1.0"),
        (lambda: nn.Flatten()([1]), TypeError, "^x: got list"),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_a_residual_adds_its_input():
    x, dy = normals(5, 3), normals(5, 3, seed=1)
    inner = nn.Linear(3, 3, rng=0, dtype=np.float64)
    layer = nn.Residual(inner)
    np.testing.assert_allclose(layer(x), x + inner.eval()(x), rtol=1e-12)
    inner.train()
    layer(x)
    np.testing.assert_allclose(layer.backward(dy), dy + dy @ inner.weight.data.T, rtol=1e-12)
    layer(x)
    assert layer.backward(dy, input_gradient=False) is None
    assert list(layer.state_dict()) == ["layer.weight", "layer.bias"]
    wide = nn.Residual(nn.Linear(3, 4, rng=0, dtype=np.float64))
    with pytest.raises(ValueError, match=r"^Linear.forward: got shape \(5, 4\)"):
        wide(x)
    assert not wide.layer._tape
    with pytest.raises(TypeError, match=r"^layer: got int"):
        nn.Residual(3)
    same = nn.Identity()
    assert same(x) is x
    assert same.backward(dy) is dy
    with pytest.raises(RuntimeError, match="no forward to undo"):
        same.backward(dy)
    words = nn.Sequential(same, nn.Flatten(0), nn.Embedding(5, 2, rng=0))
    assert words.backward(np.ones_like(words(np.ones((2, 3), int)))) is None  # integers have no gradient


@pytest.mark.peer
def test_lists_and_chains_are_torch_s():
    torch = pytest.importorskip("torch")
    layers = linears(2, 3, 4, 5)
    theirs = [torch.nn.Linear(2, 3), torch.nn.Linear(3, 4), torch.nn.Linear(4, 5)]
    for mine, other in [
        (nn.ModuleList(layers), torch.nn.ModuleList(theirs)),
        (nn.Sequential(*layers), torch.nn.Sequential(*theirs)),
        (nn.ModuleDict({"a": layers[0]}), torch.nn.ModuleDict({"a": theirs[0]})),
    ]:
        assert list(mine.state_dict()) == list(other.state_dict())
        other.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})
        if not isinstance(mine, nn.ModuleDict):
            for change in (
                lambda one, new: one.insert(1, new), lambda one, new: one.append(new),
                lambda one, new: one.__delitem__(0), lambda one, new: one.__setitem__(-1, new),
                lambda one, new: one.extend([new]), lambda one, new: one.pop(1),
            ):  # fmt: skip
                change(mine, nn.Tanh())
                change(other, torch.nn.Tanh())
                assert [type(one).__name__ for one in mine] == [type(one).__name__ for one in other]
                assert list(mine.state_dict()) == list(other.state_dict())
    mine, other = nn.Sequential(*linears(2, 3, 4)), torch.nn.Sequential(*theirs[:2])
    other.load_state_dict({name: torch.from_numpy(one) for name, one in mine.state_dict().items()})
    x = normals(3, 2, dtype=np.float32)
    np.testing.assert_allclose(mine(x), other(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    given = normals(3, 4, 5)
    np.testing.assert_array_equal(nn.Flatten()(given), torch.nn.Flatten()(torch.from_numpy(given)).numpy())
