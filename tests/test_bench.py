"""The benchmarks' table: complete, and right before anything is timed."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from cases import DOUBLE, SINGLE, SIZES, Case, Work, counted, table
from measure import Limits, line, measure
from test_mirror import mirrored_functions

import fastdl as fd
from fastdl._dispatch import kernels
from fastdl.cli._bench import _clock
from fastdl.cli._bench._table import arrays_of, assert_result

LIMITS = Limits(copy=2e9, read=4e9, multiply_adds=1e9)
EVERY = [pytest.param(case, dtype, id=f"{case.name}-{dtype}") for case in table() for dtype in case.dtypes]


def functions_without_case(cases):
    entered = {(case.topic, case.function) for case in cases}
    return {(topic, name) for topic, name, _ in mirrored_functions()} - entered


def made_up(run, expected=None, **cost):
    """A case of one call, at one size."""
    return Case("dense", "made_up", "", lambda dtype: Work(run, expected=expected, **cost), {"small": {}}, (DOUBLE,))


def test_every_public_function_has_a_case():
    assert functions_without_case(table()) == set()


class Spy:
    """A kernel module that writes down what is asked of it."""

    def __init__(self, module, asked):
        self.module, self.asked = module, asked

    def __getattr__(self, name):
        self.asked.add(name)
        return getattr(self.module, name)


def test_every_kernel_is_reached_by_a_case():
    folder = Path(fd.__file__).parent / "kernels"
    asked, defined = set(), set()
    try:
        for path in folder.glob("*/*.pyx"):
            if path.parent.name != "system":  # which computes nothing: the machine, and the record of a forward
                setattr(kernels, path.stem, Spy(getattr(kernels, path.stem), asked))
                defined |= set(re.findall(r"^def (\w+)\(", path.read_text(), re.MULTILINE))
        for case in table():
            case.work("small", SINGLE).run()
    finally:
        kernels.switch(kernels.level)
    # One is there for the tests, the other asked once, when its topic is imported.
    assert defined - asked == {"exp_nonpositive", "cells"}


def test_a_function_without_case_is_named():
    rest = [case for case in table() if case.function != "gru_backward"]
    assert functions_without_case(rest) == {("recurrent", "gru_backward")}


def test_names_tell_cases_apart_and_sizes_grow():
    names = [case.name for case in table()]
    assert len(set(names)) == len(names)
    assert {case.name for case in table() if "medium" not in case.sizes} <= {
        case.name for case in table() if case.shapes
    }
    for case in counted():
        assert tuple(case.sizes) == SIZES, case.name
        small, medium, large = (list(case.sizes[size].items()) for size in SIZES)
        for (name, least), (same, middle), (again, most) in zip(small, medium, large, strict=True):
            assert name == same == again, case.name
            assert 0 < least <= middle <= most, f"{case.name}: {name}"


@pytest.mark.parametrize(("case", "dtype"), EVERY)
def test_the_result_is_the_reference_s(case, dtype):
    assert_result(case, "small", dtype)


@pytest.mark.parametrize(("case", "dtype"), EVERY)
def test_a_case_may_be_run_many_times(case, dtype):
    work = case.work("small", dtype)
    assert sum(work.cost().values()) > 0 or "medium" not in case.sizes
    for _ in range(30):
        result = work.run()
    for array in arrays_of(result):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("wrong", [np.array([1.0, 2.1]), np.array([1.0, np.nan]), (), (np.ones(2), np.ones(2))])
def test_a_wrong_result_is_not_timed(wrong):
    case = made_up(lambda: wrong if fd.get_backend() == "compiled" else np.array([1.0, 2.0]))
    with pytest.raises(AssertionError, match="made_up"):
        measure(case, "small", DOUBLE, LIMITS, seconds=0)


def test_a_function_without_twin_is_compared_with_what_the_case_brings():
    right, wrong = made_up(lambda: 3.0, lambda: 3.0), made_up(lambda: 3.0, lambda: 4.0)
    assert_result(right, "small", DOUBLE)
    with pytest.raises(AssertionError):
        assert_result(wrong, "small", DOUBLE)


@pytest.mark.parametrize(
    ("cost", "limit", "least"),
    [
        ({"read": 4000, "written": 4000}, "copy", 4e-6),
        ({"read": 8000}, "read", 2e-6),
        ({"read": 8000, "written": 8}, "read", 2.002e-6),
        ({"read": 8000, "multiply_adds": 5000}, "multiply_adds", 5e-6),
    ],
)
def test_a_row_is_held_to_the_limit_that_binds(cost, limit, least):
    row = measure(made_up(lambda: 1.0, **cost), "small", DOUBLE, LIMITS, seconds=0)
    assert row["limit"] == limit
    assert row["share"] * row["seconds"] == pytest.approx(least)
    assert row["gbytes_s"] * row["seconds"] == pytest.approx(1e-9 * (cost["read"] + cost.get("written", 0)))
    assert row["gflops"] * row["seconds"] == pytest.approx(2e-9 * cost.get("multiply_adds", 0))
    assert row["low"] <= row["seconds"] <= row["high"]
    assert row["threads"] == fd.get_num_threads()
    assert row["reference_ratio"] > 0
    assert "the reference" in line(row)


def test_without_reference_there_is_no_ratio():
    row = measure(made_up(lambda: 1.0, read=8), "small", DOUBLE, LIMITS, seconds=0, reference=False)
    assert row["reference_ratio"] is None
    assert "the reference" not in line(row)


def test_sizes_of_one_s_own():
    case = next(case for case in table() if case.name == "dense.tanh")
    row = measure(case, {"n": 5}, SINGLE, LIMITS, seconds=0)
    assert (row["size"], row["read"]) == ({"n": 5}, 20)


# ---- the clock ----------------------------------------------------------------------------------------------
def test_the_clock_takes_turns_and_gives_the_median_with_its_quartiles():
    asked = []
    runs = {name: lambda name=name: asked.append(name) for name in "ab"}
    taken = _clock.alternate(runs, seconds=0, least=1)
    stretches = [name for name, _ in itertools.groupby(asked)]
    assert stretches == ["a", "b", "a", "b"]  # to see how long a call is, and a turn each
    assert taken["a"].low <= taken["a"].median <= taken["a"].high
    assert _clock.sample([4.0, 1.0, 2.0, 3.0, 5.0]) == (3.0, 1.5, 4.5, 5)
    assert _clock.sample([2.0]) == (2.0, 2.0, 2.0, 1)


def test_a_short_call_is_made_several_times_between_two_looks_at_the_clock():
    now = iter(range(10**6))
    assert _clock.turn(lambda: None, 0, calls=4, clock=lambda: next(now)) == [0.25]
    made = []
    assert _clock.calls_of(lambda: made.append(1), reading=8.0, clock=lambda: float(len(made))) == 8
