"""The quality benchmark's result as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from published import METRICS

_NAMES = {
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "subset_accuracy": "subset accuracy",
    "hamming_loss": "Hamming loss",
}


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def markdown(result: dict[str, Any]) -> str:
    """The whole result."""
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    parts = [
        "# Quality",
        f"Prequential, one event at a time, one configuration, seed {result['seed']}; each metric"
        f" under its own objective. {machine}.",
        f"First in {result['first']} of {result['cells']} cells.",
    ]
    for metric, name in _NAMES.items():
        arrow = "lower is better" if metric == "hamming_loss" else "higher is better"
        lines = [
            f"## {name} ({arrow})\n",
            "| stream | ours | best of 18 published | iHOMER | MLHAT | rank |",
            "|---|---|---|---|---|---|",
        ]
        for row in result["rows"]:
            cell = row["cells"][metric]
            best, rank = "-", "-"
            if "best" in cell:
                best = f"{cell['best']:.3f} ({cell['best_name']})"
                rank = f"{cell['rank']} of {cell['of']}"
            shown = " | ".join(_figure(cell.get(other)) for other in ("ihomer", "mlhat"))
            lines.append(f"| {row['dataset']} | {cell['ours']:.3f} | {best} | {shown} | {rank} |")
        lines.append(f"\nMean {result['mean'][metric]:.4f}.")
        parts.append("\n".join(lines))
    parts.append(_speed(result))
    if result.get("extreme"):
        parts.append(_extreme(result["extreme"]))
    return "\n\n".join(parts) + "\n"


def _speed(result: dict[str, Any]) -> str:
    lines = [
        "## Speed\n",
        "River's classifier chain of logistic regressions on the first events of each stream, in"
        " the same run.\n",
        "| stream | events | labels | features | events/s | of river's speed | micro-F1 over"
        " river's |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['dataset']} | {row['events']:,} | {row['labels']} | {row['features']:,} "
        f"| {row['events_per_second']:,.0f} | {row['ratio']:.2f} | {row['gain']:+.3f} |"
        for row in result["rows"]
    ]
    lines.append(f"\nMean {result['mean']['events_per_second']:,.0f} events/s.")
    return "\n".join(lines)


def _extreme(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## Extreme: a shortlist of many labels\n",
        "| stream | input | events | labels | P@1 / 3 / 5 | PSP@1 / 3 / 5 | calibration error"
        " | events/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        at = " / ".join(f"{row[f'precision_at_{k}']:.3f}" for k in (1, 3, 5))
        psp = " / ".join(f"{row[f'psp_at_{k}']:.3f}" for k in (1, 3, 5))
        lines.append(
            f"| {row['dataset']} | {row['input']} | {row['events']:,} | {row['labels']:,} | {at} "
            f"| {psp} | {row['calibration_error']:.4f} | {row['events_per_second']:,.0f} |"
        )
    return "\n".join(lines)


def plot(result: dict[str, Any], file: Path) -> None:
    """Ours, iHOMER, MLHAT and the best published of each stream, a panel a metric."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "braidstream"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(11, 9), sharey=True)
    streams = [row["dataset"] for row in result["rows"]][::-1]
    marks = {
        "best": ("best of 18 published", "o", "tab:gray"),
        "ihomer": ("iHOMER", "s", "tab:orange"),
        "mlhat": ("MLHAT", "^", "tab:green"),
        "ours": ("Braidstream", "D", "tab:blue"),
    }
    for panel, metric in zip(panels.flat, METRICS, strict=True):
        for key, (label, mark, colour) in marks.items():
            shown = [row["cells"][metric].get(key) for row in result["rows"]][::-1]
            panel.plot(shown, streams, mark, color=colour, label=label, markersize=5)
        panel.set_title(_NAMES[metric] + (" (lower is better)" if "hamming" in metric else ""))
        panel.grid(axis="x", alpha=0.3)
    panels[0, 0].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
