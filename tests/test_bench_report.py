"""The report on speed, from made-up records: its tables, its pictures, and the list of where fastdl falls short."""

import itertools
import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatchcase

import cases
import numpy as np
import pytest
import records
from cases import Work

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")
from report import data, draw, gather, pages  # noqa: E402

LIMITS = {"copy": 10e9, "read": 20e9, "multiply_adds": 50e9}
HERE = {"machine": "Made-up Processor", "cores": 2, "commit": "abc1234"}


def row(case="dense.tanh", share=0.9, **more):
    """Of what copies 80 MB, so that it takes 8 ms at the limit; or multiplies."""
    least = more.get("multiply_adds", 0) / LIMITS["multiply_adds"] or 8e-3
    found = {
        "kind": "row", **HERE, "topic": case.partition(".")[0], "case": case, "size": "large", "sizes": {"n": 9},
        "dtype": "float32", "build": "avx2", "threads": 1, "seconds": least / share, "read": 40_000_000,
        "written": 40_000_000, "multiply_adds": 0, "gbytes_s": 8.0, "gflops": 0.0, "limits": LIMITS,
        "reference_ratio": None,
    }  # fmt: skip
    return found | more


def peer(name, ratio, work="LSTM", **more):
    found = {
        "kind": "peer", **HERE, "peer": name, "version": "1.0", "work": work, "case": f"recurrent.{work}",
        "shape": "T 64, B 16", "sizes": {"T": 64, "B": 16}, "dtype": "float32", "threads": 2, "ratio": ratio,
        "seconds": 2e-3, "note": "", "of": "abc1234", "build": "avx2",
    }  # fmt: skip
    return found | more


def sweep(name, axis, value, seconds, case="dense.tanh"):
    about = {"kind": "sweep", "sweep": name, "axis": axis, "value": value, "size": "sweep", "sizes": {axis: value}}
    return row(case) | about | {"seconds": seconds}


MACHINE = {"kind": "machine", **HERE, "versions": {"fastdl": "9.9", "NumPy": "2.0"}}


def loaded(*found):
    """The machine of these records."""
    return data.machine("Made-up Processor, 2 cores", [MACHINE, *found])


@pytest.fixture
def measured():
    """The records of one machine: two topics, two builds, one and two threads, a peer, a sweep."""
    found = [MACHINE]
    for build, threads, dtype in itertools.product(("baseline", "avx2"), (1, 2), data.DTYPES):
        about = {"build": build, "threads": threads, "dtype": dtype, "seconds": 9e-3 / threads}
        found.append(row(**about))
        found.append(row("recurrent.lstm_forward", multiply_adds=400_000_000, gflops=80.0, **about))
    found.append(row(size="medium", threads=2, reference_ratio=12.5))
    found += [sweep("tanh", "N", value, value * 1e-9) for value in (1000, 2000, 4000)]
    return [*found, peer("PyTorch", 2.0), peer("JAX", 0.5)]


@pytest.fixture
def machine(measured):
    return loaded(*measured)


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def why(row):
    return data.reason("limit", row)


def why_lost(row):
    return data.reason("peer", row)


# ---- where it falls short -------------------------------------------------------------------------------
def below(*found):
    return cells(pages.below_limits(loaded(*found)))


def test_below_the_limit_are_the_rows_below_it_alone():
    found = [row("dense.tanh", 0.79), row("dense.relu", 0.81), row("norms.l2", 0.31, written=0, threads=2)]
    assert [line[:2] for line in below(*found)] == [["dense.tanh", "copying"], ["norms.l2", "reading"]]
    assert below(row(share=0.79))[0][-1] == "0.79"


def test_a_limit_of_memory_counts_for_large_arrays_alone_and_arithmetic_for_all():
    assert below(row(share=0.1, size="medium")) == []
    assert below(row(seconds=1.0, read=99, written=99)) == []
    assert below(row(share=0.1, size="medium", multiply_adds=10**9)) != []


def test_the_shares_of_a_case_stand_in_one_line_by_build():
    found = [row("x.unheard_of", share, threads=threads) for threads, share in ((1, 0.5), (2, 0.6))]
    found += [row("x.unheard_of", 0.9, build="baseline"), row("x.unheard_of", 0.25, build="avx512")]
    assert below(*found) == [["x.unheard_of", "copying", "**no reason given**", "", "0.50 to 0.60", "0.25"]]


def test_the_best_peer_alone_decides_and_the_worst_row_comes_first():
    found = [peer("PyTorch", 1.09), peer("JAX", 3.0), peer("thinc", 1.1, "GRU"), peer("JAX", 0.4, "Adam, a step")]
    lines = cells(pages.below_peers(loaded(row(), *found).peers))
    assert [(line[0], line[2], line[-1]) for line in lines] == [
        ("Adam, a step", "JAX", "0.40"),
        ("LSTM", "PyTorch", "1.09"),
    ]


