#!/usr/bin/env python3
"""Draws rows of the dashboard from a Prometheus that has data, for the documentation.

    render.py PROMETHEUS FROM TO ROW FILE.png [TITLE...]

FROM and TO are seconds since 1970; ROW is a row's title, or `*` for any. Without titles
every panel of the row is drawn. The expressions are the dashboard's own: what Grafana
would ask, this asks.
"""

import json
import pathlib
import sys
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plot
from matplotlib.ticker import FuncFormatter

HERE = pathlib.Path(__file__).resolve().parent
BOARD = json.loads((HERE / "rookery.json").read_text())
POINTS = 240
SERIES_MAX = 12
COLUMNS = 3


def panels(row, titles):
    """The panels that are wanted, in the order of the board."""
    found, current = [], None
    for panel in BOARD["panels"]:
        if panel["type"] == "row":
            current = panel["title"]
            found += [(current, one) for one in panel["panels"]]
        else:
            found.append((current, panel))
    chosen = [panel for at, panel in found if row in ("*", at)]
    return [panel for panel in chosen if not titles or panel["title"] in titles]


def ask(prometheus, expression, begin, end):
    """The series of an expression over the time: labels, times, values."""
    step = max((end - begin) / POINTS, 1)
    for name, value in {
        "$__rate_interval": f"{max(int(4 * step), 15)}s",
        "$quantile": "0.95",
        "$job": "rookery",
        "$instance": ".+",
    }.items():
        expression = expression.replace(name, value)
    query = urllib.parse.urlencode({"query": expression, "start": begin, "end": end, "step": step})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{query}", timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    for one in result:
        times = [float(at) for at, _ in one["values"]]
        yield one["metric"], times, [float(value) for _, value in one["values"]]


def legend(pattern, labels):
    for name, value in labels.items():
        pattern = pattern.replace("{{" + name + "}}", value)
    return pattern.replace("$quantile", "p95")


def draw(axes, panel, prometheus, begin, end):
    axes.set_title(panel["title"], fontsize=9, loc="left", fontweight="bold")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    series = [
        (legend(target["legendFormat"], labels), times, values)
        for target in panel["targets"]
        for labels, times, values in ask(prometheus, target["expr"], begin, end)
    ]
    # What is 0 all the time tells nothing in a picture.
    told = [one for one in series if any(value > 0 for value in one[2])] or series
    told.sort(key=lambda one: -max((v for v in one[2] if v == v), default=0))
    told = told[:SERIES_MAX]
    stacked = "stacking" in panel["fieldConfig"]["defaults"].get("custom", {})
    if panel["type"] == "heatmap" and told:
        heat(axes, told)
    elif stacked and told:
        stack(axes, told)
    else:
        for name, times, values in told:
            axes.plot([at / 86400 for at in times], values, linewidth=1, label=name)
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])[1:]:
        top = max((max(values) for _, _, values in told if values), default=0)
        if step["value"] <= 3 * top:
            axes.axhline(step["value"], color=step["color"], linewidth=0.8, linestyle="--")
    if panel["type"] != "heatmap":
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: human(value, unit)))
        if told:
            axes.legend(fontsize=6, loc="upper left", frameon=False, ncols=2)
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=5))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.set_xlim(begin / 86400, end / 86400)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)


def stack(axes, series):
    times = sorted({at for _, all_times, _ in series for at in all_times})
    rows = []
    for _, at, values in series:
        known = dict(zip(at, values))
        rows.append([0 if known.get(t, 0) != known.get(t, 0) else known.get(t, 0) for t in times])
    axes.stackplot([t / 86400 for t in times], rows, labels=[name for name, _, _ in series], alpha=0.7)


def heat(axes, series):
    series = sorted(series, key=lambda one: int(one[0]) if one[0].isdigit() else 0)
    times = sorted({at for _, all_times, _ in series for at in all_times})
    rows = [[dict(zip(at, values)).get(t, float("nan")) for t in times] for _, at, values in series]
    edges = [t / 86400 for t in times] + [times[-1] / 86400 + (times[-1] - times[-2]) / 86400]
    axes.pcolormesh(edges, range(len(series) + 1), rows, cmap="Oranges", vmin=0, vmax=1)
    axes.set_yticks([index + 0.5 for index in range(len(series))], [name for name, _, _ in series])


def human(value, unit):
    if unit == "s":
        return f"{value * 1000:g} ms" if abs(value) < 1 else f"{value:g} s"
    if unit == "percentunit":
        return f"{value * 100:g}%"
    if unit in ("bytes", "Bps"):
        for prefix in ("", "Ki", "Mi", "Gi"):
            if abs(value) < 1024:
                break
            value /= 1024
        return f"{value:.4g} {prefix}B" + ("/s" if unit == "Bps" else "")
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def main():
    prometheus, begin, end, row, path, *titles = sys.argv[1:]
    chosen = panels(row, titles)
    lines = -(-len(chosen) // COLUMNS)
    figure, grid = plot.subplots(lines, COLUMNS, figsize=(13, 2.5 * lines), squeeze=False)
    places = [axes for line in grid for axes in line]
    for axes, panel in zip(places, chosen):
        draw(axes, panel, prometheus, float(begin), float(end))
    for axes in places[len(chosen):]:
        axes.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
