"""The pages of docs/learn: their code runs, their answers pass, and the misprints they warn of do not."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

plt = pytest.importorskip("matplotlib.pyplot")

FOLDER = Path(__file__).parents[1] / "docs" / "learn"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
CELL = re.compile(r"^```\{code-cell\} ipython3\n(?:---\n(?P<options>.*?)\n---\n)?(?P<code>.*?)^```$", re.M | re.S)
FORMULAS = {  # the numbers of a unit, which its page carries
    "norms": [f"1.{k}" for k in range(1, 13)],
    "jacobian-hessian": ["2.1", "2.2", "2.3", "2.4"],
    "gradient-descent": ["2.5", "2.6", "3.1"],
    "dropout": [f"4.{k}" for k in range(1, 7)],
    "momentum": ["3.1", "3.2", "3.3"],
    "adaptive": [f"3.{k}" for k in range(4, 12)],
    "optimizer-paths": [],
    "rnn": ["5.1", "5.8", "2.7"],
    "representations": ["5.2", "5.7", "6.1", "6.2", "6.3", "6.4"],
    "lstm": ["5.3", "5.4", "5.5", "5.6", "5.7", "5.8", "2.7"],
}


def _text(page):
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


def _cells(page):
    """(options, code with its lines where they are in the file) of every code cell."""
    text = _text(page)
    for found in CELL.finditer(text):
        yield found["options"] or "", "\n" * text[: found.start("code")].count("\n") + found["code"]


@pytest.fixture(scope="module", params=PAGES)
def ran(request):
    """A page, what its code left behind, and its pictures."""
    before = fd.get_num_threads(), plt.get_backend()
    plt.switch_backend("Agg")
    plt.close("all")  # what others left open
    fd.set_num_threads(1)  # the pages are small, and the machine may be busy
    names = {"__name__": "__main__"}
    with plt.rc_context():
        for _, code in _cells(request.param):
            exec(compile(code, FOLDER / f"{request.param}.md", "exec"), names)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        for figure in figures:
            figure.canvas.draw()
        yield request.param, names, figures
        plt.close("all")
    fd.set_num_threads(before[0])
    plt.switch_backend(before[1])


def test_a_page_runs_and_every_axis_of_its_pictures_is_named(ran):
    page, _, figures = ran
    described = [options for options, _ in _cells(page) if "alt: " in options]
    assert len(figures) == len(described) > 0, page  # in words, for who does not see them
    for figure in figures:
        assert figure.get_facecolor() == (1, 1, 1, 1)  # the page may be dark
        for axes in figure.axes:
            if axes.axison:
                assert axes.get_xlabel() or not _shown(axes.get_xticklabels()), (page, axes)
                assert axes.get_ylabel() or not _shown(axes.get_yticklabels()), (page, axes)


def _shown(labels):
    """Whether an axis has numbers: one that shares its neighbour's needs no name."""
    return any(label.get_visible() and label.get_text() for label in labels)