def test_nothing_short_is_said_in_words():
    one = loaded(row(), peer("JAX", 1.2))
    assert pages.below_peers(one.peers) == pages.below_limits(one) == "None.\n"


def test_the_first_reason_that_fits_is_given(monkeypatch):
    given = [{"text": "narrow", "what": ["dense.t*"], "build": "avx2", "shorter": 1e-4},
             {"text": "wide", "what": ["dense.*", "norms.*"], "limit": "copy"}]  # fmt: skip
    monkeypatch.setitem(data.REASONS, "limit", given)
    assert why(row(seconds=1e-5)) == "narrow"
    assert why(row(limit="copy")) == "wide"
    assert why(row(limit="read")) == data.NONE_GIVEN
    assert below(row(share=0.5))[0][2] == "wide"


def test_patterns_of_the_reasons_reach_the_names_with_brackets():
    assert "threshold" in why(row("norms.project_ball[ord=1,axis=1]"))
    assert "power" in why(row("norms.norm[ord=2.5]"))
    assert why(row("norms.norm[ord=2]")) == data.NONE_GIVEN
    assert "exponentials" in why(row("recurrent.lstm_forward[layer norm]", limit="multiply_adds"))


def test_the_speed_of_memory_explains_a_draw_but_no_defeat():
    draw, defeat = (peer("JAX", ratio, "Adam, a step", shape="n 16,777,216") for ratio in (0.95, 0.5))
    assert "at its limit" in why_lost(draw)
    assert why_lost(defeat) == data.NONE_GIVEN


def test_a_reason_for_a_draw_with_the_limit_is_none_for_a_defeat():
    near, far = (why(row("norms.norm[ord=2]", limit="read") | {"share": share}) for share in (0.75, 0.3))
    assert "memory's speed" in near
    assert far == data.NONE_GIVEN


def test_every_reason_is_about_a_case_there_is():
    names = [case.name for case in cases.counted()]
    for reason in data.REASONS["limit"]:
        for pattern in reason["what"]:
            assert any(fnmatchcase(name, pattern) for name in names), pattern


def test_a_reason_for_short_calls_is_not_one_for_bytes(monkeypatch):
    monkeypatch.setitem(data.REASONS, "peer", [{"text": "the call", "shorter": 1e-3}])
    memory = peer("JAX", 0.5, bytes=10**6)
    del memory["seconds"]
    ((*_, why, _, amount, _),) = cells(pages.below_peers(loaded(row(), memory).peers))
    assert (why, amount) == (f"**{data.NONE_GIVEN}**", "1.00 MB")


# ---- the cost of sizes ------------------------------------------------------------------------------------
def test_growth_finds_the_range_that_is_linear():
    values = np.array([1, 10, 100, 10_000, 100_000, 1_000_000])
    found = data.growth(values, 1e-5 + values * 1e-8)
    assert found.linear == (10_000, 1_000_000)
    assert found.first < 0.1
    assert found.last == pytest.approx(1, abs=0.02)


def test_growth_is_not_linear_where_it_is_squared():
    values = np.array([16, 32, 64, 128])
    found = data.growth(values, values**2 * 1e-9)
    assert found.linear is None
    assert found.slope == pytest.approx(2)


def test_a_sweep_adds_up_its_cases_and_its_reason_names_the_end():
    both = ("recurrent.lstm_forward", "recurrent.lstm_backward")
    one = loaded(row(), *(sweep("LSTM", "H", n, n * n * 1e-9, case) for n in (16, 32, 64) for case in both))
    ((name, axis, points),) = one.points()
    assert (name, axis, points[16]) == ("LSTM", "H", pytest.approx(2 * 256e-9))
    (line,) = cells(pages.growths(one))
    assert line[:4] == ["LSTM", "H", "16 to 64", "nowhere"]
    assert "H squared" in line[4]


# ---- records ------------------------------------------------------------------------------------------------
def test_a_later_record_takes_the_place_of_the_same_measurement(tmp_path):
    path = tmp_path / "records.jsonl"
    for one in (row(share=0.1), row(share=0.2), row(dtype="float64"), *(peer(*it) for it in (
            ("JAX", 1.5), ("PyTorch", 1.2), ("JAX", 1.6)))):  # fmt: skip
        records.append(path, one)
    found = records.read([path])
    assert [one["seconds"] for one in found[:2]] == [row(share=0.2)["seconds"], row()["seconds"]]
    assert [(one["peer"], one["ratio"]) for one in found[2:]] == [("JAX", 1.6), ("PyTorch", 1.2)]


