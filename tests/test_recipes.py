"""The recipes of docs/contribute/recipes.md are true: the files that one lists, and they alone, name what it made."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "contribute" / "recipes.md"
# Where anything may be told of, is written by a program, or may be added later: interop refuses by name what it lacks.
ELSEWHERE = ("CHANGELOG.md", "README.md", "fastdl/interop/", "docs/interop", "docs/coming/", "docs/learn/",
             "docs/performance", "docs/performance.md",
             "bench/instructions.json", "bench/report/reasons.toml", "tests/")  # fmt: skip
# The recipe, one that was made by it, what it is called, and how many files a recipe may cost.
RECIPES = [
    ("An optimizer", {"NAME": "lion"}, r"\b(Lion|lion(_update)?)\b", 5),
    ("An activation", {"NAME": "softplus"}, r"\b(Softplus|softplus(_backward|_value|_gradient)?)\b", 5),
    ("A loss", {"NAME": "huber"}, r"\b(huber(_loss|_term)?)\b", 5),
    ("A layer", {"NAME": "flatten"}, r"\bFlatten\b", 5),
    ("A recurrent cell", {"NAME": "mingru"}, r"\b(MinGRU|mingru\w*)\b", 9),
    ("A build", {"BUILD": "avx512"}, r"\bavx512\b", 9),
]


def listed(title, names):
    """The files that the numbered lines of a recipe name first; folders end with a stroke."""
    text = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\d+\. .*?`([\w./]+)`", re.sub(r"\n +", " ", text), re.MULTILINE):
        yield re.sub("|".join(names), lambda found: names[found[0]], line)


@pytest.mark.parametrize(("title", "names", "called", "most"), RECIPES)
def test_a_recipe_names_every_file(title, names, called, most):
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a checkout")
    tracked = [one for one in files.stdout.splitlines() if (ROOT / one).is_file()]
    found = {
        one for one in tracked
        if not one.startswith(ELSEWHERE) and re.search(called, (ROOT / one).read_text(errors="ignore"))
    }  # fmt: skip
    wanted = list(listed(title, names))
    assert len(wanted) <= most
    for one in wanted:
        assert any(file == one or (one.endswith("/") and file.startswith(one)) for file in found), one
    others = {file for file in found if not file.startswith(tuple(wanted))}
    assert others <= {PAGE.relative_to(ROOT).as_posix()}
