"""``results.json`` as a table in Markdown and a plot. Every figure comes from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

REFERENCE = "policytag int8, in process"


def write(result: dict[str, Any], folder: Path) -> str:
    """Writes ``table.md`` and, where matplotlib is installed, ``growth.svg``; returns the table."""
    text = table(result)
    (folder / "table.md").write_text(text, encoding="utf-8")
    try:
        plot(result, folder / "growth.svg")
    except ImportError:
        text += "\n(no plot: matplotlib is not installed)\n"
    return text


def table(result: dict[str, Any]) -> str:
    """Rates as ratios to the fastest form of policytag, and what else was measured."""
    reference = result["rates"].get(REFERENCE) or result["rates"]["policytag fp32, in process"]
    lines = [
        "| what | paragraphs/s: median (lowest to highest) | policytag is so many times as fast |",
        "|---|---:|---:|",
    ]
    for name, (low, middle, high) in sorted(result["rates"].items(), key=lambda item: -item[1][1]):
        lines.append(f"| {name} | {middle:,.0f} ({low:,.0f} to {high:,.0f}) | {reference[1] / middle:.1f} |")
    lines += [f"| {name} | {reason} | |" for name, reason in result["missing"].items()]
    gemm, operations, alone = result["gemm"], result["operations"], result["alone_ms"]
    ours, plain = alone["policytag"], alone["plain ONNX Runtime fp32"]
    service, cores = result["service"], result["cores"]
    rate = reference[1]
    lines += [
        "",
        f"{result['paragraphs']:,} paragraphs of {result['characters']:.0f} characters and "
        f"{result['tokens']:.0f} tokens on average, {result['threads']} threads, {result['rounds']} rounds in turns.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| multiplications by weights the machine can do at the network's shapes: int8, bf16, fp32 | "
        f"{gemm['int8'] / 1e9:,.0f}, {gemm['bf16'] / 1e9:,.0f}, {gemm['fp32'] / 1e9:,.0f} GOP/s |",
        f"| of the int8 limit reached, text to tags: by what is computed; by what the whole network would be | "
        f"{rate * operations['computed'] / gemm['int8']:.0%}; {rate * operations['network'] / gemm['int8']:.0%} |",
        f"| one paragraph of 80 tokens alone, beside the plain fp32 session without tokenising | "
        f"{ours / plain:.2f} of its time ({ours:.1f} and {plain:.1f} ms) |",
        f"| 1 to 2 threads | {cores[2] / cores[1]:.2f} times |",
        f"| the service: start to ready; resident memory after work | {service['ready_s']:.1f} s; "
        f"{service['resident_mb']:.0f} MB |",
    ]
    return "\n".join(lines) + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Paragraphs a second by length and by clients."""
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]  # the bench extra

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = {int(length): rate for length, rate in result["lengths"].items()}
    left.loglog(list(lengths), list(lengths.values()), "o-")
    left.set(xlabel="characters a paragraph", ylabel="paragraphs/s", title="in process, by length")
    clients = {int(n): figures for n, figures in result["service"]["clients"].items()}
    right.semilogx(list(clients), [f["rate"] for f in clients.values()], "o-", base=2)
    right.set(
        xlabel="clients, one paragraph a request", ylabel="paragraphs/s", title="HTTP, by clients", ylim=(0, None)
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
