"""The pages of the gallery: for every program of examples/ what it reaches, its picture, a quick run, its code.

What a full run reaches and draws is kept in the repository (`make proof`). The quick runs happen while the site is
built, at most two at a time, and again when a program changes. A page whose data is not there says how to get it.
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
sys.path.insert(0, str(ROOT / "bench"))
from proof import pages, tasks  # noqa: E402

KEPT = ROOT / "docs/gallery/pictures"
DRAW = """
import importlib, json, sys
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
sys.path.insert(0, "examples")
name, folder = sys.argv[1:]
results = importlib.import_module(name).main(["--quick", "--out", folder])
results.pop("parameters", None)
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
    """(figure, result, published) of every figure of the program's rows, from the records of its full runs."""
    rows, records = tasks.load()[0].values(), tasks.read()
    for row in rows:
        if row.example == name:
            found = tasks.of(row.run, records)
            yield row.figure, pages.figures(row, found) or "not run yet", row.claim
            for other in row.beside:
                if values := tasks.values(found, other):
                    yield other, tasks.spread(values), ""


def title_of(path):
    title, _, rest = ast.get_docstring(ast.parse(path.read_text())).partition("\n")
    return title.rstrip("."), rest.strip()


def kept(path):
    """The pictures of the full run."""
    return sorted(KEPT.glob(f"{path.stem}-*.png"))


def page(path, folder, pictures):
    """The program's page; `pictures` are those of its quick run."""
    title, rest = title_of(path)
    lines = [f"# {title}", "", rest, "", "```console", f"$ python examples/{path.name}", "```", ""]
    lines += ["## What it reaches", "", "| figure | result | published |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in reached(path.stem)]
    lines += ["", "The mean of several seeds, with the least and the greatest: [the proof](../proof.md).", ""]
    for picture in kept(path):
        lines += [f"![{title}. A picture from the full run.](pictures/{picture.name})", ""]
    lines += ["## A quick run", "", f"`python examples/{path.name} --quick`, a trial of some seconds, prints", ""]
    lines += ["```text", run(path, folder).rstrip(), "```", ""]
    for picture in pictures:
        lines += [f"![{title}. A picture from the quick run.]({picture.name})", ""]
    lines += ["## The program", "", f"```{{literalinclude}} ../../examples/{path.name}", ":language: python", "```", ""]
    return "\n".join(lines)


def overview():
    """A line for each program: its picture, what it is, its first figure."""
    lines = ["| | program | reaches |", "|---|---|---|"]
    for path in programs():
        title, _ = title_of(path)
        pictures = [f"![{title}](pictures/{one.name}){{width=200px}}" for one in kept(path)[:1]]
        figure = next((f"{name}: {result}" for name, result, _ in reached(path.stem)), "")
        lines.append(f"| {''.join(pictures)} | [{title}]({path.stem}.md) | {figure} |")
    return "\n".join(lines) + "\n"


def write(app, _config):
    gallery, quick = Path(app.srcdir) / "gallery", ROOT / "build/docs/gallery"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: run(path, quick / path.stem), programs()))
    texts = {gallery / "_overview.md": overview()}
    for path in programs():
        pictures = []
        drawn = sorted((quick / path.stem).glob("*.png"))
        for picture in drawn if not kept(path) else [one for one in drawn if one.name == "results.png"]:
            copy = gallery / f"{path.stem}-{picture.name}"
            copy.write_bytes(picture.read_bytes())
            pictures.append(copy)
        texts[gallery / f"{path.stem}.md"] = page(path, quick / path.stem, pictures)
    for target, text in texts.items():
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def setup(app):
    app.connect("config-inited", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
