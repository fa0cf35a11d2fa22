"""The scale benchmark as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAMES = {"ours": "ours", "vowpal": "Vowpal Wabbit --plt", "river": "river chain", "exact": "exact"}


def _cell(row: dict[str, Any] | None, key: str) -> str:
    if row is None:
        return "-"
    if "failed" in row:
        return str(row["failed"])
    return f"{row[key]:,.0f}" if key in row else "-"


def _at(rows: list[dict[str, Any]], labels: int) -> dict[str, Any] | None:
    return next((row for row in rows if row["labels"] == labels), None)


def report(result: dict[str, Any]) -> str:
    """Everything that was measured."""
    sizes = [row["labels"] for row in result["ours"]]
    lines = [
        "# Cost against the number of labels", "",
        f"machine: {result['machine']}, seed {result['seed']}", "",
        "Microseconds an event, learnt (predicted first) or only predicted:", "",
        "| labels | ours: learn | predict | events/s | P@1 | peak GiB | VW: learn | predict | P@1 "
        "| river: learn | predict | exact search |", "|---" * 12 + "|",
    ]  # fmt: skip
    for labels in sizes:
        mine, vw, river, exact = (
            _at(result[one], labels) for one in ("ours", "vowpal", "river", "exact")
        )
        cells = [_cell(mine, key) for key in ("learn_us", "predict_us", "per_second")]
        whole = mine is not None and "failed" not in mine
        cells.append(f"{mine['precision_at_1']:.3f}" if whole and mine else "-")
        cells.append(f"{mine['peak_gib']:.2f}" if whole and mine else "-")
        cells += [_cell(vw, key) for key in ("learn_us", "predict_us")]
        cells.append(f"{vw['precision_at_1']:.3f}" if vw and "failed" not in vw else "-")
        cells += [_cell(river, key) for key in ("learn_us", "predict_us")]
        cells.append(_cell(exact, "predict_us"))
        lines.append(f"| {labels:,} | " + " | ".join(cells) + " |")
    lines += ["", "P@1 of ours is after the tour; of the tree, over its own events.", ""]
    lines += [*_growth(result), *_ratios(result), *_profile(result), *_bounds(result)]
    return "\n".join(lines) + "\n"


def _growth(result: dict[str, Any]) -> list[str]:
    few, many = _at(result["ours"], 10_000), _at(result["ours"], 1_000_000)
    if few is None or many is None or "failed" in few or "failed" in many:
        return []
    return [
        f"From 10,000 to 1,000,000 labels an event costs {many['learn_us'] / few['learn_us']:.2f} "
        f"times as much to learn (aim 1.5) and {many['predict_us'] / few['predict_us']:.2f} times "
        "to predict (aim 3).", "",
    ]  # fmt: skip


def _ratios(result: dict[str, Any]) -> list[str]:
    lines = []
    for peer in ("vowpal", "river", "exact"):
        for row in result[peer]:
            mine = _at(result["ours"], row["labels"])
            if mine is None or "failed" in mine or "failed" in row:
                continue
            said = []
            if "per_second" in row:  # what we call learning predicts first, as theirs does here
                said.append(f"{mine['per_second'] / row['per_second']:.1f} times their events/s")
            said.append(f"predicting {row['predict_us'] / mine['predict_us']:.2f} times as fast")
            lines.append(f"- {NAMES[peer]} at {row['labels']:,} labels: ours has {', '.join(said)}")
    if isinstance(tibkat := result.get("tibkat"), list):
        mine, peer = tibkat
        lines.append(
            f"- tibkat from text, its first {mine['events']:,} events, predicted and learnt: "
            f"{mine['per_second']:,.0f} events/s at P@1 {mine['precision_at_1']:.3f}; "
            f"{peer['peer']} {peer['per_second']:,.0f} at {peer['precision_at_1']:.3f} on its "
            f"first {peer['events']:,}"
        )
    return [*lines, ""]


def _profile(result: dict[str, Any]) -> list[str]:
    rows = [row for row in result["ours"] if "failed" not in row]
    if not rows:
        return []
    stages = list(rows[-1]["profile"])
    lines = ["Where the time of a learnt event goes (shares, under the profiler):", ""]
    lines.append("| stage | " + " | ".join(f"{row['labels']:,}" for row in rows) + " |")
    lines.append("|---" * (len(rows) + 1) + "|")
    for stage in stages:
        shares = " | ".join(f"{row['profile'].get(stage, 0):.1%}" for row in rows)
        lines.append(f"| {stage} | {shares} |")
    return [*lines, ""]


def _bounds(result: dict[str, Any]) -> list[str]:
    found, rows = result["bounds"], [row for row in result["ours"] if "failed" not in row]
    if "failed" in found or not rows:
        return []
    last = rows[-1]
    kernel = last["profile"].get("learner's kernels", 0) * last["learn_us"]
    reads = 4_000 * found["random_read_ns"] / 1_000, 4_000 * found["dependent_read_ns"] / 1_000
    interpreted = 1 - last["profile"].get("learner's kernels", 0)
    return [
        f"Memory here: {found['copy_gb_s']:.1f} GB/s copied, {found['random_read_ns']:.1f} ns a "
        f"random read of 64 MB where reads do not wait for each other, "
        f"{found['dependent_read_ns']:.0f} ns where they do. At {last['labels']:,} labels the "
        f"learner's kernels take {kernel:.0f} us an event. Its some 4,000 random reads (hashed "
        f"weights, postings, labels) would take {reads[0]:.0f} to {reads[1]:.0f} us of that; the "
        f"rest is arithmetic and branches. All else, {interpreted:.0%} of the time of an event, is "
        "the interpreter and what it calls.", "",
    ]  # fmt: skip


def chart(result: dict[str, Any], path: Path) -> None:
    """Cost against labels, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "braidstream"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, key, title in zip(
        axes, ("learn_us", "predict_us"), ("predict and learn", "predict"), strict=True
    ):
        for one, name in NAMES.items():
            rows = [row for row in result[one] if key in row]
            if rows:
                axis.plot([r["labels"] for r in rows], [r[key] for r in rows], "o-", label=name)
        axis.set(xscale="log", yscale="log", xlabel="labels", title=title)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("microseconds an event")
    axes[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