def test_commits_of_a_machine_are_not_mixed(tmp_path):
    other = {"machine": "Another", "commit": "old0000"}
    for one in (MACHINE | {"commit": "old0000"}, row(commit="old0000"), MACHINE | other, row(**other), MACHINE, row()):
        records.append(tmp_path / "records.jsonl", one)
    found = data.load([tmp_path / "records.jsonl"])
    assert [(one.label, one.commit, len(one.rows)) for one in found] == [
        ("Made-up Processor, 2 cores", "abc1234", 1), ("Another, 2 cores", "old0000", 1)
    ]  # fmt: skip


def test_shares_are_of_the_best_limits_of_a_setting():
    low = {**LIMITS, "copy": 0.1 * LIMITS["copy"]}
    one = loaded(row(limits=low), row("dense.relu"), row(limits=low, threads=2))
    assert list(one.rows.share) == pytest.approx([0.9, 0.9, 9])
    assert list(one.rows.most_copy) == [LIMITS["copy"], LIMITS["copy"], low["copy"]]


def test_gathering_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    case = next(one for one in cases.counted() if one.name == "dense.tanh")
    tiny = case._replace(sizes={**case.sizes, "large": {"n": 300}, "medium": {"n": 200}})
    monkeypatch.setattr(cases, "counted", lambda: [tiny])
    monkeypatch.setattr(gather, "_sweeps", list)
    monkeypatch.setattr(gather, "limits", lambda *_: gather.Limits(1e9, 1e9, 1e9))
    records.append(tmp_path / "peers" / "jax.jsonl", peer("JAX", 1.5))
    monkeypatch.setattr(records, "PEERS", tmp_path / "peers")
    path = tmp_path / "records.jsonl"
    command = ["gather", f"--out={path}", "--threads=1,2", "--seconds=0.001", "--quick"]
    monkeypatch.setattr("sys.argv", command)
    before = gather.fd.get_num_threads(), gather.kernels.level
    try:
        assert gather.main() == 0
        every = records.read([path])
        found = [one for one in every if one["kind"] == "row"]
        assert [one["ratio"] for one in every if one["kind"] == "peer"] == [1.5]
        assert {(one["size"], one["threads"], one["dtype"]) for one in found} == {
            *itertools.product(("large",), (1, 2), data.DTYPES),
            *itertools.product(("medium",), (2,), data.DTYPES),
        }
        assert all((one["reference_ratio"] is not None) == (one["size"] == "medium") for one in found)
        lines = len(path.read_text().splitlines())
        assert gather.main() == 0
        assert len(path.read_text().splitlines()) == lines + 2  # the machine and the peer
    finally:
        gather.fd.set_num_threads(before[0])
        gather.kernels.switch(before[1])
    assert "dense.tanh" in capsys.readouterr().out


def test_a_wrong_result_is_not_timed(tmp_path, monkeypatch, capsys):
    case = cases.counted()[0]
    counter = itertools.count()  # another result each time
    broken = case._replace(build=lambda dtype, **_: Work(lambda: np.full(3, next(counter), dtype)))
    settings, about = [gather.Setting("baseline", 1)], {"kind": "row", "size": "large"}
    piece = gather.Piece(broken, {"n": 4}, np.dtype("f4"), settings, about)
    monkeypatch.setattr(gather, "limits", lambda *_: gather.Limits(1e9, 1e9, 1e9))
    before = gather.fd.get_num_threads(), gather.kernels.level
    path = tmp_path / "records.jsonl"
    try:
        assert not gather.take(piece, HERE, path, 0.001)
    finally:
        gather.fd.set_num_threads(before[0])
        gather.kernels.switch(before[1])
    assert not path.exists()
    assert "WRONG RESULT" in capsys.readouterr().out


# ---- the pages ------------------------------------------------------------------------------------------------
def test_the_page_says_what_was_measured_and_what_is_lost(machine, tmp_path):
    written = pages.write([machine], tmp_path / "performance.md")
    assert [page.name for page in written] == ["performance.md", "open.md", "dense.md", "recurrent.md"]
    text = written[0].read_text(encoding="utf-8")
    assert "Made-up Processor, 2 cores" in text
    assert "commit abc1234" in text
    assert "| work | shapes | PyTorch 1.0 | JAX 1.0 |" in text
    assert "| LSTM | 1 | 2.00 | **0.50** |" in text
    loses = text.partition("## Where fastdl loses, and why")[2].partition("## ")[0]
    assert cells(loses[loses.index("|") :])[0][:3] == ["LSTM", "T 64, B 16", "JAX"]
    assert "| baseline | 1 | 10.0 | 20.0 | 100 | 100 |" in text
    assert "| [dense](performance/dense.md) | 1 | 0.89 | 1.78 | 0.89 | 1.78 | 12.5 |" in text
    assert "no reason" not in text
    assert re.search(r"\| LSTM \| T 64, B 16 \| JAX \|.*\| 0.50 \|", written[1].read_text(encoding="utf-8"))


