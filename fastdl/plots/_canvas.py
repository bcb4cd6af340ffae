"""Where pictures are drawn: axes, colours that all sight tells apart, on light and on dark; data that fits."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validate import data_array, members, real_values, text


class Colours(NamedTuple):
    """What is seen well on a background. The hues are those of Okabe and Ito (2008), lighter on dark."""

    lines: tuple[str, ...]
    text: str
    faint: str
    shades: str  # a colour map from the background on


_LIGHT = Colours(("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"), "#222222", "#8a8a8a", "Greys")
_DARK = Colours(("#56b4e9", "#ff9a56", "#3fd0a4", "#f2b3d5", "#f0e442", "#9ecbff"), "#f0f0f0", "#9a9a9a", "Greys_r")
SEQUENTIAL, DIVERGING = "cividis", "PuOr"
MARKERS, STYLES = "os^Dvp", ("-", "--", "-.", ":")


def pyplot() -> Any:
    """matplotlib.pyplot, imported when the first picture is asked for."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError('fastdl.plots needs matplotlib: pip install "fastdl[plot]"') from None
    return pyplot


def axes_of(ax: Any, width: float = 7.0, height: float = 4.2) -> Any:
    """The axes given, or new ones in a figure of that size, in inches."""
    plt = pyplot()
    if ax is None:
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    return _checked("ax", ax)


def several_axes(ax: Any, rows: int, width: float, height: float) -> list[Any]:
    """As many axes below each other, which share their horizontal one; or those given."""
    plt = pyplot()
    if ax is None:
        _, grid = plt.subplots(
            rows, 1, figsize=(width, height * rows), sharex=True, squeeze=False, layout="constrained"
        )
        return list(grid[:, 0])
    given = (
        [ax] if hasattr(ax, "figure") else members("ax", list(ax.flat) if isinstance(ax, np.ndarray) else ax, "axes")
    )
    if len(given) != rows:
        raise ValueError(f"ax: got {len(given)} axes, expected {rows}, one of each value")
    return [_checked("ax", one) for one in given]


def _checked(name: str, ax: Any) -> Any:
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{name}: got {type(ax).__name__}, expected matplotlib's axes")
    return ax


def colours(ax: Any) -> Colours:
    """Those for the background of these axes."""
    from matplotlib.colors import to_rgba

    red, green, blue, alpha = to_rgba(ax.get_facecolor())
    if alpha < 0.5:
        red, green, blue, _ = to_rgba(ax.figure.get_facecolor())
    return _LIGHT if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else _DARK


def tidy(ax: Any, xlabel: str, ylabel: str, grid: str = "both") -> None:
    """Names on both axes, no frame above and to the right, and faint lines to read values by."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(True, axis=grid, color=colours(ax).faint, alpha=0.25, linewidth=0.8)


def colour_bar(image: Any, ax: Any, label: str) -> None:
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)


def heat_map(ax: Any, values: np.ndarray, **options: Any) -> Any:
    """An image whose rows and columns are cells, without lines across."""
    image = ax.imshow(values, aspect="auto", interpolation="nearest", **options)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return image


def written_on(image: Any, value: float) -> str:
    """Black or white, whichever is read better on the colour of a value."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"


# ---- data


def drawable(name: str, value: Any, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Finite numbers in float64, of a size that axes have ticks for: up to float32's largest."""
    data_array(name, value, shape)
    return np.asarray(real_values(name, value, "fiub"), np.float64)


def names_of(name: str, value: Any, size: int, what: str) -> list[str] | None:
    """As many names, of what prints; None for none."""
    if value is None:
        return None
    found = [text(f"{name}[{i}]", str(one)) for i, one in enumerate(_listed(name, value))]
    if len(found) != size:
        raise ValueError(f"{name}: got {len(found)} of them, expected {size}, one of each {what}")
    return [one.replace("$", r"\$") for one in found]  # or matplotlib would read a formula


def _listed(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, (str, np.ndarray)):
        return list(value) if isinstance(value, str) else list(value.flat)
    return members(name, value, "names")


def whole_numbers() -> Any:
    """Places for ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def name_ticks(axis: Any, names: list[str] | None, most: int = 60) -> None:
    """A name at each place; without names, or where there are too many to read, the places' numbers."""
    if names is not None and len(names) <= most:
        axis.set_ticks(range(len(names)), names)
