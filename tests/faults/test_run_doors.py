"""A run, its hooks and its data refuse by name what they cannot use, and are then as they were."""

import copy
from typing import Any

import numpy as np
import pytest

import fastdl as fd
from fastdl.training import ArrayBatches, EarlyStopping, History, Run, SaveBest, evaluate, fit

X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
Y = (X[:, :1] * 2).astype(np.float32)
DEFAULTS: dict[str, Any] = {
    "max_norm": None, "accumulate": 1, "penalties": (), "constraints": (), "callbacks": (), "carry_state": False,
}  # fmt: skip


def started(**options: Any) -> Run:
    model = fd.nn.Linear(3, 1, rng=0)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    return Run(*{"model": model, "optimizer": optimizer, "loss": fd.mse_loss}.values(), **DEFAULTS | options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_norm", -1.0),
        ("accumulate", 0),
        ("penalties", [3]),
        ("constraints", fd.norms.MaxNorm(1.0)),
        ("callbacks", [print]),
        ("carry_state", 1),
        ("carry_state", True),
        ("schedule", 3),
        ("count", "x"),
    ],
)
def test_a_run_asks_for_its_parts(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}\b"):
        started(**{name: value})


def test_a_run_asks_for_its_model_optimizer_and_loss() -> None:
    model = fd.nn.Linear(3, 1, rng=0)
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
    other = fd.optim.SGD(fd.nn.Linear(3, 1, rng=0).parameters(), lr=0.1)
    for given, name in (
        ((3, optimizer, fd.mse_loss), "model"),
        ((model, 3, fd.mse_loss), "optimizer"),
        ((model, other, fd.mse_loss), "optimizer"),
        ((model, optimizer, "mse"), "loss"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"^{name}: "):
            Run(*given, **DEFAULTS)


def test_a_function_of_the_step_is_a_schedule_of_a_run_too() -> None:
    run = started(schedule=fd.optim.schedules.exponential(0.5))
    run.update([(X, Y)])
    assert run.optimizer.lr == pytest.approx(0.05)


@pytest.mark.parametrize("group", [None, 3, "ab", [3], [(X,)], [(X, Y, Y)], [{"x": X, "y": Y}], [(X, Y), None]])
def test_a_group_that_is_none(group: Any) -> None:
    run = started()
    with pytest.raises((TypeError, ValueError), match="^group: "):
        run.update(group)
    assert (run.step, run.batch, run.history.losses) == (0, 0, [])


def test_a_group_whose_second_batch_is_refused_leaves_no_gradient() -> None:
    run = started()
    with pytest.raises(ValueError, match="^group: in batch 2, x: "):
        run.update([(X, Y), (X[:, :2], Y)])
    assert not run.model.weight.written
    assert len(run.model._tape) == 0
    values = run.model.weight.data.copy()
    run.update([(X, Y)])
    other = started()
    other.update([(X, Y)])
    assert np.array_equal(run.model.weight.data, other.model.weight.data)
    assert not np.array_equal(run.model.weight.data, values)


def test_an_epoch_without_a_step_has_no_end() -> None:
    run = started()
    with pytest.raises(ValueError, match="^epoch: got no targets"):
        run.finish_epoch(None)
    run.update([(X, Y)])
    for wrong in ("x", [1.0], np.ones(2)):
        with pytest.raises(TypeError, match="^validation_loss: "):
            run.finish_epoch(wrong)
    with pytest.raises(TypeError, match="^seconds: "):
        run.seconds = "x"
    assert run.epoch == 0
    assert run.finish_epoch(0.5)["validation_loss"] == 0.5


@pytest.mark.parametrize("make", [EarlyStopping, lambda: SaveBest("best.safetensors")])
@pytest.mark.parametrize("run", [None, 3, fd.training.Callback()])
def test_a_hook_asks_for_a_run(make: Any, run: Any) -> None:
    callback = make()
    before = copy.copy(vars(callback))
    for hook in (callback.on_train_begin, callback.on_epoch_end):
        with pytest.raises(TypeError, match="^run: got .*expected a fastdl.training.Run"):
            hook(run)
    with pytest.raises(ValueError, match="^run: got one without an epoch"):
        callback.on_epoch_end(started())
    assert vars(callback) == before


def test_flags_are_true_or_false() -> None:
    run = started()
    for name in ("carry_state", "resume", "progress"):
        with pytest.raises(TypeError, match=f"^{name}: .*expected True or False"):
            fit(run.model, run.optimizer, [(X, Y)], loss=fd.mse_loss, checkpoint="c.safetensors", **{name: 1})
    with pytest.raises(TypeError, match="^shuffle: "):
        ArrayBatches(X, Y, 2, shuffle=1)
    with pytest.raises(TypeError, match="^progress: "):
        fd.models.Classifier(3, 2, hidden=4, rng=0).fit(X, np.zeros(8, int), progress=1)


def test_a_model_that_carries_nothing_is_refused_before_anything_is_done() -> None:
    run = started()
    run.model.weight.grad = np.ones((3, 1), np.float32)
    for call in (
        lambda: fit(run.model, run.optimizer, [(X, Y)], loss=fd.mse_loss, carry_state=True, progress=False),
        lambda: evaluate(run.model, [(X, Y)], loss=fd.mse_loss, carry_state=True),
    ):
        with pytest.raises(ValueError, match=r"^carry_state: got True, .* Linear.forward\(x, state"):
            call()
    assert run.model.weight.grad.all()


def test_places_in_the_data_and_columns_are_named() -> None:
    batches = ArrayBatches(X, Y, 2)
    for epoch, start, name in (("x", 0, "epoch"), (-1, 0, "epoch"), (0, 0.5, "start"), (0, -1, "start")):
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            list(batches.iterate(epoch, start))
    for column in ("x", 3, None, [1], np.ones(2)):
        with pytest.raises(ValueError, match="^column: "):
            History()[column]
    with pytest.raises(ValueError, match="^path: got .*expected no NUL"):
        SaveBest("a\0b")
    with pytest.raises(ValueError, match="^path: got .*expected a name in utf-8"):
        SaveBest("\ud800")


def test_a_curve_is_drawn_where_and_as_it_can_be(tmp_path: Any) -> None:
    run = started()
    run.update([(X, Y)])
    run.finish_epoch(None)
    for options, message in (
        ({"path": 3}, "path: got int"),
        ({"path": tmp_path / "curve.nope"}, "path: got .*, expected one of .*png"),
        ({"label": 3}, "label: got 3, expected a str"),
        ({"label": "\ud800"}, "label: got .*, expected a text without lone surrogates"),
        ({"scale": "x"}, "scale: got 'x', expected a number"),
        ({"scale": 1e308}, "scale: got 1e\\+308, expected a number in"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{message}"):
            run.history.plot(**{"path": tmp_path / "curve"} | options)
    assert not list(tmp_path.iterdir())
    run.history.plot(tmp_path / "curve.SVG")
    assert (tmp_path / "curve.SVG").read_bytes().startswith(b"<?xml")


def test_what_a_model_or_a_loss_refuses_is_said_with_its_batch() -> None:
    run = started()
    good, wide, short = (X, Y), (X[:, :2], Y), (X, Y[:7])
    for bad, message in ((wide, r"x: got shape \(8, 2\)"), (short, r"target: got shape \(7, 1\)")):
        for name, call in (
            ("group", lambda bad: run.update([good, bad])),
            ("batches", lambda bad: fit(run.model, run.optimizer, [good, bad], loss=fd.mse_loss, progress=False)),
            ("batches", lambda bad: evaluate(run.model, [good, bad], loss=fd.mse_loss)),
        ):
            with pytest.raises(ValueError, match=rf"^{name}: in batch 2, {message}"):
                call(bad)

    class OnesOwn(ValueError):
        def __init__(self, one: int, two: int) -> None:
            super().__init__("my own")

    def loss(z: Any, y: Any) -> Any:
        raise OnesOwn(1, 2)

    with pytest.raises(OnesOwn, match="^my own$"):
        evaluate(run.model, [good], loss=loss)