WRONG = {  # by page and check: answers with a misprint or a slip, as functions of what the page has defined
    "norms": {
        "check_lp": [lambda n: lambda x, p: (x**p).sum() ** (1 / p), lambda n: lambda x, p: (np.abs(x) ** p).sum()],
        "check_soft": [lambda n: lambda x, s: x / (1 + s), lambda n: lambda x, s: x if abs(x) > s else 0.0],
        "check_clipped": [lambda n: lambda arrays, c: [a * min(1, c / fd.l2(a)) for a in arrays]],
    },
    "jacobian-hessian": {
        "check_softmax_jacobian": [lambda n: lambda z: np.diag(np.exp(z) / np.exp(z).sum())],
        "check_verdict": [
            lambda n: lambda e: "saddle" if min(e) <= 0 <= max(e) else "minimum" if min(e) > 0 else "maximum",
            lambda n: lambda e: "minimum" if min(e) >= 0 else "maximum" if max(e) <= 0 else "saddle",
        ],
        "check_hvp": [
            lambda n: lambda gradient, x, v: n["jacobian"](gradient, x) @ v,  # the whole matrix
            lambda n: lambda gradient, x, v: gradient(x + v) - gradient(x),
        ],
    },
    "gradient-descent": {
        "check_largest_rate": [lambda n: lambda A: 1 / np.linalg.eigvalsh(A).max()],
        "check_safe_newton": [lambda n: lambda H, g, d: -np.linalg.solve(H + d * np.eye(2), g)],
    },
    "dropout": {
        "check_dropout": [
            lambda n: lambda x, p, rng, training: np.where(rng.random(x.shape) < p, x / p, 0) if training else x,
            lambda n: lambda x, p, rng, training: x * (rng.random(x.shape) >= p) if training else x,
            lambda n: lambda x, p, rng, training: (
                np.where(rng.random(x.shape) >= p, x / (1 - p), 0) if training else (1 - p) * x
            ),
            lambda n: lambda x, p, rng, training: x * (rng.random(x.shape) >= p) / (1 - p) if training else x,  # NaN
        ],
        "check_zoneout": [lambda n: lambda new, old, p, rng, training: n["zoneout"](old, new, p, rng, training)],
    },
    "momentum": {
        "check_momentum_step": [
            lambda n: lambda theta, v, g, lr, mu: (theta - (mu * v - lr * g), mu * v - lr * g),
            lambda n: lambda theta, v, g, lr, mu: (theta - lr * g, v),
        ],
        "check_after_change": [lambda n: lambda inside, mu, steps: n["after_change"](False, mu, steps)],
    },
    "adaptive": {
        "check_adam": [lambda n: _adam_without_corrections],
        "check_first_step": [lambda n: lambda g, inside, eps: g / (g + eps)],
        "check_centered": [
            lambda n: lambda S, m, g, rho: (rho * S + (1 - rho) * (g - m) ** 2, rho * m + (1 - rho) * g),
        ],
    },
    "optimizer-paths": {
        "check_misprint": [lambda n: lambda gradient, start, lr, mu, steps: [start - k * lr * gradient(start)
                                                                             for k in range(steps + 1)]],
    },
    "rnn": {
        "check_rnn_gradient": [
            lambda n: lambda dh, x, states, W_h: states[-2].T @ (dh[-1] * (1 - states[-1] ** 2)),  # the last step alone
        ],
        "check_shrinks": [lambda n: lambda W_h, slope, steps: (slope * abs(np.linalg.eigvals(W_h)).max()) ** steps],
    },
    "representations": {
        "check_representation": [lambda n: lambda Tx, Ty, aligned: n["representation"](Tx, Ty, Tx == Ty)],
        "check_shifted": [lambda n: lambda targets, start: targets],
        "check_masked_loss": [lambda n: lambda losses, lengths: losses.mean()],
    },
    "lstm": {
        "check_step": [lambda n: _misprinted_cell, lambda n: _misprinted_output],
        "check_half_life": [lambda n: lambda bias: n["sigmoid"](bias)],
        "check_gru_step": [
            lambda n: lambda x, h, old: n["gru_step"]([x[0], -x[1], x[2]], [h[0], -h[1], h[2]], old),  # 1 - z for z
            lambda n: lambda x, h, old: n["gru_step"](x, [h[0], h[1], 0 * h[2]], old),
        ],
    },
}  # fmt: skip


def _adam_without_corrections(gradients, lr, beta1, beta2, eps):
    theta = m = v = 0.0
    for g in gradients:
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        theta -= lr * m / (np.sqrt(v) + eps)
    return theta


def _gates(a):
    i, f, g, o = np.split(a, 4, axis=-1)
    return 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), np.tanh(g), 1 / (1 + np.exp(-o))


def _misprinted_cell(a, c):
    i, f, _, o = _gates(a)
    c = f + c * i
    return o * np.tanh(c), c


def _misprinted_output(a, c):
    i, f, g, o = _gates(a)
    return 0 * o, f * c + i * g  # what solves h = o * tanh(h)


def test_checks_refuse_the_misprints(ran):
    page, names, _ = ran
    checks = {name for name in names if name.startswith("check_")}
    assert checks == set(WRONG[page]), page
    for check, answers in WRONG[page].items():
        for make in answers:
            with pytest.raises(AssertionError):
                names[check](make(names))


@pytest.mark.parametrize("page", PAGES)
def test_every_check_has_an_answer_that_is_folded(page):
    cells = list(_cells(page))
    for check in WRONG[page]:
        calls = [options for options, code in cells if re.search(rf"^{check}\(", code, re.M)]
        assert calls == ["tags: [hide-cell]"], check


def test_pages_are_notebooks_that_begin_alike():
    beginnings = set()
    for page in PAGES:
        assert _text(page).startswith(HEADER), page
        assert _text(page).count("```{code-cell}") == len(list(_cells(page))), page
        beginnings.add(next(_cells(page))[1].strip())
        for _, code in _cells(page):
            last = ast.parse(code).body[-1]  # no magics: it is plain Python
            if isinstance(last, ast.Expr) and not re.match(r"(print|check_|draw|plt.rcParams)", ast.unparse(last)):
                assert code.endswith(";\n"), f"{page}: a notebook shows what {ast.unparse(last)} returns"
    assert len(beginnings) == 1


def test_pages_carry_the_formulas_of_their_unit():
    assert set(FORMULAS) == set(PAGES)
    for page, numbers in FORMULAS.items():
        missing = [n for n in map(re.escape, numbers) if not re.search(rf"\({n}[);]|tag\{{{n}\}}", _text(page))]
        assert not missing, (page, missing)


def test_links_of_the_pages_lead_somewhere():
    for page in [*PAGES, "index"]:
        for link in re.findall(r"\]\(([^)#]+)", _text(page)):
            assert (FOLDER / link).exists(), (page, link)
    for page in PAGES:
        assert f"({page}.md)" in _text("index"), page
        assert re.search(r"\]\(\.\./\w+\.md\)", _text(page)), page
