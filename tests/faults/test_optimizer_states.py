"""Optimizers, schedulers and averages: copies go on as the original, states fit or are refused."""

import copy
import json
import pickle

import numpy as np
import pytest
from optim_cases import FOR_MODELS, optimizers

import fastdl as fd
from fastdl.optim import schedules as s

OPTIONS = {"SGD": {"momentum": 0.9}, "RMSProp": {"centered": True, "momentum": 0.5}}
RULES = optimizers()
AVERAGES = [fd.optim.ExponentialAverage, fd.optim.StochasticAverage]


def pairs():
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal(shape).astype(kind), np.zeros(shape, kind))
        for shape, kind in (((2, 3), np.float32), ((), np.float64), ((5,), np.float32))
    ]


def make(rule, arrays, **settings):
    groups = [{"params": [0], "lr": 0.02}, *FOR_MODELS.get(rule.__name__, {"groups": []})["groups"]]
    return rule(arrays, groups=groups, **OPTIONS.get(rule.__name__, {}), **settings)


def go(optimizer, arrays, steps):
    for _ in range(steps):
        rng = np.random.default_rng(optimizer.steps)
        for _, grad in arrays:
            grad[...] = rng.standard_normal(grad.shape)
        optimizer.step()


def same(one, other):
    return all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, other, strict=True))


def through_json(state):
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_with_its_arrays_goes_on_as_the_original(rule, copied):
    arrays = pairs()
    optimizer = make(rule, arrays)
    go(optimizer, arrays, 7)
    others, twin = copied((arrays, optimizer))
    assert same(arrays, others)
    go(optimizer, arrays, 5)
    assert not same(arrays, others)
    go(twin, others, 5)
    assert same(arrays, others)


@pytest.mark.parametrize("rule", RULES)
def test_a_shallow_copy_has_a_state_of_its_own(rule):
    arrays = pairs()
    optimizer = make(rule, arrays)
    go(optimizer, arrays, 3)
    before = through_json(optimizer.state_dict())
    go(copy.copy(optimizer), arrays, 2)
    assert through_json(optimizer.state_dict()) == before


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("carried", [copy.deepcopy, through_json])
def test_a_state_loaded_into_a_twin_goes_on(rule, carried):
    arrays = pairs()
    optimizer = make(rule, arrays)
    optimizer.groups[1].settings["weight_decay"] = 0.25
    go(optimizer, arrays, 7)
    others = copy.deepcopy(arrays)
    twin = make(rule, others)
    twin.load_state_dict(carried(optimizer.state_dict()))
    assert twin.groups[1].settings == optimizer.groups[1].settings
    go(optimizer, arrays, 5)
    go(twin, others, 5)
    assert same(arrays, others)


@pytest.mark.parametrize("rule", RULES)
def test_a_copied_scheduler_drives_the_copied_optimizer(rule):
    arrays = pairs()
    scheduler = fd.optim.Scheduler(make(rule, arrays), s.warm_up(s.one_cycle(9), 3))
    for one in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        before = scheduler.optimizer.lr
        for _ in range(4):
            one.step()
        assert scheduler.optimizer.lr == before != one.optimizer.lr
        assert one.optimizer is not scheduler.optimizer


