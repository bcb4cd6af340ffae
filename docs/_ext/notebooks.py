"""Each page of docs/learn as a notebook to download, linked below the page's title."""

import re
from pathlib import Path

import nbformat
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")  # into the site, which a downloaded notebook is not part of


def pages(source):
    return [path for path in sorted((Path(source) / "learn").glob("*.md")) if path.stem != "index"]


def notebook(path):
    """The page as a notebook without outputs; the same page gives the same file."""
    read = create_nb_reader(str(path), None, NbParserConfig(), path.read_text(encoding="utf-8")).read
    found = nbformat.from_dict(read(path.read_text(encoding="utf-8")))
    for number, cell in enumerate(found.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"*\1*", cell.source)
    found.metadata = {"kernelspec": found.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.validate(found)
    return nbformat.writes(found)


def write(app, _config):
    for path in pages(app.srcdir):
        path.with_suffix(".ipynb").write_text(notebook(path), encoding="utf-8")


def link(app, name, source):
    """A line below the page's title."""
    if Path(app.srcdir, f"{name}.md") in pages(app.srcdir):
        line = f"{{download}}`This page as a notebook <{Path(name).name}.ipynb>`"
        source[0] = re.sub(r"^(# .+)$", rf"\1\n\n{line}", source[0], count=1, flags=re.MULTILINE)


def setup(app):
    app.connect("config-inited", write)
    app.connect("source-read", link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
