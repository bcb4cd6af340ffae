"""The two gates on made-up numbers: what fails, what passes, what is told. The real runs are make targets."""

import json

import callgrind
import compare
import instructions
import pytest
import trees

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
    return {compiler: {"versions": versions, "instructions": counts}}


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


def test_numbers_are_kept_a_case_a_line():
    """So that a change of one kernel is a change of few lines in review."""
    text = instructions.KEPT.read_text()
    kept = json.loads(text)
    assert len(text.splitlines()) > sum(len(numbers["instructions"]) for numbers in kept.values()) > 0
    for numbers in kept.values():
        assert numbers["versions"].keys() == VERSIONS.keys()
        assert all(isinstance(count, int) and count > 0 for count in numbers["instructions"].values())


# ---- the timing gate ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([], "new"), ([1.09], "same"), ([1.3], "slower"), ([1.3, 1.2, 1.4], "slower"), ([1.3, 1.0], "same"),
     ([0.7, 0.8], "faster"), ([1.3, 0.7], "same")],
)  # fmt: skip
def test_looks_must_agree(ratios, expected):
    assert compare.verdict(ratios) == expected


def test_only_what_seems_changed_is_looked_at_again_and_who_begins_changes(monkeypatch, capsys):
    """One noisy look neither fails a case nor saves it."""
    base, asked = trees.STORE, []
    times = {"slow": [1.3] * 9, "calm": [1.0] * 9, "lucky": [1.3, *[1.0] * 8], "fast": [0.5] * 9}

    def timed(tree, names, seconds, threads):
        asked.append((tree == base, tuple(names)))
        found = {name: 1.0 if tree == base else times[name].pop(0) for name in names if name in times}
        return found if tree != base else found | dict.fromkeys(names, 1.0)

    monkeypatch.setattr(compare, "timed", timed)
    found = compare.compare(base, [*times, "absent"], 1)
    changed = ("slow", "lucky", "fast"), ("slow", "fast"), ("slow", "fast")
    first = (*("slow", "calm", "lucky", "fast"), "absent")
    assert asked == [(True, first), (False, first), (False, changed[0]), (True, changed[0]), (True, changed[1]),
                     (False, changed[1]), (False, changed[2]), (True, changed[2])]  # fmt: skip
    assert not compare.report(found)
    printed = capsys.readouterr().out
    assert "slower  1.300  slow  (1.300, 1.300, 1.300, 1.300)" in printed
    assert "1 slower, 1 faster, 2 same, 1 new" in printed


def test_a_call_is_timed_in_a_tree_s_own_process():
    found = compare.timed(trees.ROOT, ["dense.tanh float32"], 1e-3, 1)
    assert list(found) == ["dense.tanh float32"]
    assert 0 < found["dense.tanh float32"] < 1


def test_another_fastdl_is_told(tmp_path):
    with pytest.raises(SystemExit, match="was imported in place of the fastdl in"):
        compare.timed(tmp_path, ["random.philox float32"], 1e-3, 1)


def test_unknown_base_is_named():
    with pytest.raises(SystemExit, match="'no-such-ref' names no commit"):
        trees.commit("no-such-ref")
