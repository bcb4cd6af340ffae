"""Learning-rate schedules: against torch's schedulers, composition, and exact resume."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import ReduceOnPlateau, Scheduler
from fastdl.optim import schedules as s


def optimizer(lr=0.3, **settings):
    return fd.optim.SGD([(np.zeros(2), np.zeros(2)), (np.zeros(3), np.zeros(3))], lr, **settings)


TORCH = [
    (s.constant(), lambda lr, o: lr.LambdaLR(o, lambda t: 1.0)),
    (s.step_decay(7, 0.3), lambda lr, o: lr.StepLR(o, 7, 0.3)),
    (s.multistep([5, 20, 21], 0.5), lambda lr, o: lr.MultiStepLR(o, [5, 20, 21], 0.5)),
    (s.exponential(0.93), lambda lr, o: lr.ExponentialLR(o, 0.93)),
    (s.polynomial(30), lambda lr, o: lr.PolynomialLR(o, 30)),
    (s.polynomial(30, 2.5), lambda lr, o: lr.PolynomialLR(o, 30, 2.5)),
    (s.cosine(49), lambda lr, o: lr.CosineAnnealingLR(o, 49)),
    (s.cosine(49, 0.1), lambda lr, o: lr.CosineAnnealingLR(o, 49, 0.1 * 0.3)),
    (s.warm_restarts(6), lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 6)),
    (s.warm_restarts(5, 2, 0.2), lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 5, 2, 0.2 * 0.3)),
    (s.one_cycle(50), lambda lr, o: lr.OneCycleLR(o, 0.3, total_steps=50, cycle_momentum=False)),
    (
        s.one_cycle(60, 0.4, 0.1, 0.001),
        lambda lr, o: lr.OneCycleLR(
            o, 0.3, total_steps=60, pct_start=0.4, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
    (s.cyclic(0.1, 6), lambda lr, o: lr.CyclicLR(o, 0.03, 0.3, 6, cycle_momentum=False)),
    (s.cyclic(0.1, 6, 3), lambda lr, o: lr.CyclicLR(o, 0.03, 0.3, 6, 3, cycle_momentum=False)),
    (
        s.cyclic(0.1, 4, decay=0.5),
        lambda lr, o: lr.CyclicLR(o, 0.03, 0.3, 4, mode="triangular2", cycle_momentum=False),
    ),
    (
        s.warm_up(s.constant(), 8, 0.25),
        lambda lr, o: lr.LinearLR(o, start_factor=0.25, total_iters=8),
    ),
    (
        s.warm_up(s.exponential(0.9), 8, 0.25),
        lambda lr, o: lr.ChainedScheduler([lr.LinearLR(o, 0.25, 1.0, 8), lr.ExponentialLR(o, 0.9)]),
    ),
    (
        s.sequence([s.constant(0.5), s.exponential(0.9)], [10]),
        lambda lr, o: lr.SequentialLR(o, [lr.ConstantLR(o, 0.5, 1000), lr.ExponentialLR(o, 0.9)], [10]),
    ),
]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, about its deprecated epoch argument
@pytest.mark.parametrize(("schedule", "make"), TORCH)
def test_torch(schedule, make):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(torch.optim.lr_scheduler, theirs)
    ours = optimizer()
    mine = Scheduler(ours, schedule)
    for _ in range(49):
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-10, abs=1e-12)
        ours.step()
        theirs.step()
        mine.step()
        scheduler.step()


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["min", "max"])
def test_torch_plateau(mode):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    settings = {"factor": 0.5, "patience": 2, "cooldown": 3, "min_lr": 0.01, "mode": mode}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings)
    ours = optimizer()
    plateau = ReduceOnPlateau(ours, **settings)
    for measure in np.random.default_rng(0).uniform(1, 2, 80):
        plateau.step(measure)
        scheduler.step(measure)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)


def test_inverse_sqrt_with_warm_up():
    schedule = s.warm_up(s.inverse_sqrt(100), 100)
    for t in (0, 1, 50, 100, 400):  # Vaswani et al. (2017), scaled to a peak of 1
        assert schedule(t) == pytest.approx(min(t / 100, math.sqrt(100 / max(t, 1))))


def test_groups_keep_their_ratio():
    ours = optimizer(0.4, groups=[{"params": [1], "lr": 0.1}])
    scheduler = Scheduler(ours, lambda step: 1 / (1 + step))  # any function is a schedule
    scheduler.step()
    assert [group.lr for group in ours.groups] == [0.2, 0.05]


def test_exact_resume():
    def make():
        one = optimizer()
        return one, Scheduler(one, s.warm_up(s.warm_restarts(5, 2), 3)), ReduceOnPlateau(one, patience=1)

    measures = np.random.default_rng(0).uniform(1, 2, 40)
    one, scheduler, _ = make()
    rates = []
    for _ in measures:
        scheduler.step()
        rates.append(one.lr)
    two, scheduler, _ = make()
    for _ in range(13):
        scheduler.step()
    saved, saved_optimizer = scheduler.state_dict(), two.state_dict()
    three, scheduler, _ = make()
    three.load_state_dict(saved_optimizer)
    scheduler.load_state_dict(saved)
    assert three.lr == rates[12]
    for expected in rates[13:]:
        scheduler.step()
        assert three.lr == expected

    one, two = optimizer(), optimizer()
    first, second = ReduceOnPlateau(one, patience=1), ReduceOnPlateau(two, patience=1)
    for measure in measures[:20]:
        first.step(measure)
    two.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    for measure in measures[20:]:
        first.step(measure)
        second.step(measure)
        assert one.lr == two.lr


def test_plateau_on_nan():
    ours = optimizer(1.0)
    plateau = ReduceOnPlateau(ours, factor=0.5, patience=1)
    for measure in (math.nan, math.nan):
        plateau.step(measure)
    assert ours.lr == 0.5


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: s.constant(-1), ValueError, "factor"),
        (lambda: s.step_decay(0), ValueError, "every"),
        (lambda: s.step_decay(2.5), TypeError, "every"),
        (lambda: s.multistep([1, -1]), ValueError, "milestones"),
        (lambda: s.exponential(-0.1), ValueError, "gamma"),
        (lambda: s.polynomial(0), ValueError, "steps"),
        (lambda: s.cosine(10, -1), ValueError, "end"),
        (lambda: s.warm_restarts(5, 0), ValueError, "multiply"),
        (lambda: s.one_cycle(10, 1.0), ValueError, "rise"),
        (lambda: s.cyclic(1.5, 5), ValueError, "low"),
        (lambda: s.inverse_sqrt(0), ValueError, "steps"),
        (lambda: s.warm_up(s.constant(), 0), ValueError, "steps"),
        (lambda: s.sequence([s.constant()], [3]), ValueError, "milestones"),
        (lambda: s.sequence([s.constant()] * 3, [4, 4]), ValueError, "milestones"),
        (lambda: Scheduler(optimizer(), lambda step: -1.0), ValueError, "schedule"),
        (lambda: ReduceOnPlateau(optimizer(), factor=1.0), ValueError, "factor"),
        (lambda: ReduceOnPlateau(optimizer(), mode="down"), ValueError, "mode"),
    ],
)
def test_refusals(make, error, match):
    with pytest.raises(error, match=match):
        make()
