"""The two gates on made-up numbers: what fails, what passes, what is told. The real runs are make targets."""

import itertools
import json
import math

import compare
import instructions
import numpy as np
import pytest
from tracking import callgrind, ratios, trees
from tracking.ratios import Ratio

GCC = "GCC 12.2.0"
VERSIONS = {"Cython": "3.1.0", "Python": "3.11"}

# Cut from a real run. The call into libpython belongs to libpython, the line after `calls=` to the callee.
CALLGRIND = """\
version: 1
positions: line
events: Ir

desc: Trigger: Client Request: dense.tanh float32
fl=(1) ???
ob=(2) /usr/lib/libpython3.11.so.1.0
fn=(3) PyObject_Vectorcall
0 700
cob=(4) /home/me/fastdl/kernels/avx2/dense.cpython-311-x86_64-linux-gnu.so
cfn=(5) 0x0000000000018b00
calls=1 0
0 5000

ob=(4)
fn=(5)
0 38
cob=(6) /usr/lib/libgomp.so.1.0.0
cfn=(7) GOMP_parallel
calls=1 0
0 4900
+3 12

ob=(6)
fn=(7)
0 30
totals: 780

desc: Trigger: Client Request: dense.tanh float64
ob=(4)
fn=(5)
* 4000
ob=(2)
fn=(3)
0 9
ob=(8) /home/me/fastdl/kernels/baseline/system.so
fn=(9) 0x0000000000000010
0 70
totals: 4079

desc: Trigger: Program termination
ob=(4)
fn=(5)
0 1000000
"""


def kept(counts, versions=VERSIONS, compiler=GCC):
    return {compiler: instructions.Kept(versions, counts)}


def test_parse_counts_what_the_objects_execute_themselves():
    counts = callgrind.parse(CALLGRIND.splitlines(keepends=True), "/fastdl/kernels/avx2/")
    assert counts == {"dense.tanh float32": 50, "dense.tanh float64": 4000}


def test_parse_of_nothing_counted():
    assert callgrind.parse(["version: 1\n", "\n", "totals: 0\n"], "/fastdl/") == {}


@pytest.mark.parametrize(
    ("now", "code", "told"),
    [
        ({"a": 1000, "b": 2000}, 0, "2 same"),
        ({"a": 1029, "b": 2000}, 0, "2 same"),
        ({"a": 1100, "b": 2000}, 1, "1 grew"),
        ({"a": 900, "b": 2000}, 0, "1 shrank"),
        ({"a": 1000, "b": 2000, "c": 1}, 1, "1 new"),
        ({"a": 1000}, 1, "1 gone"),
        ({}, 1, "2 gone"),
    ],
)
def test_instructions_check(now, code, told, capsys):
    assert instructions.check(kept({"a": 1000, "b": 2000}), GCC, VERSIONS, now) == code
    printed = capsys.readouterr().out
    assert told in printed
    assert ("make instructions-save" in printed) == ("2 same" not in told)


def test_instructions_of_another_compiler_are_not_compared(capsys):
    assert instructions.check(kept({"a": 1000}), "clang 16.0.6", VERSIONS, {}) == 0
    assert "NOT CHECKED: no instructions are kept for clang 16.0.6, only for GCC 12.2.0" in capsys.readouterr().out


def test_versions_are_told_where_numbers_differ(capsys):
    assert instructions.check(kept({"a": 1000}), GCC, {**VERSIONS, "Cython": "3.2.0"}, {"a": 1100}) == 1
    printed = capsys.readouterr().out
    assert "Kept with Cython 3.1.0, Python 3.11, counted with Cython 3.2.0, Python 3.11." in printed


def test_a_part_of_the_cases_misses_no_others():
    assert instructions.check(kept({"norms.l1": 10, "dense.tanh": 20}), GCC, VERSIONS, {"norms.l1": 10}, "norms") == 0


def test_kept_numbers_are_read_as_written(tmp_path):
    path = tmp_path / "numbers.json"
    assert instructions.read(path) == {}
    instructions.write(path, kept({"a": 1}))
    assert instructions.read(path) == kept({"a": 1})


@pytest.mark.parametrize(
    ("binary", "compiler"),
    [
        (b"\0GCC: (Debian 12.2.0-14) 12.2.0\0_cython_3_1_0\0", GCC),
        (b"GCC: (GNU) 13.3.1\0Debian clang version 16.0.6 (15)\0_cython_3_1_0.", "clang 16.0.6"),
        (b"_cython_3_1_0", "an unknown compiler"),
    ],
)
def test_the_compiler_is_read_from_the_kernel(binary, compiler):
    found, versions = instructions.made_by(binary)
    assert (found, versions["Cython"]) == (compiler, "3.1.0")


def test_numbers_in_the_repository_are_readable():
    stored = instructions.read(instructions.KEPT)
    assert stored
    for numbers in stored.values():
        assert numbers.versions.keys() == VERSIONS.keys()
        assert all(isinstance(count, int) and count > 0 for count in numbers.instructions.values())


# ---- the timing gate ------------------------------------------------------------------------------------------
def noisy(factor, noise, turns=16, seed=0):
    """Times of a base and of what takes `factor` as long; both drift together, each has noise of its own."""
    rng = np.random.default_rng(seed)
    drift = np.exp(0.2 * np.sin(np.arange(turns)))
    base, new = (drift * np.exp(noise * rng.standard_normal(turns)) for _ in range(2))
    return list(base), list(factor * new)


