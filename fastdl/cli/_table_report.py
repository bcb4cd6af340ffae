"""What ``fastdl train table`` reports: the network beside a baseline and a linear model, on rows held out."""

from typing import Any, NamedTuple

import numpy as np

from .. import metrics
from .._files import shown

_LARGEST_PICTURE = 20  # classes of a confusion matrix that can be read


class Judged(NamedTuple):
    """What was measured on the rows held out."""

    rows: dict[str, dict[str, float]]  # by model, by metric
    truth: np.ndarray
    found: np.ndarray  # the network's
    classes: list[str] | None

    def table(self) -> str:
        """The metrics, as columns of text that Markdown reads as a table."""
        names = list(next(iter(self.rows.values())))
        lines = [["", *names], *([title, *(f"{row[one]:.4g}" for one in names)] for title, row in self.rows.items())]
        wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        rule = ["-" * wide[0], *("-" * (width - 1) + ":" for width in wide[1:])]
        text = []
        for first, *rest in [lines[0], rule, *lines[1:]]:
            cells = [first.ljust(wide[0]), *(one.rjust(width) for one, width in zip(rest, wide[1:], strict=True))]
            text.append(f"| {' | '.join(cells)} |")
        return "\n".join(text)


def judge(model: Any, linear: Any, X: Any, y_train: Any, y: Any) -> Judged:
    """The network, a linear model and the baseline on rows that none has seen."""
    if not hasattr(model, "classes_"):
        truth = y.to_numpy(np.float64)
        found = {"network": model.predict(X), "linear model": linear.predict(X)}
        found["the mean"] = np.full(len(truth), y_train.to_numpy(np.float64).mean())
        rows = {name: _errors(truth, np.asarray(one, np.float64)) for name, one in found.items()}
        return Judged(rows, truth, np.asarray(found["network"], np.float64), None)
    labels = y.astype(str) if y.dtype.kind == "O" else y
    known = labels.isin(model.classes_).to_numpy()  # of the others no model knows anything: they count as wrong
    places = np.searchsorted(model.classes_, labels.where(known, model.classes_[0]).to_numpy())
    truth = np.where(known, places, len(model.classes_))
    seen = y_train.astype(str) if y_train.dtype.kind == "O" else y_train
    shares = np.array([(seen == one).mean() for one in model.classes_])
    chances = {"network": model.predict_proba(X), "linear model": linear.predict_proba(X)}
    chances["the most frequent class"] = np.tile(shares, (len(truth), 1))
    rows = {name: _hits(truth, np.asarray(one, np.float64)) for name, one in chances.items()}
    names = [str(one) for one in model.classes_] + ["(other)"] * (not known.all())
    return Judged(rows, truth, chances["network"].argmax(1), names)


def _errors(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    row = {
        "root mean squared error": metrics.root_mean_squared_error(truth, found),
        "mean absolute error": metrics.mean_absolute_error(truth, found),
    }
    return row | ({"R2": metrics.r2_score(truth, found)} if len(truth) > 1 and np.ptp(truth) else {})


def _hits(truth: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    found, known = chances.argmax(1), truth < chances.shape[1]
    clipped = np.clip(chances[known], 1e-12, None)
    clipped /= clipped.sum(1, keepdims=True)
    labels = np.arange(chances.shape[1])
    return {
        "accuracy": metrics.accuracy_score(truth, found),
        "balanced accuracy": metrics.balanced_accuracy_score(truth, found),
        "log loss": metrics.log_loss(truth[known], clipped, labels=labels) if known.any() else float("nan"),
    }


def report(file: str, target: str, model: Any, judged: Judged, learnt: int, picture: str | None) -> str:
    """The report, in Markdown."""
    network, linear, baseline = judged.rows
    lines = [
        f"# {_plain(target)}", "",
        f"{_plain(file)}: {learnt:,} rows learnt, {len(judged.truth):,} held out, on which all is measured.", "",
        judged.table(), "", _verdict(judged, network, linear, baseline), "",
        f"Network: {model.n_layers_ - 2} hidden layers, {model.model_.parameters().size:,} weights, "
        f"{model.n_iter_} epochs.", "",
    ]  # fmt: skip
    if picture is not None:
        lines += [f"![Learning curve and predictions]({picture})", ""]
    lines += ["## Columns", "", "| column | taken as | |", "|---|---|---|"]
    lines += [f"| {_plain(one['name'])} | {one['kind']} | {_told(one)} |" for one in model.columns_]
    return "\n".join(lines) + "\n"


def _verdict(judged: Judged, network: str, linear: str, baseline: str) -> str:
    name = next(iter(judged.rows[network]))
    sign = 1 if judged.classes is not None else -1
    value = {one: sign * judged.rows[one][name] for one in (network, linear, baseline)}
    if value[network] <= value[baseline]:
        return f"The network is no better than {baseline}: these columns may tell nothing about the target."
    if value[network] <= value[linear]:
        return "The network is no better than a linear model, which is the simpler one."
    return f"The network is better than {baseline} and than a linear model."


def _told(column: dict[str, Any]) -> str:
    if "why" in column:
        return str(column["why"])
    gaps = ", some missing" if column["missing"] else ""
    if column["kind"] == "category":
        way = "a vector each" if column["embed"] else "a column each"
        return f"{len(column['levels'])} categories, {way}{gaps}"
    return gaps.removeprefix(", ")


def picture(model: Any, judged: Judged, target: str) -> Any:
    """The learning curve, and what was predicted for what was true."""
    from ..plots import confusion_matrix

    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('a picture needs matplotlib: pip install "fastdl[plot]"') from None
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    model.history_.plot(ax=left)
    left.set_title("training")
    name = shown(target).replace("$", r"\$")
    if judged.classes is not None and len(judged.classes) <= _LARGEST_PICTURE:
        names = [shown(one, 20).replace("$", r"\$") for one in judged.classes]
        confusion_matrix(_square(judged), names, ax=right)
        right.set_title(f"{name}, rows held out")
        return figure
    right.scatter(judged.truth, judged.found, s=8, alpha=0.5, color="#0072b2")
    ends = [min(judged.truth.min(), judged.found.min()), max(judged.truth.max(), judged.found.max())]
    right.plot(ends, ends, color="#8a8a8a", linewidth=1)
    right.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted", title="rows held out")
    return figure


def _square(judged: Judged) -> np.ndarray:
    counts = np.zeros((len(judged.classes or ()),) * 2, np.int64)
    np.add.at(counts, (judged.truth, judged.found), 1)
    return counts


def _plain(text: str) -> str:
    """Foreign text in a table of Markdown."""
    return shown(text).replace("|", r"\|").replace("<", "&lt;")
