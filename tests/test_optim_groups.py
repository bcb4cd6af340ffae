"""Groups of an optimizer: chosen by prefix, of another rule, added later; and what an optimizer prints."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import SGD, Adam, AdamW, Lion


def network():
    return fd.nn.Sequential(fd.nn.Embedding(5, 3, rng=0), fd.nn.LSTM(3, 4, rng=1), fd.nn.Linear(4, 5, rng=2))


X = np.arange(20).reshape(4, 5) % 5


def train(model, optimizer, steps=3):
    for _ in range(steps):
        _, slope = fd.softmax_cross_entropy(model.forward(X), (X + 1) % 5)
        model.backward(slope)
        optimizer.step()


def test_a_prefix_takes_whole_names():
    class Pair(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.encoder2 = fd.nn.Linear(2, 2, rng=0), fd.nn.Linear(2, 2, rng=1)

    for prefix in ("encoder", "encoder."):
        optimizer = Adam(Pair().parameters(), groups=[{"params": prefix, "lr": 0.5}])
        assert optimizer.groups[1].names == ["encoder.weight", "encoder.bias"]
        assert optimizer.groups[0].names == ["encoder2.weight", "encoder2.bias"]
    one = Adam(Pair().parameters(), groups=[{"params": "encoder.weight", "lr": 0.5}])
    assert one.groups[1].names == ["encoder.weight"]
    with pytest.raises(
        ValueError, match=r"groups\[0\]\['params'\]: got 'enc', which begins no name; the names are enc"
    ):
        Adam(Pair().parameters(), groups=[{"params": "enc"}])


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_group_of_another_rule_is_that_rule(backend):
    with fd.backend(backend):
        mixed, adam, lion = network(), network(), network()
        group = {"params": "2", "optimizer": Lion, "lr": 0.01}
        optimizer = Adam(mixed.parameters(), 0.05, groups=[group])
        train(mixed, optimizer, 1)
        train(adam, Adam(adam.parameters(), 0.05), 1)
        train(lion, Lion(lion.parameters(), 0.01), 1)
        for (name, one), (_, of_adam), (_, of_lion) in zip(
            mixed.named_parameters(), adam.named_parameters(), lion.named_parameters(), strict=True
        ):
            assert np.array_equal(one.data, (of_lion if name.startswith("2") else of_adam).data)
        assert set(optimizer.groups[1].runs[0].states) == {"m"}
        train(mixed, optimizer)
        twin = network()
        twin.load_state_dict(mixed.state_dict())
        other = Adam(twin.parameters(), 0.05, groups=[group])
        other.load_state_dict(optimizer.state_dict())
        train(mixed, optimizer)
        train(twin, other)
        assert np.array_equal(mixed.parameters().data, twin.parameters().data)


def test_groups_that_are_refused():
    parameters = network().parameters()
    for group, error, match in (
        (
            {"params": "2", "optimizer": "AdamW"},
            TypeError,
            r"groups\[0\]\['optimizer'\]: got 'AdamW', expected a class",
        ),
        ({"params": "2", "optimizer": fd.optim.Optimizer}, TypeError, "optimizer"),
        ({"params": "2", "optimizer": SGD, "betas": (0.9, 0.9)}, TypeError, "expected settings of SGD"),
        ({"params": "2", "optimizer": SGD, "momentum": -1}, ValueError, r"groups\[0\]\['momentum'\]"),
        ({"params": "2", "optimizer": fd.optim.Muon}, ValueError, r"parameters\['2.bias'\]: got shape \(5,\)"),
    ):
        with pytest.raises(error, match=match):
            Adam(parameters, groups=[group])
    with pytest.raises(ValueError, match="lazy: got True, for which Lion"):
        Adam(parameters, lazy=True, groups=[{"params": "2", "optimizer": Lion}])


# ---- a group that is added later ------------------------------------------------------------------------


def test_the_new_group_begins_anew_and_the_others_go_on():
    model, twin = network(), network()
    optimizer, other = Adam(model.parameters(), 0.05), Adam(twin.parameters(), 0.05)
    model[0].freeze()
    twin[0].freeze()
    train(model, optimizer)
    train(twin, other)
    model[0].unfreeze()
    twin[0].unfreeze()
    optimizer.add_group({"params": "0", "lr": 0.01})
    assert [group.names for group in optimizer.groups] == [model.parameters().names[1:], ["0.weight"]]
    before = twin[0].weight.data.copy()
    train(model, optimizer, 1)
    train(twin, other, 1)
    assert np.array_equal(model.parameters().data[64:], twin.parameters().data[64:])  # the others, as without
    # Adam's first step, from states of zero, is lr times the sign.
    named = np.abs(twin[0].weight.data - before) > 0
    np.testing.assert_allclose(np.abs(model[0].weight.data - before)[named], 0.01, rtol=1e-3)


@pytest.mark.parametrize("name", ["Adam", "SGD", "Rprop", "Adafactor"])
def test_an_added_group_is_saved_and_resumed(name):
    def make():
        model = network()
        return model, getattr(fd.optim, name)(model.parameters(), 0.02)

    group = {"params": "1", "optimizer": AdamW, "lr": 0.03}
    (model, optimizer), (twin, other) = make(), make()
    train(model, optimizer)
    late = make()[1]
    late.add_group(group)
    with pytest.raises(ValueError, match="got 1 groups, expected 2"):
        late.load_state_dict(optimizer.state_dict())
    optimizer.add_group(group)
    train(model, optimizer)
    optimizer.groups[1].lr = 0.04
    twin.load_state_dict(model.state_dict())
    other.add_group(group)
    other.load_state_dict(optimizer.state_dict())
    assert (other.groups[1].since, other.groups[1].lr) == (3, 0.04)
    copies = [pickle.loads(pickle.dumps((model, optimizer))), copy.deepcopy((model, optimizer))]
    train(model, optimizer)
    train(twin, other)
    assert np.array_equal(model.parameters().data, twin.parameters().data)
    for one, of in copies:
        train(one, of)
        assert np.array_equal(model.parameters().data, one.parameters().data)
    at_once = getattr(fd.optim, name)(network().parameters(), 0.02, groups=[group])
    at_once.load_state_dict(optimizer.state_dict())
    assert at_once.groups[1].since == 3


def test_an_added_group_of_a_table_is_updated_by_rows():
    model, twin = network(), network()
    optimizer = Adam(model.parameters(), 0.05, lazy=True)
    other = Adam(twin.parameters(), 0.05, lazy=True, groups=[{"params": "0", "lr": 0.01}])
    optimizer.add_group({"params": "0", "lr": 0.01})
    for one, of in ((model, optimizer), (twin, other)):
        _, slope = fd.softmax_cross_entropy(one.forward(X % 2), X)
        one.backward(slope)
        of.step()
    assert np.array_equal(model.parameters().data, twin.parameters().data)
    assert np.array_equal(model[0].weight.data[2:], network()[0].weight.data[2:])
    with pytest.raises(ValueError, match="lazy"):
        optimizer.add_group({"params": "1", "optimizer": Lion})


def test_a_state_of_before_groups_could_be_added_is_taken():
    model = network()
    optimizer = Adam(model.parameters())
    train(model, optimizer)
    state = optimizer.state_dict()
    del state["groups"][0]["since"]
    optimizer.load_state_dict(state)
    assert optimizer.groups[0].since == 0
    for bad in (-1, 4, 1.5, "0"):
        with pytest.raises((TypeError, ValueError), match="since"):
            optimizer.load_state_dict(state | {"groups": [state["groups"][0] | {"since": bad}]})


def test_further_pairs():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 3)) for _ in range(3)]
    optimizer = Adam([tuple(arrays[0])], 0.1)
    optimizer.step()
    optimizer.add_group({"params": [tuple(arrays[1]), tuple(arrays[2])], "lr": 0.5})
    assert [group.names for group in optimizer.groups] == [["0"], ["1", "2"]]
    before = [one.copy() for one in arrays]
    optimizer.step()
    for one, old, rate in zip(arrays, before, (0.1, 0.5, 0.5), strict=True):
        np.testing.assert_allclose(old[0] - one[0], rate * np.sign(old[1]), rtol=1e-6)
    with pytest.raises(ValueError, match="overlaps"):
        optimizer.add_group({"params": [(arrays[1][0], np.zeros(3))]})
    with pytest.raises(TypeError, match=r"group\['params'\]: got pairs of arrays"):
        Adam(network().parameters()).add_group({"params": [tuple(arrays[1])]})
    assert len(optimizer.groups) == 2


def test_a_group_that_is_refused_changes_nothing():
    model = network()
    optimizer = Adam(model.parameters(), 0.1)
    train(model, optimizer)
    before = repr(optimizer), [group.runs for group in optimizer.groups]
    for bad in (
        None, {}, {"params": "3"}, {"params": lambda name, one: False}, {"params": "2", "rate": 1}, {"params": 3},
        {"params": "2", "lr": -1}, {"params": ["2.weights"]}, {"params": "2", "optimizer": 1}, {"params": [(1, 2)]},
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match="group|pairs|parameters"):
            optimizer.add_group(bad)
        assert (repr(optimizer), [group.runs for group in optimizer.groups]) == before


def test_a_scheduler_takes_the_new_group_along():
    model = network()
    optimizer = SGD(model.parameters(), lr=1.0)
    scheduler = fd.optim.Scheduler(optimizer, fd.optim.schedules.exponential(0.5))
    scheduler.step()
    optimizer.add_group({"params": "0", "lr": 8.0})
    assert [group.lr for group in optimizer.groups] == [0.5, 8.0]
    assert scheduler.state_dict()["base"] == [1.0, 8.0]
    scheduler.step()
    assert [group.lr for group in optimizer.groups] == [0.25, 2.0]
    scheduler.load_state_dict(scheduler.state_dict())
    optimizer.set_rates([0.1, 0.2])
    assert [group.lr for group in optimizer.groups] == [0.1, 0.2]


def test_what_an_optimizer_prints():
    model = network()
    optimizer = AdamW(model.parameters(), lr=0.5, clip_norm=1.0)
    assert repr(optimizer) == "AdamW(lr=0.5, clip_norm=1.0, steps=0, parameters=7 (184 elements))"
    assert "weight_decay=0.3, nonfinite='skip'" in repr(AdamW(model.parameters(), weight_decay=0.3, nonfinite="skip"))
    optimizer.add_group({"params": lambda name, one: one.ndim == 1, "weight_decay": 0.0})
    optimizer.add_group({"params": "0", "optimizer": SGD, "lr": 0.1})
    assert repr(optimizer).splitlines() == [
        "AdamW(lr=0.5, clip_norm=1.0, steps=0), in groups:",
        "  0: 3 (132 elements): 1.weight_ih_l0, 1.weight_hh_l0, 2.weight",
        "  1: 3 (37 elements), weight_decay=0.0: 1.bias_ih_l0, 1.bias_hh_l0, 2.bias",
        "  2: SGD, 1 (15 elements), lr=0.1: 0.weight",
    ]
