"""A refused or failed call leaves optimizer, scheduler, average and parameters as they were."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import schedules as s


def pairs():
    return [(np.ones(3), np.full(3, 0.5)), (np.ones(2, np.float32), np.ones(2, np.float32))]


def frozen(state):
    return repr(state)


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf, 1e39, "x", None, np.ones(2)])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_bad_grad_scale(scale, accumulate):
    arrays = pairs()
    optimizer = fd.optim.Adam(arrays, accumulate=accumulate)
    for _ in range(accumulate - 1):
        optimizer.step()
    before = frozen(optimizer.state_dict())
    with pytest.raises((TypeError, ValueError), match="grad_scale"):
        optimizer.step(grad_scale=scale)
    assert frozen(optimizer.state_dict()) == before
    optimizer.step()
    assert optimizer.steps == 1
    assert np.isfinite(arrays[0][0]).all()


def test_a_raising_check_of_gradients():
    arrays = pairs()
    arrays[0][1][0] = np.nan
    optimizer = fd.optim.Adam(arrays, accumulate=2, nonfinite="raise")
    optimizer.step()
    before = frozen(optimizer.state_dict())
    with pytest.raises(FloatingPointError):
        optimizer.step()
    assert frozen(optimizer.state_dict()) == before
    assert all((param == 1).all() for param, _ in arrays)


def test_parameters_that_moved():
    layer = fd.nn.Linear(2, 2)
    optimizer = fd.optim.Adam(layer.parameters(), accumulate=2)
    optimizer.step()
    before = frozen(optimizer.state_dict())
    fd.nn.Sequential(layer).parameters()
    with pytest.raises(ValueError, match="larger model"):
        optimizer.step()
    assert frozen(optimizer.state_dict()) == before


def test_rows_beyond_the_table():
    model = fd.nn.Sequential(fd.nn.Embedding(4, 2, rng=0), fd.nn.Linear(2, 2, rng=0))
    optimizer = fd.optim.Adam(model.parameters(), lazy=True, groups=[{"params": ["0.weight"]}])
    kept = model.state_dict()
    with pytest.raises(ValueError, match="^rows: "):
        model[0].weight.claim_grad(rows=np.array([0, 7]))
    rows = np.array([0, 1])
    grad, _ = model[0].weight.claim_grad(rows=rows)
    grad[0] = 1
    model[0].weight._ledger[model[0].weight][0][1] = 7  # whoever names rows behind its back
    with pytest.raises(ValueError, match="rows"):
        optimizer.step()
    assert optimizer.steps == 0
    assert all(np.array_equal(one, kept[name]) for name, one in model.state_dict().items())


@pytest.mark.parametrize("rate", [-1, math.nan, math.inf, 1e39, "x", np.ones(2)])
def test_rates(rate):
    optimizer = fd.optim.Adam(pairs(), groups=[{"params": [1], "lr": 0.5}])
    with pytest.raises((TypeError, ValueError), match="lr"):
        optimizer.lr = rate
    for group in optimizer.groups:
        with pytest.raises((TypeError, ValueError), match="lr"):
            group.lr = rate
        with pytest.raises((TypeError, ValueError), match="lr"):
            group.settings["lr"] = rate
    with pytest.raises((TypeError, ValueError), match=r"^rates\[1\]"):
        optimizer.set_rates([0.1, rate])
    assert [group.lr for group in optimizer.groups] == [0.001, 0.5]


def test_settings_of_a_group():
    group = fd.optim.SGD(pairs()).groups[0]
    before = dict(group.settings)
    for name, value in (("momentum", 0.9), ("nesterov", True), ("variant", "x"), ("beta", 1), ("l1", -1.0)):
        with pytest.raises(ValueError):
            group.settings[name] = value
    with pytest.raises(TypeError):
        del group.settings["lr"]
    assert group.settings == before


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf, 1e300, "x", None])
def test_a_schedule_that_fails(factor):
    optimizer = fd.optim.SGD(pairs(), groups=[{"params": [1], "lr": 0.5}])
    with pytest.raises((TypeError, ValueError)):
        fd.optim.Scheduler(optimizer, lambda step: factor)
    scheduler = fd.optim.Scheduler(optimizer, lambda step: 0.5 if step < 2 else factor)
    scheduler.step()
    before = frozen(scheduler.state_dict())
    for call in (scheduler.step, lambda: scheduler.load_state_dict({"step_number": 7, "base": [0.1, 0.1]})):
        with pytest.raises((TypeError, ValueError)):
            call()
        assert frozen(scheduler.state_dict()) == before
        assert [group.lr for group in optimizer.groups] == [0.005, 0.25]


@pytest.mark.parametrize(
    "state",
    [
        None, {}, {"step_number": 5}, {"step_number": 5, "base": None}, {"step_number": 5, "base": [-1.0]},
        {"step_number": 5, "base": [math.inf]}, {"step_number": -1, "base": [1.0]}, {"step_number": 5, "base": []},
    ],
)  # fmt: skip
def test_states_of_a_scheduler(state):
    optimizer = fd.optim.SGD(pairs())
    scheduler = fd.optim.Scheduler(optimizer, s.cosine(10))
    with pytest.raises((TypeError, ValueError), match="state|lr"):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == {"step_number": 0, "base": [0.01]}
    assert optimizer.lr == 0.01


def test_a_plateau():
    optimizer = fd.optim.SGD(pairs())
    plateau = fd.optim.ReduceOnPlateau(optimizer, patience=1)
    plateau.step(2.0)
    plateau.step(np.float32(math.nan))
    before = plateau.state_dict()
    for measure in ("x", None, np.ones(2), True):
        with pytest.raises(TypeError, match="measure"):
            plateau.step(measure)
    for state in (
        None, {}, {"best": 1.0, "bad": 0, "resting": 0}, before | {"best": 9.0, "bad": -1},
        before | {"best": "x"}, before | {"best": 9.0, "resting": None}, before | {"mode": "max"},
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match="state"):
            plateau.load_state_dict(state)
    assert plateau.state_dict() == before == {"mode": "min", "best": 2.0, "bad": 1, "resting": 0}


def test_a_plateau_of_negative_measures_and_small_rates():
    optimizer = fd.optim.SGD(pairs(), lr=1e-3)
    plateau = fd.optim.ReduceOnPlateau(optimizer, factor=0.5, patience=1)
    for _ in range(3):
        plateau.step(-5.0)  # no improvement, though -5 < -5 + 1e-4 * 5
    assert optimizer.lr == 5e-4
    plateau = fd.optim.ReduceOnPlateau(optimizer, patience=0, min_lr=0.1)
    plateau.step(1.0)
    plateau.step(1.0)
    assert optimizer.lr == 5e-4  # a reduction raises no rate


def test_an_average_over_parameters_that_moved():
    layer = fd.nn.Linear(2, 2)
    average = fd.optim.ExponentialAverage(layer.parameters())
    fd.nn.Sequential(layer).parameters()
    with pytest.raises(ValueError, match="larger model"):
        average.update()
    assert average.updates == 0
