"""A loss, gradient, parameter or validation loss that is not finite ends a run before it is stepped on or saved."""

import sys

import numpy as np
import pytest

import fastdl as fd
from fastdl.training import Callback, EarlyStopping, SaveBest, evaluate, fit
from fastdl.training import _progress as progress_module

X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
Y = (X[:, :1] * 2).astype(np.float32)


def setup(lr=0.1, **options):
    model = fd.nn.Linear(3, 1, rng=0)
    return model, fd.optim.SGD(model.parameters(), lr=lr, **options)


def spoilt(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


def poisoned(at):
    """Mean squared error whose gradient is NaN from call `at` on, under a finite loss."""
    calls = []

    def loss(z, y):
        calls.append(1)
        value, gradient = fd.mse_loss(z, y)
        return value, gradient * np.float32(np.nan) if len(calls) >= at else gradient

    return loss


# ---- what was not finite ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ((spoilt(X, (4, 1), np.nan), Y), r"inputs\[4, 1\] is nan, in batch 2 of epoch 1$"),
        ((spoilt(X, (0, 2), np.inf), Y), r"inputs\[0, 2\] is inf, in batch 2 of epoch 1$"),
        ((X, spoilt(Y, (7, 0), np.nan)), r"targets\[7, 0\] is nan, in batch 2 of epoch 1$"),
        ((np.full_like(X, 3e38), Y), r"the gradient's norm became inf \(in weight.*inputs and targets are finite"),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_message_says_what_was_not_finite(batch, reason, accumulate, tmp_path):
    model, optimizer = setup()
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=reason) as caught:
        fit(
            model, optimizer, [(X, Y), batch], loss=fd.mse_loss, accumulate=accumulate, progress=False,
            checkpoint=tmp_path / "file",
        )  # fmt: skip
    advice = "learning rate" in str(caught.value)
    assert advice == (accumulate == 1 and "inputs[" not in str(caught.value) and "targets[" not in str(caught.value))
    assert not (tmp_path / "file").exists()
    assert np.isfinite(model.parameters().data).all()


def test_nested_inputs_are_looked_through():
    model = fd.models.SequenceClassifier(2, 2, 4, rng=0)
    steps = np.ones((3, 2, 2), np.float32)
    steps[1, 0, 1] = np.nan
    batch = ((steps, np.array([3, 2])), np.array([0, 1]))
    with pytest.raises(FloatingPointError, match=r"at step 1: inputs\[0\]\[1, 0, 1\] is nan, in batch 1 of epoch 1"):
        fit(model, fd.optim.SGD(model.parameters()), [batch], progress=False)


def test_a_model_that_was_not_finite_is_named():
    model, optimizer = setup()
    model.bias.data[0] = np.nan
    with pytest.raises(FloatingPointError, match="the parameter bias is not finite"):
        fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)


# ---- gradients --------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"max_norm": 1.0}, {"accumulate": 2}])
def test_a_gradient_that_is_not_finite_is_not_stepped_on(options, tmp_path):
    model, optimizer = setup()
    good = {}

    class Keep(Callback):
        def on_step_end(self, run):
            good["weights"] = model.parameters().data.copy()

    with pytest.raises(
        FloatingPointError, match=r"gradient's norm became nan \(in weight, under a loss of .* at step 2"
    ):
        fit(
            model, optimizer, [(X, Y)] * 4, loss=poisoned(2 if "accumulate" not in options else 3), progress=False,
            checkpoint=tmp_path / "file", callbacks=[Keep()], **options,
        )  # fmt: skip
    assert np.array_equal(model.parameters().data, good["weights"])
    assert not (tmp_path / "file").exists()
    history = fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)  # nothing of it is left
    assert np.isfinite(history.losses).all()
    assert np.isfinite(model.parameters().data).all()


def test_an_optimizer_that_skips_them_goes_on():
    model, optimizer = setup(nonfinite="skip")
    before = model.parameters().data.copy()
    for options in ({}, {"max_norm": 1.0}):
        history = fit(model, optimizer, [(X, Y)] * 2, loss=poisoned(1), progress=False, **options)
        assert len(history.losses) == 2
    assert optimizer.skipped == 4
    assert np.array_equal(model.parameters().data, before)