@pytest.mark.parametrize("average", AVERAGES)
def test_a_copied_average_follows_the_copied_arrays(average):
    arrays = pairs()
    one = average(arrays)
    for copied in (copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))):
        others, twin = copied((arrays, one))
        shallow = copy.copy(one)
        before = [array.copy() for array in one.arrays]
        for param, _ in others:
            param[...] = 3.0
        twin.update()
        shallow.update()
        assert all(np.array_equal(array, old) for array, old in zip(one.arrays, before, strict=True))
        assert not np.array_equal(twin.arrays[0], before[0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("other", RULES)
def test_the_state_of_another_class_is_refused(rule, other):
    if rule is other:
        return
    with pytest.raises(ValueError, match=f"got the state of {rule.__name__}, expected that of {other.__name__}"):
        make(other, pairs()).load_state_dict(make(rule, pairs()).state_dict())


def test_the_state_of_another_model_is_refused():
    one = fd.nn.Sequential(fd.nn.Linear(16, 32), fd.nn.Linear(32, 16))
    other = fd.nn.Sequential(fd.nn.Linear(32, 16), fd.nn.Linear(16, 32))
    optimizer = fd.optim.Adam(other.parameters())
    with pytest.raises(ValueError, match=r"got the state of 0.weight \(16, 32\), expected that of 0.weight \(32, 16\)"):
        optimizer.load_state_dict(fd.optim.Adam(one.parameters()).state_dict())
    with pytest.raises(ValueError, match="expected that of"):
        fd.optim.Adam(pairs()[:1]).load_state_dict(fd.optim.Adam(turned()).state_dict())


def turned():
    return [(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32))]


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda state: None, "state"),
        (lambda state: {}, "state"),
        (lambda state: {name: one for name, one in state.items() if name != "rule"}, "earlier version"),
        (lambda state: state | {"waiting": 2}, "waiting"),
        (lambda state: state | {"steps": 2**64}, "steps"),
        (lambda state: state | {"groups": None}, "groups"),
        (lambda state: state | {"groups": [None]}, "groups"),
        (lambda state: state | {"groups": [state["groups"][0] | {"runs": None}]}, "runs"),
        (lambda state: state | {"groups": [state["groups"][0] | {"runs": [None] * 3}]}, "runs"),
        (lambda state: state | {"groups": [state["groups"][0] | {"names": ["1", "0", "2"]}]}, "state of 1"),
        (lambda state: state | {"groups": [state["groups"][0] | {"shapes": None}]}, "shapes"),
        (lambda state: state | {"groups": [state["groups"][0] | {"settings": {}}]}, "settings"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name_and_changes_nothing(spoil, match):
    arrays = pairs()
    optimizer = fd.optim.Adam(arrays, accumulate=2)
    optimizer.step()
    good = through_json(optimizer.state_dict())
    with pytest.raises((TypeError, ValueError), match=match):
        optimizer.load_state_dict(spoil(optimizer.state_dict()))
    assert through_json(optimizer.state_dict()) == good


def test_variant_and_membership_have_to_agree():
    state = fd.optim.Adam(pairs()).state_dict()
    with pytest.raises(ValueError, match="variant 'torch', expected 'keras'"):
        fd.optim.Adam(pairs(), variant="keras").load_state_dict(state)
    grouped = fd.optim.Adam(pairs(), groups=[{"params": [2]}]).state_dict()
    with pytest.raises(ValueError, match="groups"):
        fd.optim.Adam(pairs()).load_state_dict(grouped)
    with pytest.raises(ValueError, match="parameters|state of"):
        fd.optim.Adam(pairs(), groups=[{"params": [0]}]).load_state_dict(grouped)


@pytest.mark.parametrize("average", AVERAGES)
def test_states_of_averages_fit_or_are_refused(average):
    arrays = pairs()
    one, twin = average(arrays), average(arrays)
    one.update()
    twin.load_state_dict(through_json(one.state_dict()))
    assert twin.updates == 1
    other = next(kind for kind in AVERAGES if kind is not average)
    state = one.state_dict()
    for bad in (
        None, {}, {"updates": 1, "arrays": state["arrays"]}, other(arrays).state_dict(),
        average(arrays[::-1]).state_dict(), state | {"arrays": None}, state | {"updates": -1},
        state | {"arrays": [*state["arrays"][:2], np.zeros(4, np.float32)], "updates": 9},
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match="state"):
            twin.load_state_dict(bad)
    assert twin.updates == 1


def test_a_repr_says_what_it_is():
    optimizer = fd.optim.AdamW(pairs(), lr=0.5, groups=[{"params": [0], "weight_decay": 0.0}], clip_norm=1.0)
    for part in ("AdamW", "lr=0.5", "0: 2 (6 elements)", "weight_decay=0.0", "clip_norm=1.0", "steps=0"):
        assert part in repr(optimizer)
    assert repr(fd.optim.Scheduler(optimizer, s.cosine(9, end=0.1))) == "Scheduler(AdamW, cosine(9, end=0.1), step 0)"
    assert "updates=0" in repr(fd.optim.StochasticAverage(pairs()))
