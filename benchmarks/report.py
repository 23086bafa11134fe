"""Figures as tables and as a plot: median, spread, and the ratio to one contender."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.figures import Figure

TIMES = "\N{MULTIPLICATION SIGN}"
REFERENCE = "flash_events"
"""Default reference of the ratios, if a work names no other."""


def tables(figures: Iterable[Figure], reference: str = REFERENCE) -> str:
    """Returns a Markdown table for each quantity of each work."""
    parts, heading = [], ""
    for (work, quantity), group in grouped(figures).items():
        if work != heading:
            parts.append(f"**{work}**")
            heading = work
        parts.append(table(quantity, group, reference))
    return "\n\n".join(parts)


def grouped(figures: Iterable[Figure]) -> dict[tuple[str, str], list[Figure]]:
    """Groups figures of one work and quantity, in the order of their first occurrence."""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.work, figure.quantity), []).append(figure)
    return groups


def table(quantity: str, figures: Sequence[Figure], reference: str) -> str:
    """Returns the rows of contenders with the same quantity."""
    compared = next((figure for figure in figures if figure.contender == reference), None)
    title = f"{TIMES} {reference}" if compared and len(figures) > 1 else ""
    head = ["", quantity, *([title] if title else []), "note"]
    lines = [head, ["---", "--:", *(["--:"] if title else []), "---"]]
    for figure in figures:
        ratio = [ratios(figure, compared)] if title and compared else []
        lines.append(
            [figure.contender, spread(figure.samples), *ratio, figure.note.replace("|", r"\|")]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(figure: Figure, reference: Figure) -> str:
    """Returns the ratio to the reference round by round: a slow round affects both."""
    if figure is reference or len(figure.samples) != len(reference.samples):
        return ""
    pairs = zip(figure.samples, reference.samples, strict=True)
    return spread([sample / base for sample, base in pairs if base])


def spread(samples: Sequence[float]) -> str:
    """Returns the median and the range of the samples."""
    if not samples:
        return "\N{EN DASH}"
    low, high = number(min(samples)), number(max(samples))
    median = number(statistics.median(samples))
    return median if low == high else f"{median} ({low} to {high})"


def number(value: float) -> str:
    """Formats a number with three significant digits, and all digits before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def plot(figures: Iterable[Figure], path: Path) -> None:
    """Draws a dot for each contender, for each quantity with a ratio to ours."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "flash_events"  # the same figures give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot

    groups = [
        (work, quantity, bars)
        for (work, quantity), group in grouped(figures).items()
        if len(bars := [figure for figure in group if figure.samples]) > 1
        and any(figure.contender == REFERENCE for figure in bars)
    ]
    if not groups:
        return
    heights = [len(bars) + 1.5 for _, _, bars in groups]
    size = (9, 0.32 * sum(heights))
    drawing, rows = pyplot.subplots(
        len(groups), squeeze=False, figsize=size, height_ratios=heights, layout="constrained"
    )
    for (work, quantity, bars), [axes] in zip(groups, rows, strict=True):
        names = [figure.contender for figure in bars]
        medians = [statistics.median(figure.samples) for figure in bars]
        below = [m - min(f.samples) for m, f in zip(medians, bars, strict=True)]
        above = [max(f.samples) - m for m, f in zip(medians, bars, strict=True)]
        colors = ["#d9480f" if name.startswith(REFERENCE) else "#8a99a8" for name in names]
        # Dots, because the length of a bar has no meaning on a logarithmic scale.
        axes.errorbar(medians, names, xerr=[below, above], fmt="none", ecolor="#666", capsize=2)
        axes.scatter(medians, names, c=colors, s=24, zorder=3)
        for name, median in zip(names, medians, strict=True):
            axes.annotate(
                number(median), (median, name), (7, 4), textcoords="offset points", fontsize=6
            )
        axes.grid(axis="x", color="#ddd", linewidth=0.5)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")  # the values stand beside the dots
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.set_title(f"{work}: {quantity}", loc="left", fontsize=8, fontweight="bold")
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, metadata={"Date": None})
    pyplot.close(drawing)