def test_gradients_clipped_to_nan_leave_the_arena_as_it_was():
    model, _ = setup()
    model(X)
    model.backward(np.full((8, 1), np.nan, np.float32))
    assert np.isnan(fd.optim.clip_grad_norm_(model.parameters(), 1.0))
    model.zero_grad()
    model(X)
    model.backward(np.ones((8, 1), np.float32))
    assert np.isfinite(fd.optim.clip_grad_norm_(model.parameters(), 1.0))


def test_a_penalty_that_is_not_finite_is_not_stepped_on():
    class Bad:
        def add(self, parameters):
            return float("nan")

    model, optimizer = setup()
    with pytest.raises(FloatingPointError, match=r"the penalties are not finite"):
        fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, penalties=[Bad()], progress=False)


# ---- validation and parameters ----------------------------------------------------------------------
def test_a_validation_loss_that_is_not_finite_ends_the_run_before_anything_is_saved(tmp_path):
    model, optimizer = setup()
    held_out = [(X, Y), (spoilt(X, (1, 1), np.nan), Y)]
    watch = EarlyStopping(1)
    with pytest.raises(
        FloatingPointError, match=r"the validation loss became nan in epoch 1: inputs\[1, 1\] is nan, in batch 2"
    ):
        fit(
            model, optimizer, [(X, Y)], loss=fd.mse_loss, validation=held_out, progress=False, epochs=5,
            checkpoint=tmp_path / "file", callbacks=[SaveBest(tmp_path / "best"), watch],
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert watch.waited == 0
    assert np.isnan(evaluate(model, held_out, loss=fd.mse_loss))  # a measure says what it measured
    assert model.training


def test_a_step_that_ruins_the_parameters_is_not_saved(tmp_path):
    model, optimizer = setup(lr=3e38)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"is no longer finite after step 1: a lower"),
    ):
        fit(
            model, optimizer, [(X * 100, Y * 100)], loss=fd.mse_loss, progress=False, checkpoint=tmp_path / "file",
            callbacks=[SaveBest(tmp_path / "best")],
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


# ---- whose parameters -------------------------------------------------------------------------------
def optimizers(model):
    other = fd.nn.Linear(3, 1, rng=1)
    grown = fd.nn.Sequential(fd.nn.Linear(3, 1))
    part = fd.optim.SGD(grown.parameters())
    grown.more = fd.nn.Linear(1, 1)
    arena = model.parameters()
    return {
        "another model's": (model, fd.optim.SGD(other.parameters())),
        "partly another's": (model, fd.optim.SGD([(arena.data, arena.grad), (np.zeros(2), np.zeros(2))])),
        "arrays of another": (model, fd.optim.SGD([(one.data, one.grad) for one in other.parameters()])),
        "another's gradients": (model, fd.optim.SGD([(model.bias.data, np.zeros(1, np.float32))])),
        "copies": (model, fd.optim.SGD([(one.data.copy(), one.grad.copy()) for one in arena])),
        "some of its arrays": (model, fd.optim.SGD([(model.weight.data, model.weight._grad)])),
        "before it grew": (grown, part),
    }


@pytest.mark.parametrize("what", optimizers(fd.nn.Linear(3, 1)))
def test_an_optimizer_over_other_parameters_is_refused(what):
    model, optimizer = optimizers(fd.nn.Linear(3, 1, rng=0))[what]
    before = [one.data.copy() for one in model.parameters()]
    with pytest.raises(ValueError, match=r"^optimizer: got one .* expected the model's: make it of model.parameters"):
        fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)
    assert all(np.array_equal(one.data, values) for one, values in zip(model.parameters(), before, strict=True))