def looks(factor, noise, seed=0):
    return [ratios.ratio(*noisy(factor, noise, turns, seed + turns)) for turns in compare.TURNS]


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, "same"), (1.05, "same"), (1.3, "slower"), (0.7, "faster"), (2.0, "slower")]
)
def test_verdict_on_times(factor, noise, expected):
    assert ratios.verdict(looks(factor, noise), compare.LIMIT) == expected


def test_noise_alone_never_fails():
    """As many cases as the table has, with noise of 15 % a turn and a layout of memory worth 3 % a process."""
    layout = np.random.default_rng(1).normal(1, 0.03, 1000)
    assert all(ratios.verdict(looks(layout[seed], 0.15, 1000 * seed), compare.LIMIT) == "same" for seed in range(1000))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("", "new"),
        ("S", "same"),
        ("SSS", "slower"),
        ("SSN", "slower"),
        ("SNN", "same"),
        ("SSC", "same"),
        ("FFF", "faster"),
        ("SFS", "same"),
    ],
)
def test_looks_must_agree(seen, expected):
    """Slow, noisy and slow, calm, fast: one look neither fails a case nor saves it."""
    named = {
        "S": Ratio(1.2, 1.3, 1.4),
        "N": Ratio(0.9, 1.3, 2.0),
        "C": Ratio(0.9, 1.0, 1.1),
        "F": Ratio(0.7, 0.8, 0.85),
    }
    assert ratios.verdict([named[one] for one in seen], compare.LIMIT) == expected


def test_bounds_hold_the_median_as_often_as_they_say():
    rng = np.random.default_rng(2)
    found = [ratios.ratio([1.0] * 16, list(rng.exponential(size=16))) for _ in range(4000)]
    below = sum(one.low > math.log(2) for one in found) / len(found)
    above = sum(one.high < math.log(2) for one in found) / len(found)
    assert 0.02 < below < 0.05  # 3.8 % by the binomial
    assert 0.02 < above < 0.05


def test_too_few_turns_say_nothing():
    assert ratios.ratio([1.0] * 4, [2.0] * 4) == Ratio(0.0, 2.0, math.inf)


def test_a_ratio_goes_no_further_than_that_of_the_best_times():
    assert Ratio(1.2, 1.3, 1.4).held_to(1.05) == Ratio(1.05, 1.05, 1.4)
    assert Ratio(1.2, 1.3, 1.4).held_to(1.35) == Ratio(1.2, 1.3, 1.4)
    assert Ratio(1.2, 1.3, 1.4).held_to(0.9) == Ratio(0.9, 1.0, 1.4)
    assert Ratio(0.7, 0.8, 0.85).held_to(0.9) == Ratio(0.7, 0.9, 0.9)


class FakeSide:
    """A worker that answers made-up times."""

    def __init__(self, log, name, seconds):
        self._log, self._name, self._seconds = log, name, seconds

    def time(self, row, seconds):
        self._log.append(self._name)
        return self._seconds


def test_sides_take_turns_and_swap_the_first():
    log, row = [], compare.Row("dense.tanh", "float32", "medium")
    seen = compare.look(FakeSide(log, "A", 1.0), FakeSide(log, "B", 1.5), row, 16)
    assert "".join(log) == "ABBA" * 8
    assert seen == compare.Look(1.0, 1.5, Ratio(1.5, 1.5, 1.5))


def test_a_case_one_side_lacks_is_new(capsys):
    row = compare.Row("dense.tanh", "float32", "medium")
    assert compare.look(FakeSide([], "A", None), FakeSide([], "B", 1.0), row, 16) is None
    assert compare.report({row: []})
    assert "1 new" in capsys.readouterr().out


def test_only_what_seems_changed_is_looked_at_again(monkeypatch, capsys):
    asked = []
    rows = [compare.Row(case, "float32", "medium") for case in ("slow", "calm", "lucky")]
    answers = {"slow": itertools.repeat(1.3), "calm": itertools.repeat(1.0), "lucky": itertools.chain([1.3], [1.0])}

    def look(base, new, row, turns):
        asked.append((row.case, turns))
        value = next(answers[row.case])
        return compare.Look(1.0, value, Ratio(value, value, value))

    class Nothing:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(compare, "look", look)
    monkeypatch.setattr(compare, "Side", Nothing)
    found = compare.compare(trees.ROOT, rows, 1)
    first, second, third = compare.TURNS
    assert asked == [
        *((row.case, first) for row in rows),
        ("slow", second),
        ("lucky", second),
        ("slow", third),
    ]
    assert not compare.report(found)
    assert "1 slower, 0 faster, 2 same, 0 new" in capsys.readouterr().out


def test_a_worker_times_a_case_and_survives_one_it_lacks():
    with compare.Side(trees.ROOT, 1) as side:
        assert side.time(compare.Row("dense.tanh", "float32", "small"), 1e-3) > 0
        assert side.time(compare.Row("dense.absent", "float32", "small"), 1e-3) is None


def test_unknown_base_is_named():
    with pytest.raises(SystemExit, match="'no-such-ref' names no commit"):
        trees.commit("no-such-ref")


def test_numbers_are_stored_a_case_a_line():
    """So that a change of one kernel is a change of few lines in review."""
    text = instructions.KEPT.read_text()
    cases = sum(len(numbers["instructions"]) for numbers in json.loads(text).values())
    assert len(text.splitlines()) > cases
