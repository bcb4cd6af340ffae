"""Draws architecture.svg: the floors of the house. Run by hand after a change of the floors."""

from pathlib import Path

FLOORS = [  # name, what it does, what is in it; from the roof down
    ("command line", "fastdl train, generate, evaluate, bench", "cli"),
    ("estimators, interop", "scikit-learn and forecasters; torch, ONNX, Keras, C", "estimators, interop"),
    (
        "models, curvature",
        "each way of mapping sequences; Hessian products, spectrum",
        "models, text, datasets, curvature",
    ),
    ("training", "fit, callbacks, checkpoints", "training"),
    ("what a model is judged by, drawn as, kept in", "metrics, pictures, files", "metrics, plots, saving"),
    ("layers", "forward, backward, tapes; one arena of parameters", "nn"),
    (
        "topics",
        "public functions: document, refuse, allocate, call",
        "norms, dropout, optim, dense, recurrent, sequence, random",
    ),
    (
        "guards",
        "what input is refused; threads; memory; which build",
        "_validate, _threads, _memory, _safetensors, _dispatch, _files",
    ),
]
LOWEST = [
    ("kernels", "Cython, nogil, OpenMP", "baseline | AVX2 | AVX-512"),
    ("reference", "the same in plain NumPy", "fastdl.reference"),
]
WIDTH, HEIGHT, GAP = 720, 62, 10


def box(x, y, width, name, does, where, colour):
    middle = x + width / 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="6" fill="{colour}" stroke="#0072b2"/>'
        f'<text x="{middle}" y="{y + 19}" font-weight="bold">{name}</text>'
        f'<text x="{middle}" y="{y + 37}">{does}</text>'
        f'<text x="{middle}" y="{y + 54}" font-family="monospace" font-size="12" fill="#444">{where}</text>'
    )


def picture():
    parts, y = [], 10
    for floor in FLOORS:
        parts.append(box(10, y, WIDTH - 20, *floor, "#eaf3f9"))
        y += HEIGHT + GAP
    half = (WIDTH - 20 - GAP) / 2
    for i, floor in enumerate(LOWEST):
        parts.append(box(10 + i * (half + GAP), y, half, *floor, "#fdf0e6"))
    height = y + HEIGHT + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="14" text-anchor="middle" role="img">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    Path(__file__).with_name("architecture.svg").write_text(picture())