def test_a_lost_row_has_its_reason_or_is_said_to_be_open():
    tiny = {"shape": "T 1, B 1, I 32, H 32", "seconds": 5e-5}
    found = [peer("JAX", 0.9, **tiny), peer("JAX", 0.5, "ragged LSTM"), peer("JAX", 1.05)]
    lines = cells(pages.lost(loaded(row(), *found).peers))
    assert [line[3].partition(":")[0] for line in lines] == ["not known", "the call itself"]


def test_the_readme_and_the_page_have_the_same_rows_of_speed(machine, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{pages.BEGIN}old{pages.END}after\n")
    page, *_ = pages.write([machine], tmp_path / "performance.md", readme)
    assert rows_of_speed(readme) == rows_of_speed(page) == pages.speed(machine)
    assert "| LSTM layers, forward and backward | 2.0 |" in rows_of_speed(page)
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("after\n")


def rows_of_speed(path):
    text = path.read_text(encoding="utf-8")
    return text[text.index(pages.BEGIN) : text.index(pages.END) + len(pages.END)]


def test_the_readme_of_this_repository_says_what_its_page_says():
    rows = rows_of_speed(pages.README)
    assert rows == rows_of_speed(pages.PAGE)
    numbers = [line[-1] for line in cells(rows[rows.index("|") :].partition("\n\n")[0])]
    assert len(numbers) == len(pages.SPEED) == 6
    assert all(re.fullmatch(r"\d+\.\d", number) for number in numbers)  # one number a row


def test_pictures_in_the_readme_have_whole_addresses():
    """Relative ones are broken on PyPI. The address of the repository is set in pyproject.toml alone."""
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    raw = project["urls"]["Repository"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", pages.README.read_text(encoding="utf-8"))
    assert pictures
    for picture in pictures:
        assert picture.startswith(raw)
        assert (pages.ROOT / picture.removeprefix(raw)).is_file()


def test_every_picture_and_page_the_page_links_to_is_written(machine, tmp_path):
    page, *_ = pages.write([machine], tmp_path / "performance.md")
    draw.draw([machine], tmp_path / "performance")
    links = re.findall(r"\]\((?!http|\.\.|contribute/)([^)]+)\)", page.read_text(encoding="utf-8"))
    assert {"performance/peers.svg", "performance/roofline-baseline.svg", "performance/dense.md"} <= set(links)
    assert [link for link in links if not (tmp_path / link).exists()] == []


def test_a_topic_has_a_line_for_each_case_and_dtype(machine):
    lines = cells(pages.topic(machine, "dense"))
    assert [line[:2] for line in lines] == [["tanh", "float32"], ["tanh", "float64"]]
    assert lines[0][2] == "9.00 ms, 8.00 GB, **0.89**"
    assert lines[0][-2:] == ["8.89 ms, 8.00 GB", "12.5"]


def test_without_peers_the_page_says_how_to_measure_them(measured):
    text = pages.performance([loaded(*(one for one in measured if one["kind"] != "peer"))])
    assert text.count("make bench-peers`, then `make bench-report`") == 2
    assert "Where fastdl loses" not in text


def test_a_second_machine_has_sections_and_pictures_of_its_own(machine):
    text = pages.performance([machine, machine._replace(label="Other Processor, 2 cores")])
    assert "# Other Processor, 2 cores" in text
    assert "performance/cost-2.svg" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (456e-6, "456 µs"), (5e-8, "50.0 ns")]
)
def test_durations(seconds, text):
    assert data.duration(seconds) == text


def test_pictures_are_small_valid_and_the_same_each_time(machine, tmp_path):
    first, again = (draw.draw([machine], tmp_path / name) for name in ("first", "again"))
    assert {path.stem for path in first} == {"roofline-baseline", "roofline-avx2", "threads", "cost", "peers"}
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size < 100_000
        assert ElementTree.parse(one).getroot().tag.endswith("svg")
        assert b"fill: #ffffff" in one.read_bytes()  # opaque, on a dark page too


def test_a_lost_row_has_another_colour(tmp_path):
    colours = {}
    for ratio in (2.0, 0.5):
        written = draw.draw([loaded(row(), peer("JAX", ratio))], tmp_path)
        colours[ratio] = draw.ORANGE in next(path for path in written if path.stem == "peers").read_text()
    assert colours == {2.0: False, 0.5: True}


def test_drawing_without_matplotlib_names_the_extra(machine, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"fastdl\[bench\]"):
        draw.draw([machine], tmp_path)
