"""The report on speed, from made-up records: its tables, its pictures, and the list of where fastdl falls short."""

import itertools
import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree

import cases
import numpy as np
import pytest
import records
from cases import Work
from report import draw, gather, pages, reasons, sweeps

LIMITS = {"copy": 10e9, "read": 20e9, "multiply_adds": 50e9}
HERE = {"machine": "Made-up Processor", "cores": 2, "commit": "abc1234"}


def row(case="dense.tanh", share=0.9, limit="copy", **more):
    seconds = 1e-3
    found = {
        "kind": "row", **HERE, "topic": case.partition(".")[0], "case": case, "size": "large", "sizes": {"n": 9},
        "dtype": "float32", "build": "avx2", "threads": 1, "seconds": seconds, "low": seconds, "high": seconds,
        "runs": 9, "read": 40_000_000, "written": 40_000_000, "multiply_adds": 40_000_000 * (limit == "multiply_adds"),
        "gbytes_s": 8.0, "gflops": 80.0 * (limit == "multiply_adds"), "limit": limit, "share": share,
        "limits": LIMITS, "reference_ratio": None,
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


@pytest.fixture
def machine():
    """The records of one machine: two topics, two builds, one and two threads, a peer, a sweep."""
    found = [{"kind": "machine", **HERE, "versions": {"fastdl": "9.9", "NumPy": "2.0"}}]
    for build, threads, dtype in itertools.product(("baseline", "avx2"), (1, 2), records.DTYPES):
        about = {"build": build, "threads": threads, "dtype": dtype, "seconds": 1e-3 / threads}
        found.append(row(**about))
        found.append(row("recurrent.lstm_forward", 0.9, "multiply_adds", **about))
    found.append(row(size="medium", threads=2, reference_ratio=12.5))
    found += [sweep("tanh", "N", value, value * 1e-9) for value in (1000, 2000, 4000)]
    return [*found, peer("PyTorch", 2.0), peer("JAX", 0.5)]


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


# ---- where it falls short -------------------------------------------------------------------------------
def test_below_the_limit_are_the_rows_below_it_alone():
    found = [row("dense.tanh", 0.79), row("dense.relu", 0.80), row("norms.l2", 0.31, "read", threads=2)]
    text, without = pages.below_limits(found)
    assert [(line[0], line[1], line[-1]) for line in cells(text)] == [
        ("dense.tanh", "copying", "0.79"),
        ("norms.l2", "reading", "0.31"),
    ]
    assert without == sum(reasons.of_limit(one) is None for one in (found[0], found[2]))


def test_a_limit_of_memory_counts_for_large_arrays_alone_and_arithmetic_for_all():
    assert cells(pages.below_limits([row(share=0.1, size="medium")])[0]) == []
    assert cells(pages.below_limits([row(share=0.1, read=99, written=99)])[0]) == []
    assert cells(pages.below_limits([row(share=0.1, size="medium", limit="multiply_adds")])[0]) != []


def test_the_shares_of_a_case_stand_in_one_line_by_build():
    found = [row("x.unheard_of", share, threads=threads) for threads, share in ((1, 0.5), (2, 0.6))]
    found += [row("x.unheard_of", 0.9, build="baseline"), row("x.unheard_of", 0.25, build="avx512")]
    text, without = pages.below_limits(found)
    assert cells(text) == [["x.unheard_of", "copying", "**no reason given**", "", "0.50 to 0.60", "0.25"]]
    assert without == 1


def test_the_best_peer_alone_decides_and_the_worst_row_comes_first():
    found = [peer("PyTorch", 1.09), peer("JAX", 3.0), peer("thinc", 1.1, "GRU"), peer("JAX", 0.4, "Adam, a step")]
    text, _ = pages.below_peers(found)
    assert [(line[0], line[2], line[-1]) for line in cells(text)] == [
        ("Adam, a step", "JAX", "0.40"),
        ("LSTM", "PyTorch", "1.09"),
    ]


def test_nothing_short_is_said_in_words():
    assert pages.below_peers([peer("JAX", 1.2)]) == ("None.\n", 0)
    assert pages.below_limits([row()]) == ("None.\n", 0)


def test_the_first_reason_that_fits_is_given(monkeypatch):
    given = (
        reasons.Reason("narrow", ("dense.t*",), build="avx2", shorter=1e-4),
        reasons.Reason("wide", ("dense.*", "norms.*"), limit="copy"),
    )
    monkeypatch.setattr(reasons, "OF_LIMIT", given)
    assert reasons.of_limit(row(seconds=1e-5)) == "narrow"
    assert reasons.of_limit(row()) == "wide"
    assert reasons.of_limit(row(limit="read")) is None
    assert "wide" in pages.below_limits([row(share=0.5)])[0]


def test_patterns_of_the_reasons_reach_the_names_with_brackets():
    assert "threshold" in reasons.of_limit(row("norms.project_ball[ord=1,axis=1]"))
    assert "power" in reasons.of_limit(row("norms.norm[ord=2.5]"))
    assert reasons.of_limit(row("norms.norm[ord=2]")) is None
    assert "exponentials" in reasons.of_limit(row("recurrent.lstm_forward[layer norm]", limit="multiply_adds"))


def test_the_speed_of_memory_explains_a_draw_but_no_defeat():
    draw, defeat = (peer("JAX", ratio, "Adam, a step", shape="n 16,777,216") for ratio in (0.95, 0.5))
    assert "at its limit" in reasons.of_peer(draw)
    assert reasons.of_peer(defeat) is None


def test_every_reason_is_about_a_case_there_is():
    names = [case.name for case in cases.counted()]
    for reason in reasons.OF_LIMIT:
        for pattern in reason.what:
            assert any(reasons.fnmatchcase(name, pattern) for name in names), pattern


def test_a_reason_for_short_calls_is_not_one_for_bytes(monkeypatch):
    monkeypatch.setattr(reasons, "OF_PEER", (reasons.Reason("the call", shorter=1e-3),))
    memory = peer("JAX", 0.5, bytes=10**6)
    del memory["seconds"]
    assert reasons.of_peer(memory) is None
    assert "1.00 MB" in pages.below_peers([memory])[0]


# ---- the cost of sizes ------------------------------------------------------------------------------------
def test_growth_finds_the_range_that_is_linear():
    points = [(n, 1e-5 + n * 1e-8) for n in (1, 10, 100, 10_000, 100_000, 1_000_000)]
    found = sweeps.growth(points)
    assert found.linear == (10_000, 1_000_000)
    assert found.first < 0.1
    assert found.last == pytest.approx(1, abs=0.02)


def test_growth_is_not_linear_where_it_is_squared():
    found = sweeps.growth([(n, n * n * 1e-9) for n in (16, 32, 64, 128)])
    assert found.linear is None
    assert found.slope == pytest.approx(2)


def test_a_sweep_adds_up_its_cases_and_its_reason_names_the_end():
    both = ("recurrent.lstm_forward", "recurrent.lstm_backward")
    found = [sweep("LSTM", "H", n, n * n * 1e-9, case) for n in (16, 32, 64) for case in both]
    assert sweeps.points_of(found)["LSTM", "H"][0] == (16, pytest.approx(2 * 256e-9))
    (line,) = cells(pages.growths(found))
    assert line[:4] == ["LSTM", "H", "16 to 64", "nowhere"]
    assert "H squared" in line[4]


# ---- records ------------------------------------------------------------------------------------------------
def test_a_later_record_takes_the_place_of_the_same_measurement(tmp_path):
    path = tmp_path / "records.jsonl"
    for share in (0.1, 0.2):
        records.append(path, row(share=share))
    records.append(path, row(dtype="float64"))
    found = records.read([path])
    assert [one["share"] for one in found] == [0.2, 0.9]


def test_commits_of_a_machine_are_not_mixed():
    other = row(machine="Another", commit="old0000")
    kept = records.latest([row(commit="old0000"), other, row()])
    assert [(one["machine"], one["commit"]) for one in kept] == [
        ("Another", "old0000"),
        (HERE["machine"], HERE["commit"]),
    ]


def test_shares_are_of_the_best_limits_of_a_setting():
    low, high = ({**LIMITS, "copy": LIMITS["copy"] * factor} for factor in (0.1, 1.0))
    poor, good, other = row(limits=low), row("dense.relu", limits=high), row(limits=low, threads=2)
    moved = (poor["read"] + poor["written"]) / poor["seconds"]
    assert [one["share"] for one in records.settled([poor, good, other])] == pytest.approx(
        [moved / high["copy"], moved / high["copy"], moved / low["copy"]]
    )


def test_peers_at_the_same_work_are_several_records(tmp_path):
    path = tmp_path / "some.jsonl"
    for one in (peer("JAX", 1.5), peer("PyTorch", 1.2), peer("JAX", 1.6)):
        records.append(path, one)
    assert [(one["peer"], one["ratio"]) for one in records.read([path])] == [("JAX", 1.6), ("PyTorch", 1.2)]


def test_what_the_peers_left_is_read(tmp_path):
    for name, ratio in (("JAX", 1.5), ("PyTorch", 2.0)):
        records.append(tmp_path / f"{name}.jsonl", peer(name, ratio))
    assert records.peers(tmp_path) == [peer("JAX", 1.5), peer("PyTorch", 2.0)]


def test_gathering_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    case = next(one for one in cases.counted() if one.name == "dense.tanh")
    tiny = case._replace(sizes={**case.sizes, "large": {"n": 300}, "medium": {"n": 200}})
    monkeypatch.setattr(cases, "counted", lambda: [tiny])
    monkeypatch.setattr(gather, "sweeps", list)
    monkeypatch.setattr(gather, "limits", lambda *_: gather.Limits(1e9, 1e9, 1e9))
    monkeypatch.setattr(records, "peers", list)
    path = tmp_path / "records.jsonl"
    command = ["gather", f"--out={path}", "--threads=1,2", "--seconds=0.001", "--quick"]
    monkeypatch.setattr("sys.argv", command)
    before = gather.fd.get_num_threads(), gather.kernels.level
    try:
        assert gather.main() == 0
        found = records.kind(records.read([path]), "row")
        assert {(one["size"], one["threads"], one["dtype"]) for one in found} == {
            *itertools.product(("large",), (1, 2), records.DTYPES),
            *itertools.product(("medium",), (2,), records.DTYPES),
        }
        assert all((one["reference_ratio"] is not None) == (one["size"] == "medium") for one in found)
        lines = len(path.read_text().splitlines())
        assert gather.main() == 0
        assert len(path.read_text().splitlines()) == lines + 1  # the machine alone
    finally:
        gather.fd.set_num_threads(before[0])
        gather.kernels.switch(before[1])
    assert "dense.tanh" in capsys.readouterr().out


def test_a_wrong_result_is_not_timed(tmp_path, monkeypatch, capsys):
    case = cases.counted()[0]
    counter = itertools.count()  # another result each time
    broken = case._replace(build=lambda dtype, **_: Work(lambda: np.full(3, next(counter), dtype)))
    piece = gather.Piece(
        broken, {"n": 4}, np.dtype("f4"), {"kind": "row", "size": "large"}, [gather.Setting("baseline", 1)]
    )
    monkeypatch.setattr(gather, "limits", lambda *_: gather.Limits(1e9, 1e9, 1e9))
    before = gather.fd.get_num_threads(), gather.kernels.level
    path = tmp_path / "records.jsonl"
    try:
        arguments = type("Arguments", (), {"out": path, "seconds": 0.001})
        assert not gather._take(piece, HERE, arguments)
    finally:
        gather.fd.set_num_threads(before[0])
        gather.kernels.switch(before[1])
    assert not path.exists()
    assert "WRONG RESULT" in capsys.readouterr().out


# ---- the pages ------------------------------------------------------------------------------------------------
def test_the_page_says_what_was_measured_and_what_is_lost(machine, tmp_path):
    written = pages.write(machine, tmp_path / "performance.md")
    assert [page.name for page in written] == ["performance.md", "open.md", "dense.md", "recurrent.md"]
    text = written[0].read_text(encoding="utf-8")
    assert "Made-up Processor, 2 cores" in text
    assert "commit abc1234" in text
    assert "| work | shapes | PyTorch 1.0 | JAX 1.0 |" in text
    assert "| LSTM | 1 | 2.00 | **0.50** |" in text
    loses = text.partition("## Where fastdl loses, and why")[2].partition("## ")[0]
    assert cells(loses[loses.index("|") :])[0][:3] == ["LSTM", "T 64, B 16", "JAX"]
    assert "no reason" not in text
    assert re.search(r"\| LSTM \| T 64, B 16 \| JAX \|.*\| 0.50 \|", written[1].read_text(encoding="utf-8"))


def test_a_lost_row_has_its_reason_or_is_said_to_be_open():
    tiny = {"shape": "T 1, B 1, I 32, H 32", "seconds": 5e-5}
    found = [peer("JAX", 0.9, **tiny), peer("JAX", 0.5, "ragged LSTM"), peer("JAX", 1.05)]
    assert [line[3].partition(":")[0] for line in cells(pages.lost(found))] == ["not known", "the call itself"]


def test_the_readme_and_the_page_have_the_same_rows_of_speed(machine, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{pages.BEGIN}old{pages.END}after\n")
    page, *_ = pages.write(machine, tmp_path / "performance.md", readme)
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
    pytest.importorskip("matplotlib")
    page, *_ = pages.write(machine, tmp_path / "performance.md")
    draw.draw(machine, tmp_path / "performance")
    links = re.findall(r"\]\((?!http|contribute/)([^)]+)\)", page.read_text(encoding="utf-8"))
    assert {"performance/peers.svg", "performance/roofline-baseline.svg", "performance/dense.md"} <= set(links)
    assert [link for link in links if not (tmp_path / link).exists()] == []


def test_a_topic_has_a_line_for_each_case_and_dtype(machine):
    lines = cells(pages.topic(machine, "dense"))
    assert [line[:2] for line in lines] == [["tanh", "float32"], ["tanh", "float64"]]
    assert lines[0][2] == "1.00 ms, 8.00 GB, **0.90**"
    assert lines[0][-2:] == ["1.00 ms, 8.00 GB", "12.5"]


def test_without_peers_the_page_says_how_to_measure_them(machine):
    alone = [record for record in machine if record["kind"] != "peer"]
    text = pages.performance(list(records.by_machine(alone).items()))
    assert text.count("make bench-peers`, then `make bench-report`") == 2


def test_a_second_machine_has_sections_and_pictures_of_its_own(machine):
    other = [{**record, "machine": "Other Processor"} for record in machine]
    text = pages.performance(list(records.by_machine(machine + other).items()))
    assert "# Other Processor, 2 cores" in text
    assert "performance/cost-2.svg" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (456e-6, "456 µs"), (5e-8, "50.0 ns")]
)
def test_durations(seconds, text):
    assert records.duration(seconds) == text


def test_pictures_are_small_valid_and_the_same_each_time(machine, tmp_path):
    pytest.importorskip("matplotlib")
    first, again = (draw.draw(machine, tmp_path / name) for name in ("first", "again"))
    names = {"roofline-baseline", "roofline-avx2", "threads", "cost", "peers"}
    assert {path.stem for path in first} == names
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size < 100_000
        assert ElementTree.parse(one).getroot().tag.endswith("svg")
        assert b"fill: #ffffff" in one.read_bytes()  # opaque, on a dark page too


def test_a_lost_row_has_another_colour(tmp_path):
    pytest.importorskip("matplotlib")
    colours = {}
    for ratio in (2.0, 0.5):
        found = [row(), peer("JAX", ratio)]
        picture = next(path for path in draw.draw(found, tmp_path) if path.stem == "peers").read_text()
        colours[ratio] = draw.ORANGE in picture
    assert colours == {2.0: False, 0.5: True}


def test_drawing_without_matplotlib_names_the_extra(machine, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"fastdl\[plot\]"):
        draw.draw(machine, tmp_path)
