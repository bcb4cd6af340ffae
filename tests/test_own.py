"""The pages of docs/own run as they are."""

from pathlib import Path

import pytest
from test_learn import CELL, HEADER

FOLDER = Path(__file__).parents[1] / "docs" / "own"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page):
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    assert text.startswith(HEADER)
    cells = list(CELL.finditer(text))
    names = {}
    for cell in cells:
        exec(compile(cell["code"], f"{page}.md", "exec"), names)
    assert len(cells) == text.count("{code-cell}")
    if page == "cell":
        assert sum(names["losses"][-20:]) / 20 < 0.05
    if page == "loss":
        assert names["history"]["validation_loss"][-1] < 0.01
