"""fit(schedule=) is the scheduler that is moved on by hand, and refuses what does not fit."""

import pytest
from resumed_cases import CODES, plain

import fastdl as fd
from fastdl.optim import schedules
from fastdl.training import Callback, fit


class Watch(Callback):
    """Notes the rates, after it has moved a scheduler on."""

    def __init__(self, scheduler):
        self.scheduler, self.rates = scheduler, []

    def on_step_end(self, run):
        if self.scheduler:
            self.scheduler.step()
        self.rates.append(run.optimizer.lr)


def test_a_schedule_is_the_scheduler_moved_on_by_hand():
    results = []
    for by_hand in (False, True):
        model, optimizer, _ = plain(0, fd.optim.Adam)
        scheduler = fd.optim.Scheduler(optimizer, schedules.cosine(6)) if by_hand else None
        watch = Watch(scheduler)
        options = {} if by_hand else {"schedule": schedules.cosine(6)}
        data = [(codes, codes[::-1].copy()) for codes in CODES]
        fit(model, optimizer, data, callbacks=[watch], progress=False, **options)
        results.append((model.parameters().data.tobytes(), watch.rates))
    assert results[0] == results[1]
    assert results[0][1][-1] == 0.0


def test_schedules_that_do_not_fit_are_refused():
    model, optimizer, _ = plain(0)
    other = fd.optim.SGD(fd.nn.Linear(1, 1).parameters())
    for schedule, kind, reason in (
        (fd.optim.Scheduler(other, schedules.constant()), ValueError, "Scheduler over another optimizer"),
        (fd.optim.ReduceOnPlateau(other), ValueError, "ReduceOnPlateau over another optimizer"),
        (0.1, TypeError, "got float"),
        (fd.optim.Scheduler, TypeError, "got the class Scheduler"),
        (lambda step: -1, ValueError, r"\(0\): got -1"),
    ):
        with pytest.raises(kind, match=rf"^schedule.*{reason}"):
            fit(model, optimizer, [(CODES[0], CODES[1])], schedule=schedule, progress=False)
    optimizer.lr = 0.0
    with pytest.raises(ValueError, match="schedule: got an optimizer whose learning rates are all 0"):
        fit(model, optimizer, [(CODES[0], CODES[1])], schedule=schedules.cosine(3), progress=False)
