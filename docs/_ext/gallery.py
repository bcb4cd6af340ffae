"""A page for every program of examples/: what it is, what its full run reaches, its picture, a quick run, its code.

The quick runs happen while the site is built, at most two at a time. They are done again when a program changes. A page
whose data is not there says how to get it.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRAW = """
import importlib, json, sys
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
sys.path.insert(0, "examples")
name, folder = sys.argv[1:]
results = importlib.import_module(name).main(["--quick", "--out", folder])
figure, axes = pyplot.subplots(figsize=(6, 0.7 + 0.45 * len(results)), constrained_layout=True)
bars = axes.barh(list(results), [float(value) for value in results.values()], color="#0072b2")
axes.bar_label(bars, fmt="%.3g", padding=3)
axes.margins(x=0.15)
axes.invert_yaxis()
axes.set_title("What the quick run reached")
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(folder + "/results.png", dpi=120)
"""


def programs():
    return [path for path in sorted((ROOT / "examples").glob("*.py")) if not path.name.startswith("_")]


def run(path, folder):
    """The output of a quick run, whose pictures lie in folder; an earlier build's if the program is the same."""
    output, key = folder / "output.txt", folder / "key"
    shared = sorted(path.parent.glob("_*.py"))
    digest = hashlib.sha256(DRAW.encode() + b"".join(one.read_bytes() for one in (path, *shared))).hexdigest()
    if not key.exists() or key.read_text() != digest:
        folder.mkdir(parents=True, exist_ok=True)
        quiet = [sys.executable, "-W", "ignore", "-c", DRAW, path.stem, str(folder)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(quiet, cwd=ROOT, env=one_thread, capture_output=True, text=True, timeout=180)
        if missing := re.search(r"^FileNotFoundError: (path: .*)\Z", done.stderr, re.MULTILINE | re.DOTALL):
            return missing[1]  # and no key, so that the next build tries again
        if done.returncode:
            raise RuntimeError(f"{path.name} --quick failed:\n{done.stderr}")
        output.write_text(done.stdout.replace(str(folder), "runs/examples"))
        key.write_text(digest)
    return output.read_text()


def reached(name):
    """Rows of docs/models.md that say what the full run reaches; a row without a command belongs to the one before."""
    rows, ours = [], False
    for line in (ROOT / "docs/models.md").read_text().splitlines():
        if match := re.match(r"\| (`python examples/(\w+)\.py`|) *\|(.*)", line):
            ours = match[2] == name if match[2] else ours
            if ours:
                rows.append("|" + match[3])
        else:
            ours = False
    return rows


def page(path, folder, pictures):
    title, _, rest = ast.get_docstring(ast.parse(path.read_text())).partition("\n")
    lines = [f"# {title.rstrip('.')}", "", rest.strip(), "", "```console", f"$ python examples/{path.name}", "```", ""]
    lines += ["## What it reaches", "", "| figure | result |", "|---|---|", *reached(path.stem), ""]
    lines += [
        "## A quick run",
        "",
        f"`python examples/{path.name} --quick`, a trial of some seconds, prints",
        "",
        "```text",
    ]
    lines += [run(path, folder).rstrip(), "```", ""]
    for picture in pictures:
        lines += [f"![{title} A picture from the quick run.]({picture.name})", ""]
    lines += ["## The program", "", f"```{{literalinclude}} ../../examples/{path.name}", ":language: python", "```", ""]
    return "\n".join(lines)


def write(app, _config):
    gallery, kept = Path(app.srcdir) / "gallery", ROOT / "build/docs/gallery"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: run(path, kept / path.stem), programs()))
    for path in programs():
        pictures = []
        for picture in sorted((kept / path.stem).glob("*.png")):
            copy = gallery / f"{path.stem}-{picture.name}"
            copy.write_bytes(picture.read_bytes())
            pictures.append(copy)
        text = page(path, kept / path.stem, pictures)
        target = gallery / f"{path.stem}.md"
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def setup(app):
    app.connect("config-inited", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
