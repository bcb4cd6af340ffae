"""Every schedule gives a finite factor from 0 up at every step, from 0 to past its end, for every legal argument."""

import copy
import math
import pickle

import numpy as np
import pytest

from fastdl.optim import schedules as s


def whole(rng, low, high=60):
    return int(rng.integers(low, high))


def part(rng):
    """From 0 to 1, the ends and what is next to them among them."""
    return float(rng.choice([0.0, 1.0, 5e-324, 1 - 2**-53, rng.random()]))


def inside(rng):
    return float(rng.choice([5e-324, 1 - 2**-53, 0.5, 0.1, 0.05, rng.uniform(0.01, 0.99)]))


def positive(rng):
    return float(rng.choice([0.0, 1.0, 1e-300, 1e3, 1e308, 3 * rng.random()]))


MAKERS = {
    "constant": lambda rng: s.constant(positive(rng)),
    "step_decay": lambda rng: s.step_decay(whole(rng, 1), part(rng)),
    "multistep": lambda rng: s.multistep(rng.integers(0, 50, 3).tolist(), part(rng)),
    "exponential": lambda rng: s.exponential(part(rng)),
    "polynomial": lambda rng: s.polynomial(whole(rng, 1), positive(rng), positive(rng)),
    "cosine": lambda rng: s.cosine(whole(rng, 1), positive(rng)),
    "warm_restarts": lambda rng: s.warm_restarts(whole(rng, 1), whole(rng, 1, 4), positive(rng)),
    "one_cycle": lambda rng: s.one_cycle(whole(rng, 2), inside(rng), positive(rng), positive(rng)),
    "cyclic": lambda rng: s.cyclic(part(rng), whole(rng, 1), rng.choice([None, whole(rng, 1)]), part(rng)),
    "inverse_sqrt": lambda rng: s.inverse_sqrt(whole(rng, 1)),
    "warm_up": lambda rng: s.warm_up(s.cosine(whole(rng, 1)), whole(rng, 1), positive(rng)),
    "sequence": lambda rng: s.sequence([s.cosine(whole(rng, 1)), s.one_cycle(2, inside(rng))], [whole(rng, 1)]),
}


def test_no_schedule_is_missing_here():
    public = {name for name, one in vars(s).items() if callable(one) and not name.startswith("_")}
    made = {name for name in public if getattr(vars(s)[name], "__module__", "") == s.__name__}
    assert made == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_every_step_of_every_schedule(name):
    for seed in range(150):
        schedule = MAKERS[name](np.random.default_rng(seed))
        again = pickle.loads(pickle.dumps(schedule))
        assert repr(again) == repr(copy.deepcopy(schedule)) == repr(schedule)
        for step in [*range(0, 130, 1 if seed < 30 else 7), 10**6, np.int64(10**9), 2**63 - 1]:
            factor = schedule(step)
            assert isinstance(factor, float), schedule
            assert 0 <= factor < math.inf, (schedule, step)
            assert again(step) == factor


@pytest.mark.parametrize(("steps", "rise"), [(10, 0.1), (2, 0.5), (4, 0.25), (20, 0.05), (100, 0.01), (8, 0.125)])
def test_one_cycle_whose_peak_is_the_first_step(steps, rise):
    factors = [s.one_cycle(steps, rise)(t) for t in range(steps + 2)]
    assert factors[0] == 1.0
    assert factors[:steps] == sorted(factors[:steps], reverse=True)
    assert factors[steps - 1 :] == [4e-6] * 3


@pytest.mark.parametrize(("start", "end"), [(0.04, 4e-6), (0.0, 0.0), (1e-300, 3.0), (2.0, 1e300)])
def test_ends_are_exact(start, end):
    assert s.one_cycle(20, 0.5, start, end)(0) == start
    assert s.one_cycle(20, 0.5, start, end)(9) == 1.0
    for one in (
        s.cosine(20, end),
        s.polynomial(20, 2.0, end),
        s.polynomial(20, 0.0, end),
        s.one_cycle(21, 0.5, 0, end),
    ):
        assert one(20) == one(1000) == end
    for one in (s.cosine(20, end), s.polynomial(20, 2.0, end), s.warm_restarts(5, 2, end)):
        assert one(0) == 1.0
    assert s.warm_up(s.constant(), 20, start)(0) == start


@pytest.mark.parametrize(
    ("schedule", "step"),
    [(s.exponential(1.1), 10_000), (s.step_decay(1, 2.0), 2000), (s.multistep([1, 1], 1e200), 1)],
)
def test_a_factor_beyond_the_largest_float_is_refused_by_name(schedule, step):
    with pytest.raises(ValueError, match="step: got"):
        schedule(step)


@pytest.mark.parametrize("step", [-1, 2.5, "x", None, 2**64])
def test_a_step_that_is_none_is_refused_by_name(step):
    with pytest.raises((TypeError, ValueError), match="step: got"):
        s.cosine(10)(step)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: s.constant(math.inf), "factor"),
        (lambda: s.exponential(math.nan), "gamma"),
        (lambda: s.cosine(2**64), "steps"),
        (lambda: s.multistep(5), "milestones"),
        (lambda: s.sequence(5, [1]), "schedules"),
        (lambda: s.sequence([1, s.constant()], [1]), r"schedules\[0\]"),
        (lambda: s.warm_up(3, 4), "schedule"),
        (lambda: s.warm_up(lambda step: None, 4)(1), "schedule"),
        (lambda: s.sequence([lambda step: -1.0], [])(1), r"schedules\[0\]"),
    ],
)
def test_arguments_that_do_not_fit(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make()


def test_what_was_given_is_kept():
    milestones = [2, 4]
    schedule = s.multistep(milestones, 0.5)
    milestones[0] = 0
    assert [schedule(t) for t in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert s.multistep((t for t in (2, 4)), 0.5)(4) == 0.25
