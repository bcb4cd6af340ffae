"""Refusals of optim name the argument as the caller wrote it."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import Adam


def pairs():
    return [(np.ones((2, 3)), np.ones((2, 3))), (np.ones(3), np.ones(3))]


def model():
    return fd.nn.Sequential(fd.nn.Linear(3, 2, rng=0), fd.nn.Linear(2, 2, rng=1))


USERS = [Adam, fd.optim.ExponentialAverage, lambda given: fd.optim.clip_grad_norm_(given, 1.0)]


@pytest.mark.parametrize("use", USERS)
@pytest.mark.parametrize(
    ("given", "match"),
    [
        (model, r"did you mean its parameters\(\)"),
        (lambda: model().named_parameters(), r"did you mean model.parameters\(\)"),
        (lambda: list(model().parameters())[:1], "some of a model's"),
        (lambda: None, "NoneType"),
        (lambda: 5, "int"),
        (dict, "dict"),
        (list, "none"),
        (lambda: "weights", "str"),
        (lambda: np.zeros((2, 2)), "ndarray"),
        (lambda: iter([]), "none"),
        (lambda: [np.zeros(3)], r"^parameters\[0\]"),
        (lambda: [(np.zeros(3, np.float16),) * 2], r"parameters\[0\]\[0\]: got dtype float16, .* float32 or float64"),
        (lambda: [(np.zeros(3, ">f4"),) * 2], r"parameters\[0\]\[0\]: got dtype >f4, expected native"),
    ],
)
def test_parameters(use, given, match):
    with pytest.raises((TypeError, ValueError), match=match):
        use(given())


@pytest.mark.parametrize("listed", [list, tuple, iter])
def test_a_models_parameters_in_a_list_are_the_models(listed):
    one, other = model(), model()
    x = np.ones((4, 3), np.float32)
    for net, optimizer in (
        (one, Adam(listed(one.parameters()), lr=0.1)),
        (other, Adam(other.parameters(), lr=0.1)),
    ):
        for _ in range(3):
            net.backward(net.forward(x))
            optimizer.step()
    assert all(np.array_equal(a.data, b.data) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    groups = [{"params": [one[0].weight], "lr": 0.5}]
    assert Adam(listed(one.parameters()), groups=groups).groups[1].names == ["0.weight"]


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([{"lr": 0.1}], r'groups\[0\]: got lr, expected "params"'),
        ({"params": [0]}, "groups: got dict"),
        ([5], r"groups\[0\]: got int"),
        (None, "groups: got NoneType"),
        ([{"params": None}], r"groups\[0\]\['params'\]"),
        ([{"params": [[0]]}], r"groups\[0\]\['params'\]"),
        ([{"params": [True]}], r"groups\[0\]\['params'\]"),
        ([{"params": [np.ones(3)]}], r"groups\[0\]\['params'\]"),
        ([{"params": [-1]}], r"groups\[0\]\['params'\]"),
    ],
)
def test_groups(groups, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Adam(pairs(), groups=groups)


@pytest.mark.parametrize("name", ["lr", "weight_decay", "l1", "eps", "betas"])
@pytest.mark.parametrize("value", ["x", np.ones(3), [1], True])
def test_settings(name, value):
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        Adam(pairs(), **{name: value})


@pytest.mark.parametrize("step", [0, -1, 1.5, "x", None, 2**64, True])
def test_steps_of_functions(step):
    arrays = np.ones((4, 3))
    with pytest.raises((TypeError, ValueError), match="^step"):
        fd.optim.adam_update(*arrays, step=step)
    assert (arrays == 1).all()


def test_arrays_of_functions():
    param, grad = np.ones(3), np.ones(3)
    for kind in (np.float16, ">f8", int, complex):
        with pytest.raises(TypeError, match="^param: got dtype .*, expected native float32 or float64"):
            fd.optim.sgd_update(param.astype(kind), grad)
        with pytest.raises(TypeError, match="^average: got dtype"):
            fd.optim.average_update(param.astype(kind), grad, 0.5)
    with pytest.raises(ValueError, match="overlaps"):
        fd.optim.sgd_update(param, param)
    scalar = np.array(1.0)
    fd.optim.sgd_update(scalar, np.array(0.5), lr=1.0)
    assert scalar == 0.5
    fd.optim.sgd_update(np.ones((0, 3)), np.ones((0, 3)))


def test_who_a_scheduler_drives():
    with pytest.raises(TypeError, match="^schedule: got float"):
        fd.optim.Scheduler(Adam(pairs()), 0.5)
    for make in (lambda: fd.optim.Scheduler(model(), lambda step: 1.0), lambda: fd.optim.ReduceOnPlateau(model())):
        with pytest.raises(TypeError, match="^optimizer: got Sequential"):
            make()
