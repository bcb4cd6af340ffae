"""The proof: its table of tasks, that runs go on where they were stopped, floors, and the page."""

import json
import re
import sys

import pytest
from proof import __main__ as proof
from proof import data, pages, pictures, tasks
from proof.tasks import Package, Run
from records import ROOT

FOUND = {
    "parameters": 1234, "figures": {"accuracy": 0.75, "other": 0.5}, "seconds": 3.0, "processor_seconds": 2.5,
    "threads": 2, "build": "avx2", "version": "9.9",
}  # fmt: skip
ABOUT = {"machine": "Made-up Processor", "cores": 2, "commit": "abc1234", "load": 1.0, "date": "2026-01-02"}
PROGRAM = '"""A lesson."""\nimport sys\n\ndef main(argv):\n    return {"accuracy": 0.75}\n'


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A table of one row with a twin, and everything that is written in a folder of the test."""
    for folder, text in (("examples", PROGRAM), ("torch", PROGRAM.replace("0.75", "0.7"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lesson.py").write_text(text)
    (tmp_path / "tasks.toml").write_text(
        '[package.p]\nget = "pip download p"\nfile = "p-*"\n[made-up]\napplication = "lessons"\ndata = "made up"\n'
        'example = "lesson"\nfigure = "accuracy"\npackages = ["p"]\nbeside = ["other"]\ngoal = 0.8\nfloor = 0.6\n'
        'published = "0.5, somebody"\nsource = "Nowhere."\nunsure = true\nsettings = "Guessed."\nseeds = 2\n'
    )
    (tmp_path / "page.md").write_text("{table}\n{where}\n{rows}\n")
    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    for module in (tasks, pages):
        monkeypatch.setattr(module, "HERE", tmp_path)
    records = tmp_path / "records.jsonl"
    table, reading, page = tasks.load, tasks.read, pages.write
    for module in (proof, pages):
        monkeypatch.setattr(module, "load", lambda: table(tmp_path / "tasks.toml"))
    monkeypatch.setattr(proof, "read", lambda: reading(records))
    monkeypatch.setattr(proof, "RECORDS", records)
    monkeypatch.setattr(proof, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(proof, "stamp", lambda: {key: ABOUT[key] for key in ("machine", "cores", "commit")})
    monkeypatch.setattr(proof, "get", lambda package: "")
    monkeypatch.setattr(proof.pictures, "keep", lambda folder, example: [])
    monkeypatch.setattr(proof.pages, "write", lambda missing: page(missing, records, tmp_path / "proof.md"))
    calls = []
    monkeypatch.setattr(proof, "call", lambda run, *rest: calls.append((run, rest[0])) or dict(FOUND))
    return tmp_path, calls


def test_every_example_has_a_row_and_every_row_what_it_needs():
    rows, packages = tasks.load()
    programs = {path.stem for path in (ROOT / "examples").glob("[!_]*.py")}
    assert {row.example for row in rows.values()} == programs
    for row in rows.values():
        assert set(row.packages) <= set(packages), row.name
        assert row.settings
        assert row.source or not row.published, row.name
        assert (
            row.floor is None or not row.packages or all(packages[one].get.startswith("pip ") for one in row.packages)
        )
    documented = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    for package in packages.values():
        commands = package.get, package.get.replace("download", "install", 1)
        assert package.get.startswith("by hand: ") or any(one in documented for one in commands), package.get


def test_a_twin_has_the_settings_of_its_example():
    setting = r"\b(epochs|batch_size|learning_rate|hidden|layers|noise|dropout)\W+(?:\d+ if [\w.]+ else )?([\d.e-]+)"
    for path in (tasks.HERE / "torch").glob("[!_]*.py"):
        texts = (one.read_text(encoding="utf-8") for one in (path, ROOT / "examples" / path.name))
        twin, example = (sorted(re.findall(setting, text)) for text in texts)
        assert twin == example, path.name


def test_runs_go_on_where_they_were_stopped(kept):
    folder, calls = kept
    assert proof.main(["--seeds", "1"]) == 0
    assert [(run.library, given) for run, given in calls] == [("fastdl", ["--seed", "0"]), ("torch", ["--seed", "0"])]
    assert proof.main([]) == 0
    assert calls[2:] == [(Run("lesson"), ["--seed", "1"])]
    proof.main([])
    assert len(calls) == 3
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert [line["figures"] for line in lines] == [FOUND["figures"]] * 3
    proof.main(["made-up", "--fresh"])
    assert len(calls) == 6


def test_a_changed_program_is_run_again_but_not_for_its_words(kept):
    folder, calls = kept
    proof.main([])
    lesson = folder / "examples/lesson.py"
    lesson.write_text(PROGRAM.replace("A lesson.", "The lesson.\n\nAnd more.") + "# a remark\n")
    proof.main([])
    assert len(calls) == 3
    lesson.write_text(PROGRAM.replace("0.75", "0.76"))
    pages.write({})
    assert "0.75**, 2 seeds †" in (folder / "proof.md").read_text()
    proof.main([])
    assert len(calls) == 5
    assert "†" not in (folder / "proof.md").read_text()


def test_the_page_has_mean_range_goal_and_twin(kept):
    folder, _ = kept
    proof.main([])
    records = folder / "records.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    lines[1]["figures"]["accuracy"], lines[2]["figures"]["accuracy"], lines[2]["load"] = 0.85, 0.7, 9.0
    for line in lines[:2]:
        line |= {"load": 1.0, "seconds": 5.0}
    records.write_text("\n".join(map(json.dumps, lines)) + "\n")
    text = pages.write({}).read_text()
    assert (
        "| [lessons](gallery/lesson.md) | made up | 1,234 | 0.5, somebody (*unsure*) | at least 0.8 | "
        "**0.8 (0.75 to 0.85)**, 2 seeds | 5 | 0.7 | 2.5 cpu |"
    ) in text
    assert "- Found: 0.75, 0.85; other 0.5." in text
    lines[1]["figures"]["accuracy"] = 0.8
    records.write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert "at least 0.8: missed" in pages.write({}).read_text()


def test_what_cannot_be_had_or_fails_is_said(kept, monkeypatch, capsys):
    folder, calls = kept
    monkeypatch.setattr(proof, "get", lambda package: f"{package.get}: no network")
    assert proof.main([]) == 0
    assert not calls
    assert "- Not run: pip download p: no network." in (folder / "proof.md").read_text()
    monkeypatch.setattr(proof, "get", lambda package: "")
    monkeypatch.setattr(proof, "call", lambda *given: None)
    assert proof.main([]) == 1
    assert not (folder / "records.jsonl").exists()
    with pytest.raises(SystemExit):
        proof.main(["nothing"])
    assert "got nothing, expected some of made-up" in capsys.readouterr().err


def test_quick_runs_fail_below_their_floor_and_keep_nothing(kept, monkeypatch, capsys):
    folder, calls = kept
    assert proof.main(["--quick"]) == 0
    assert calls == [(Run("lesson", ("--quick",)), [])]
    monkeypatch.setattr(proof, "call", lambda *given: FOUND | {"figures": {"accuracy": 0.59}})
    assert proof.main(["--quick"]) == 1
    assert "BELOW made-up: accuracy 0.59" in capsys.readouterr().out
    monkeypatch.setattr(proof, "get", lambda package: "no network")
    assert proof.main(["--quick"]) == 1
    assert not (folder / "records.jsonl").exists()
    assert not (folder / "proof.md").exists()


def test_a_run_is_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/lesson.py").write_text(
        "import os\ndef main(argv):\n    print(argv)\n    assert '7' in argv, 'the wrong seed'\n"
        "    return {'accuracy': 0.5, 'parameters': 3, 'process': os.getpid()}\n"
    )
    monkeypatch.setattr(proof, "ROOT", tmp_path)
    found = proof.call(Run("lesson", ("--hard",)), ["--seed", "7"], tmp_path / "out", 1)
    assert found["parameters"] == 3
    assert found["threads"] == 1
    assert found["figures"].keys() == {"accuracy", "process"}
    assert (tmp_path / "out/output.txt").read_text().startswith("['--hard', '--seed', '7', '--out', ")
    assert proof.call(Run("lesson"), ["--seed", "8"], tmp_path / "out", 1) is None


def test_data_are_downloaded_once(tmp_path):
    write = f"{sys.executable} -c \"open('p-1.whl', 'w')\""
    package = Package(write, "p-*.whl")
    assert data.get(package, tmp_path / "data") == ""
    assert data.get(package._replace(get="no-such-program p"), tmp_path / "data") == ""
    assert "no-such-program p: " in data.get(Package("no-such-program p", "q-*"), tmp_path)
    assert data.get(Package("no-such-program p", str(tmp_path / "data/p-*")), tmp_path / "elsewhere") == ""
    failing = f"{sys.executable} -c \"raise SystemExit('E: no such package')\""
    assert data.get(Package(failing, "q-*"), tmp_path).endswith(": E: no such package")


def test_pictures_are_small(tmp_path):
    np, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    noise[300:] = 255
    (tmp_path / "run").mkdir()
    image.fromarray(noise).save(tmp_path / "run/noise.png")
    (path,) = pictures.keep(tmp_path / "run", "lesson", tmp_path / "kept")
    assert path.name == "lesson-noise.png"
    assert path.stat().st_size <= pictures.MOST
    with image.open(path) as small:
        assert small.size == (720, 540)


def test_kept_records_are_of_rows():
    runs = {row.run for row in tasks.load()[0].values()}
    assert {run._replace(library="fastdl") for run, _ in tasks.read()} <= runs
