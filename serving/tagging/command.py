"""The arguments of ``policytag tag``, and what they make of a run. What it does lives in `serving.tagging.run`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from policytag.readers import ReadOptions
from policytag.readers.formats import SUFFIXES
from serving.summary import RunSummary
from serving.table import summary_lines
from serving.tagging import cluster, inputs, tables
from serving.tagging.chunks import RowOptions
from serving.tagging.files import STDOUT, is_stream
from serving.tagging.inputs import Inputs
from serving.tagging.run import TagRun, tag


class UsageError(Exception):
    """A combination of arguments that makes no sense; shown as one line, exit code 2."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All arguments but the model's."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="files, folders, archives or patterns, of " + " ".join(SUFFIXES) + "; - is standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="where the rows go: .jsonl, .parquet, .csv or .xlsx by the suffix; - is standard output",
    )
    rows = parser.add_argument_group("what is written")
    rows.add_argument("--scores", action="store_true", help="add every label's probability")
    rows.add_argument("--no-text", action="store_true", help="leave the paragraphs' text out")
    rows.add_argument("--bom", action="store_true", help="begin .csv files with the mark by which Excel knows UTF-8")
    rows.add_argument("--html", metavar="REPORT.html", help="write a report with charts too")
    rows.add_argument("--summary", action="store_true", help="print a summary of each document to stdout")
    rows.add_argument(
        "--summary-file", metavar="FILE", help="write a table by document too: .csv, .xlsx, .parquet, .jsonl"
    )
    reading = parser.add_argument_group("what is read")
    reading.add_argument("--text-column", metavar="NAME", help="the column of tables that holds the text")
    reading.add_argument("--id-column", metavar="NAME", help="the column of tables that holds the rows' ids")
    reading.add_argument("--stdin-format", metavar="FORMAT", choices=sorted(set(SUFFIXES.values()) - {"zip"}))
    run = parser.add_argument_group("how it runs")
    run.add_argument("--workers", type=_count, default=1, metavar="N", help="processes that tag, a model each [1]")
    run.add_argument("--engine", choices=["local", "ray"], default="local", help="this machine or a Ray cluster")
    run.add_argument("--address", help="with --engine ray: the cluster's; without it one is started on this machine")
    run.add_argument("--actors", type=_count, metavar="N", help="with --engine ray: models at most [one a CPU or GPU]")
    run.add_argument("--resume", action="store_true", help="go on with an unfinished run, or begin it")
    run.add_argument("--force", action="store_true", help="with --resume: though model, options or inputs changed")
    run.add_argument("--overwrite", action="store_true", help="throw an unfinished run away and begin anew")


def run(arguments: argparse.Namespace) -> bool:
    """Does what the arguments say.

    Returns:
        Whether any row was rejected.

    Raises:
        UsageError: If they contradict each other.
        PolicytagError, OSError: See `serving.tagging.run.tag`.
    """
    if arguments.engine == "ray":
        return _run_on_cluster(arguments)
    _check(arguments)
    with contextlib.ExitStack() as stack:
        paths = []
        for name in arguments.inputs:
            if name == inputs.STDIN:
                suffix = f".{arguments.stdin_format}" if arguments.stdin_format else None
                paths.append(stack.enter_context(inputs.spooled(sys.stdin.buffer, suffix)))
            else:
                paths.append(Path(name))
        found = inputs.find(paths)
        _check_outputs(arguments, found)
        started = time.monotonic()
        summary = tag(_request(arguments), found)
    if arguments.summary:
        for line in summary_lines(summary):
            print(line)
        sys.stdout.flush()
    _say_done(summary, time.monotonic() - started, arguments.output)
    return summary.total.rejected > 0


def _run_on_cluster(arguments: argparse.Namespace) -> bool:
    if unused := cluster.unused(arguments):
        raise UsageError(f"--engine ray goes without {', '.join(unused)}")
    started = time.monotonic()
    counts = cluster.tag(
        cluster.ClusterRun(
            inputs=arguments.inputs,
            output=arguments.output,
            model=arguments.model,
            rows=RowOptions(text=not arguments.no_text, scores=arguments.scores),
            reading=ReadOptions(arguments.text_column, arguments.id_column),
            address=arguments.address,
            actors=arguments.actors,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
    )
    print(cluster.says(counts, time.monotonic() - started, arguments.output), file=sys.stderr)
    return counts["rejected"] > 0


def _request(arguments: argparse.Namespace) -> TagRun:
    return TagRun(
        output=arguments.output,
        model=arguments.model,
        rows=RowOptions(text=not arguments.no_text, scores=arguments.scores),
        reading=ReadOptions(arguments.text_column, arguments.id_column),
        html=arguments.html,
        summary_file=arguments.summary_file,
        bom=arguments.bom,
        workers=arguments.workers,
        resume=arguments.resume,
        force=arguments.force,
        overwrite=arguments.overwrite,
    )


def _check(arguments: argparse.Namespace) -> None:
    if arguments.address or arguments.actors:
        raise UsageError("--address and --actors go with --engine ray")
    if arguments.summary and STDOUT in (arguments.output, arguments.html):
        raise UsageError("--summary prints to stdout, where - puts other things; write those to a file")
    if arguments.summary_file and is_stream(arguments.summary_file):
        raise UsageError(f"{arguments.summary_file}: --summary-file wants a file; --summary prints to stdout")
    if arguments.force and not arguments.resume:
        raise UsageError("--force goes with --resume; --overwrite begins anew")
    if arguments.resume and arguments.overwrite:
        raise UsageError("--resume goes on and --overwrite begins anew; choose one")
    if arguments.resume and inputs.STDIN in arguments.inputs:
        raise UsageError("--resume: standard input cannot be read twice; write it to a file first")
    if arguments.resume and is_stream(arguments.output):
        raise UsageError(f"{arguments.output}: what is written there cannot be taken up; --resume wants a file")
    if is_stream(arguments.output) and tables.format_of(arguments.output) != "jsonl":
        raise UsageError(f"{arguments.output}: only .jsonl is written to a pipe or device")


def _check_outputs(arguments: argparse.Namespace, found: Inputs) -> None:
    taken = {os.path.realpath(source.path): "both input and output" for source, _ in found.sources}
    for output in (arguments.output, arguments.html, arguments.summary_file):
        if not output:
            continue
        path = os.path.realpath(output)
        if path in taken:
            raise UsageError(f"{output}: is {taken[path]}; write to another file")
        taken[path] = "named twice for output"


def _say_done(summary: RunSummary, seconds: float, output: str) -> None:
    total = summary.total
    print(
        f"policytag: {total.tagged} paragraphs tagged, {total.furniture} furniture, {total.rejected} rejected; "
        f"{summary.document_count} document(s) in {seconds:.1f} s, model {summary.model or '-'} -> {output}",
        file=sys.stderr,
    )


def _count(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= 256:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no number of processes; expected 1 to 256")
