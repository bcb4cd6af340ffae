"""A layer of one's own may write its gradients in any way."""

import re
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd


def add(parameter, g):
    parameter.grad += g


def add_into_all(parameter, g):
    parameter.grad[...] += g


def assign(parameter, g):
    parameter.grad = parameter.grad + g


def assign_slice(parameter, g):
    parameter.grad[:] = parameter.grad + g


def claim(parameter, g):
    grad, accumulate = parameter.claim_grad()
    grad[...] = grad + g if accumulate else g


WAYS = [add, add_into_all, assign, assign_slice, claim]


class Scale(fd.nn.Module):
    def __init__(self, write, dtype):
        super().__init__()
        self.write, self.a = write, fd.nn.Parameter("a", np.ones(3, dtype))

    def forward(self, x):
        if self.training:
            self._tape.append(x)
        return x * self.a.data

    def backward(self, dy):
        self.write(self.a, (dy * self._pop()).reshape(-1, 3).sum(0))
        return dy * self.a.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("write", WAYS)
def test_all_ways_train_alike(write, dtype):
    x = np.random.default_rng(0).normal(size=(8, 4, 3)).astype(dtype)
    found = []
    for way in (write, claim):
        layer = Scale(way, dtype)
        model = fd.nn.Sequential(layer, fd.nn.Linear(3, 2, rng=0, dtype=dtype))
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        for k in range(6):
            for _ in range(1 + k % 2):  # sometimes two backwards a step
                model.backward(np.ones_like(model(x[k])))
            if k == 3:
                model.zero_grad()
                model.backward(np.ones_like(model(x[k])))
            optimizer.step()
        found.append(model.parameters().data.copy())
        assert not layer.a.grad.any()  # after a step it counts from 0
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("write", WAYS)
def test_a_layer_used_twice_adds_up(write):
    layer = Scale(write, np.float64)
    x = np.ones((2, 3))
    layer.parameters()
    layer(layer(x))
    layer.backward(layer.backward(np.ones((2, 3))))
    np.testing.assert_array_equal(layer.a.grad, np.full(3, 4.0))


@pytest.mark.parametrize("write", WAYS)
def test_any_row_may_be_written_by_hand(write):
    ours, theirs = (fd.nn.Embedding(5, 2, rng=0) for _ in range(2))
    optimizers = [fd.optim.SGD(one.parameters(), lr=0.1, lazy=lazy) for one, lazy in ((ours, True), (theirs, False))]
    for _ in range(2):
        for one, optimizer in zip((ours, theirs), optimizers, strict=True):
            one(np.array([1]))
            one.backward(np.ones((1, 2), np.float32))
            write(one.weight, np.full((5, 2), 0.5, np.float32))
            optimizer.step()
    np.testing.assert_array_equal(ours.weight.data, theirs.weight.data)
    assert ours.weight.data[3, 0] < fd.nn.Embedding(5, 2, rng=0).weight.data[3, 0]


def test_reading_before_writing_is_zero_and_harmless():
    layer = fd.nn.Linear(2, 1, rng=0, dtype=np.float64)
    optimizer = fd.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        layer(np.ones((1, 2)))
        assert not layer.weight.grad.any()
        assert not layer.parameters().grad.any()
        layer.backward(np.ones((1, 1)))
        np.testing.assert_array_equal(layer.weight.grad, np.ones((2, 1)))
        np.testing.assert_array_equal(layer.parameters().grad.sum(), 3.0)
        optimizer.step()


def test_the_arenas_gradient_is_settled_and_may_be_written():
    model = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0), fd.nn.Linear(2, 1, rng=1))
    arena = model.parameters()
    optimizer = fd.optim.SGD(arena, lr=1.0)
    before = arena.data.copy()
    for _ in range(2):
        arena.grad += 1
        optimizer.step()
    np.testing.assert_array_equal(model[1].bias.data, before[arena.starts[-1]] - 2)
    with pytest.raises(ValueError, match=r"data: got shape"):
        arena.data = np.zeros(3)


def test_penalties_reach_rows_that_no_batch_named():
    tables = [fd.nn.Embedding(5, 2, rng=0) for _ in range(2)]
    for one, lazy in zip(tables, (True, False), strict=True):
        optimizer = fd.optim.SGD(one.parameters(), lr=0.1, lazy=lazy)
        one(np.array([1]))
        one.backward(np.ones((1, 2), np.float32))
        fd.norms.L2(1.0).add(one.parameters())
        optimizer.step()
    np.testing.assert_array_equal(tables[0].weight.data, tables[1].weight.data)


def test_rows_are_those_of_the_batch_as_it_was():
    table, batch = fd.nn.Embedding(6, 2, rng=0), np.array([1])
    optimizer = fd.optim.SGD(table.parameters(), lr=0.1, lazy=True, accumulate=2)
    before = table.weight.data.copy()
    for row in (1, 4):
        batch[0] = row  # a loader that reuses its memory
        table(batch)
        table.backward(np.ones((1, 2), np.float32))
        optimizer.step()
    assert ((table.weight.data != before).any(1) == [False, True, False, False, True, False]).all()


def test_a_refused_backward_leaves_forward_and_gradients():
    layer = fd.nn.Linear(3, 2, rng=0)
    layer(np.ones((4, 3), np.float32))
    for wrong in (np.ones((4, 3), np.float32), np.ones((4, 2)), [1.0]):
        with pytest.raises((TypeError, ValueError), match="^dy: got"):
            layer.backward(wrong)
    assert not layer.weight.written
    layer.backward(np.ones((4, 2), np.float32))
    np.testing.assert_array_equal(layer.bias.grad, [4, 4])


def test_a_parameter_is_floats_and_keeps_to_its_attributes():
    for data in (np.zeros(2, object), np.zeros(2, np.int32), np.zeros(2, bool), np.zeros(2, np.float16), [1.0], None):
        with pytest.raises(TypeError, match="^data: got"):
            fd.nn.Parameter("w", data)
    one = fd.nn.Parameter("w", np.arange(3.0).astype(">f8"))
    assert one.dtype.isnative
    np.testing.assert_array_equal(one.data, [0, 1, 2])
    with pytest.raises(AttributeError, match=r"Parameter.trainable: no such attribute; freeze\(\)"):
        one.trainable = False
    with pytest.raises(TypeError, match="w.grad: got NoneType"):
        one.grad = None
    with pytest.raises(TypeError, match="w.data: got a masked array"):
        one.data = np.ma.masked_array([1.0, 2, 3], [0, 1, 0])


def test_the_page_about_it_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "nn.md"
    if not page.exists():
        pytest.skip("an installed package has no pages")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    exec(compile(code, str(page), "exec"), {})
    assert capsys.readouterr().out.count("passed") == 2