def test_a_refusal_moves_no_parameters():
    inner = fd.nn.Linear(3, 1, rng=0)
    outer = fd.nn.Sequential(inner)
    optimizer = fd.optim.SGD(outer.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer"):
        fit(inner, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)
    assert len(fit(outer, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False).losses) == 1


def test_lists_of_the_models_arrays_train_it():
    results = []
    for kind in ("arena", "pairs", "whole"):
        model = fd.nn.Linear(3, 1, rng=0)
        arena = model.parameters()
        given = {"arena": arena, "pairs": [(one.data, one.grad) for one in arena], "whole": [(arena.data, arena.grad)]}
        optimizer = fd.optim.Adam(given[kind], lr=0.1)
        fit(model, optimizer, [(X, Y)] * 5, loss=fd.mse_loss, accumulate=2, progress=False)
        results.append(arena.data.copy())
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_an_optimizer_of_ones_own_gets_each_steps_gradient():
    class Plain:
        def __init__(self, parameters):
            self.parameters = parameters

        def step(self):
            self.parameters.data[...] -= np.float32(0.1) * self.parameters.grad

    results = []
    for make in (Plain, lambda parameters: fd.optim.SGD(parameters, lr=0.1)):
        model = fd.nn.Linear(3, 1, rng=0)
        model(X)
        model.backward(np.ones((8, 1), np.float32))  # a leftover that belongs to no step
        fit(model, make(model.parameters()), [(X, Y)] * 5, loss=fd.mse_loss, progress=False)
        results.append(model.parameters().data.copy())
    np.testing.assert_allclose(*results, rtol=1e-6)


# ---- where it is written ----------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["checkpoint", "best"])
def test_files_are_tried_before_the_first_step(where, tmp_path):
    model, optimizer = setup()
    before = model.parameters().data.copy()
    path = tmp_path / "missing" / "name"
    options = {"checkpoint": path} if where == "checkpoint" else {"callbacks": [SaveBest(path)]}
    for target, error in ((path, FileNotFoundError), (tmp_path, IsADirectoryError)):
        if where == "checkpoint":
            options["checkpoint"] = target
        else:
            options["callbacks"] = [SaveBest(target)]
        with pytest.raises(error) as caught:
            fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False, **options)
        assert str(target) in str(caught.value)
    assert np.array_equal(model.parameters().data, before)
    assert list(tmp_path.iterdir()) == []


# ---- after an error, and no stderr ------------------------------------------------------------------
def test_what_a_callback_raises_leaves_a_model_that_trains(tmp_path):
    class Fail(Callback):
        def on_step_end(self, run):
            raise RuntimeError("mine")

    results = []
    for fails in (False, True):
        model, optimizer = setup()
        for _ in range(2):
            if fails:
                with pytest.raises(RuntimeError, match="mine"):
                    fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, callbacks=[Fail()], progress=False)
                assert model.training
            else:
                fit(model, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)
        results.append(model.parameters().data.copy())
    assert np.array_equal(*results)


def test_a_callback_may_evaluate_the_model_and_train_another():
    class Look(Callback):
        def on_step_end(self, run):
            run.model.eval()
            run.model(X)

        def on_epoch_end(self, run):
            run.model.eval()
            other, optimizer = setup()
            fit(other, optimizer, [(X, Y)], loss=fd.mse_loss, progress=False)

    results = []
    for callbacks in ([], [Look()]):
        model, optimizer = setup()
        fit(model, optimizer, [(X, Y)] * 3, loss=fd.mse_loss, epochs=3, callbacks=callbacks, progress=False)
        results.append(model.parameters().data.copy())
    assert np.array_equal(*results)


class Shim:
    def write(self, text):
        raise AssertionError("nothing may be written")


class Broken(Shim):
    def isatty(self):
        raise OSError("gone")


class Closing:
    closed = False

    def isatty(self):
        return False

    def write(self, text):
        raise ValueError("I/O operation on closed file")

    flush = write


@pytest.mark.parametrize("stream", [None, Shim(), Broken(), Closing()])
def test_a_stderr_that_is_none_ends_no_run(stream, monkeypatch):
    monkeypatch.setattr(progress_module.Lines, "interval", 0.0)
    model, optimizer = setup()
    monkeypatch.setattr(sys, "stderr", stream)
    history = fit(model, optimizer, [(X, Y)] * 3, loss=fd.mse_loss, epochs=2)
    monkeypatch.undo()
    assert len(history.losses) == 6


def test_a_closed_stderr_ends_no_run(monkeypatch, tmp_path):
    with (tmp_path / "log").open("w") as stream:
        pass
    model, optimizer = setup()
    monkeypatch.setattr(sys, "stderr", stream)
    history = fit(model, optimizer, [(X, Y)], loss=fd.mse_loss)
    monkeypatch.undo()
    assert len(history.losses) == 1
