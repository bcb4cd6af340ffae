"""The site's pages: their code runs, the names of their tables exist, and every equation is stated."""

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

import fastdl as fd

DOCS = Path(__file__).parents[1] / "docs"
README = DOCS.parent / "README.md"
GUIDE = ("start", "metrics", "plots", "estimators", "estimators-sequences", "forecasting", "interop-onnx", "interop-c",
         "interop-audio", "interop-keras")  # fmt: skip
NEEDS = {"interop-onnx": "onnxruntime", "interop-keras": "keras"}
PAGES = [DOCS / f"{name}.md" for name in GUIDE]
COMING = sorted(page for page in (DOCS / "coming").glob("*.md") if page.stem != "index")
PEERS = ("torch", "keras", "sklearn", "optax", "jax")
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)


def code(page, languages):
    """Fenced blocks of the page, each behind as many empty lines as stand before it, so that errors name its line."""
    text = page.read_text()
    for match in re.finditer(rf"^```(?:{languages})\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        cell = re.sub(r"\A---\n.*?^---\n", lambda m: "\n" * m[0].count("\n"), match[1], flags=re.DOTALL | re.MULTILINE)
        yield "\n" * (text[: match.start()].count("\n") + 1) + cell


@pytest.mark.parametrize("page", [*COMING, *PAGES, README], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where files may be written
    if page.stem in ("start", "plots"):
        pytest.importorskip("matplotlib").use("Agg")
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem])
    blocks, names = list(code(page, r"python|\{code-cell\} ipython3")), {}
    assert blocks
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)  # a later block goes on with what an earlier one made


def resolved(name):
    """The object of a dotted name, whose first parts are modules."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", COMING, ids=lambda page: page.stem)
def test_our_names_of_a_table_exist(page):
    names = [ours for _, ours in ROW.findall(page.read_text()) if ours.startswith("fd.")]
    assert len(names) > 5
    for name in names:
        assert callable(resolved("fastdl" + name.removeprefix("fd"))), name


@pytest.mark.peer
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_the_names_of_a_peer_exist(peer):
    pytest.importorskip(peer)
    names = [theirs for page in COMING for theirs, _ in ROW.findall(page.read_text())]
    own = [name for name in names if name.split(".")[0] == peer]
    assert own, peer
    for name in own:
        assert resolved(name) is not None, name


def test_every_equation_is_stated_in_its_topic_page(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    equations = importlib.import_module("equations")
    for page, numbers in equations.SPECIFIED.items():
        lines = (DOCS / f"{page}.md").read_text()
        for number in numbers:
            assert equations.bracketed(lines, number), f"docs/{page}.md does not state ({number})"


def test_the_address_of_the_repository_is_set_in_one_place():
    urls = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["urls"]
    own = urls["Repository"].removeprefix("https://github.com/")
    named = re.compile(r"github(?:usercontent)?\.com/([\w.-]+/fastdl)\b")
    found = {
        path: set(named.findall(path.read_text())) for path in [README, *DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")]
    }
    assert found[README] == {own}
    assert set().union(*found.values()) == {own}


def test_links_of_the_readme_lead_somewhere():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text()):
        assert (DOCS.parent / link).exists(), link


def test_the_reference_lists_every_public_name(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    reference = importlib.import_module("reference")
    listed = {id(getattr(sys.modules[m], name)) for _, m in reference.MODULES.values() for name in reference.public(m)}
    for name in fd.__all__:
        one = getattr(fd, name)
        assert id(one) in listed or type(one) is type(sys), name
