"""What is learnt from which initial weights: the lessons' data, that runs go on where they stopped, and the table."""

import json

import learning
import numpy as np
import pytest
from learning import Records, Run
from lessons import RECENT, Lesson, by_fastdl, learn, lessons


def drawn(task, T=20, B=6):
    lesson = lessons()[task]._replace(T=T, B=B)
    return lesson, *lesson.draw(np.random.default_rng(3), T, B)


def test_adding_marks_one_number_in_each_half():
    _, x, target = drawn("adding")
    np.testing.assert_array_equal(x[:10, :, 1].sum(0), np.ones(6))
    np.testing.assert_array_equal(x[10:, :, 1].sum(0), np.ones(6))
    np.testing.assert_array_equal((x[..., 0] * x[..., 1]).sum(0), target[0, :, 0])


@pytest.mark.parametrize("task", ["temporal order", "temporal order, short"])
def test_temporal_order_tells_which_of_two_symbols_came_first(task):
    _, x, target = drawn(task, T=100, B=40)
    assert 100 <= len(x) <= 110
    for sequence, wanted in zip(x.argmax(-1).T, target[0].argmax(-1), strict=True):
        (at,) = np.nonzero((sequence == 2) | (sequence == 3))
        assert len(at) == 2
        assert 10 <= at[0] <= 20
        assert 50 <= at[1] <= 60
        assert wanted == 2 * (sequence[at[0]] == 3) + (sequence[at[1]] == 3)
        assert (sequence[0], sequence[-1]) == (0, 1)


def test_copying_wants_what_stood_at_the_beginning():
    _, x, target = drawn("copying")
    symbols = x.argmax(-1)
    np.testing.assert_array_equal(symbols[:4], target)
    assert set(symbols[4:-5].ravel()) == set(symbols[-4:].ravel()) == {4}
    assert set(symbols[-5]) == {5}


def test_text_wants_the_next_character():
    lesson, x, target = drawn("text")
    np.testing.assert_array_equal(x[1:], target[:-1])
    assert 0 <= x.min() <= x.max() < lesson.outputs


@pytest.mark.parametrize("task", lessons())
def test_a_learner_learns(task):
    """The loss of a batch that is seen again and again falls."""
    lesson, x, target = drawn(task, T=10)
    for cell in lesson.cells:
        for init in learning.INITS[cell]:
            step = by_fastdl(lesson, cell, init, 0)
            losses = [step(x, target) for _ in range(10)]
            assert losses[-1] < losses[0], (cell, init)


def told(losses, **more):
    lesson = Lesson(lambda rng, T, B: (None, None), "squared", 1, goal=0.5, limit=len(losses), lr=0.1, T=1)
    left = iter(losses)
    return learn(lesson, lambda x, target: next(left), 0, **more)


def test_a_lesson_is_learnt_when_the_mean_of_the_last_steps_says_so():
    found = told([1.0] * RECENT + [0.4] * 30)
    assert found == {"steps": RECENT + 17, "learnt": True, "loss": pytest.approx((3 + 17 * 0.4) / 20)}
    assert told([0.0] * 50)["steps"] == RECENT
    assert told([0.6] * 50) == {"steps": 50, "learnt": False, "loss": pytest.approx(0.6)}
    assert told([0.6, np.nan, 0.1])["steps"] == 2
    assert told([0.6] * 50, end=0) is None


def test_the_script_learns_one_seed_and_goes_on(tmp_path, capsys):
    out = tmp_path / "found.jsonl"
    given = ["--tasks", "copying", "--steps", "3", "--without-peer", "--out", str(out)]
    assert learning.main([*given, "--seeds", "1", "--jobs", "1"]) == 0
    first = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["cell"], one["init"]) for one in first] == [
        ("LSTM", "torch"), ("LSTM", "keras"), ("LSTM", "gers"), ("GRU", "torch"), ("GRU", "keras")
    ]  # fmt: skip
    assert all(one["steps"] == 3 and not one["learnt"] and np.isfinite(one["loss"]) for one in first)
    assert "| copying | GRU | 0/1 (-) | 0/1 (-) |  |  |" in capsys.readouterr().out
    assert learning.main([*given, "--seeds", "2", "--minutes", "0"]) == 0
    assert capsys.readouterr().out.startswith(f"5 of 10 runs are in {out}")
    assert len(out.read_text().splitlines()) == 5
    assert learning.main([*given, "--seeds", "2", "--jobs", "2"]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[:5] == first
    assert sorted(one["seed"] for one in lines) == [0] * 5 + [1] * 5


def test_records_of_another_lesson_do_not_count(tmp_path):
    limits = {task: lesson.limit for task, lesson in lessons().items()}
    run, found = Run("fastdl", "adding", "GRU", "torch", 0), {"steps": 9, "learnt": True, "loss": 0.1}
    Records(tmp_path / "found.jsonl", limits).add(run, found)
    assert set(Records(tmp_path / "found.jsonl", limits).of) == {run}
    assert not Records(tmp_path / "found.jsonl", limits | {"adding": 5}).of


def test_a_median_counts_runs_that_did_not_learn(tmp_path):
    records = Records(tmp_path / "found.jsonl", {task: lesson.limit for task, lesson in lessons().items()})
    for seed, (steps, learnt) in enumerate([(100, True), (300, True), (700, False), (700, False)]):
        run = Run("PyTorch", "adding", "LSTM", "torch", seed)
        records.add(run, {"steps": steps, "learnt": learnt, "loss": 0.1})
        if seed == 2:
            assert learning.cell_of(records, "adding", "LSTM", "PyTorch", "torch") == "2/3 (300)"
    assert learning.cell_of(records, "adding", "LSTM", "PyTorch", "torch") == "2/4 (-)"


def test_a_task_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="--tasks: got parity, expected some of adding"):
        learning.main(["--tasks", "parity"])
