"""Runs that stopped early, and what a resume makes of them."""

import contextlib

import pytest
from resumed_cases import CODES, plain

from fastdl.training import Callback, EarlyStopping, SaveBest, fit


def stopping(folder, patience, epochs, **options):
    model, optimizer, _ = plain(options.pop("seed", 0))
    options = {"progress": False, "callbacks": [EarlyStopping(patience, min_delta=1.0)]} | options
    data = [(codes, codes[::-1].copy()) for codes in CODES]
    return model, fit(model, optimizer, data, epochs=epochs, checkpoint=folder / "stop", **options)


def test_a_run_stopped_early_goes_on_with_more_patience(tmp_path, capsys):
    (tmp_path / "whole").mkdir()
    whole, expected = stopping(tmp_path / "whole", 50, 7)
    _, history = stopping(tmp_path, 2, 30)
    assert len(history.epochs) == 3
    with pytest.warns(UserWarning, match="stopped early after epoch 3"):
        _, history = stopping(tmp_path, 2, 30, resume=True)
    assert len(history.epochs) == 3
    stopping(tmp_path, 2, 30, resume=True, progress=True)
    assert "stopped early after epoch 3, and nothing is left to do; it goes on with more patience" in (
        capsys.readouterr().err
    )
    model, history = stopping(tmp_path, 50, 7, resume=True, seed=5)
    assert history.losses == expected.losses
    assert model.parameters().data.tobytes() == whole.parameters().data.tobytes()


def test_a_run_stopped_by_another_callback_stays_so(tmp_path):
    class Stop(Callback):
        def on_step_end(self, run):
            if run.step == 8:
                run.stop()

    for resume in (False, True):
        callbacks = [EarlyStopping(50 if resume else 5), Stop()]
        with (
            pytest.warns(UserWarning, match="stopped early in epoch 2, at step 8")
            if resume
            else contextlib.nullcontext()
        ):
            _, history = stopping(tmp_path, 5, 9, callbacks=callbacks, resume=resume)
        assert len(history.losses) == 8


def test_one_object_serves_several_runs(tmp_path):
    once = EarlyStopping(2, min_delta=1.0)
    for _ in range(2):
        _, history = stopping(tmp_path, 2, 30, callbacks=[once, SaveBest(tmp_path / "best")])
        assert len(history.epochs) == 3
