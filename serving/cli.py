"""The command ``policytag``: arguments in, exit code out. What it runs lives in `batch`, `report`, `table`, `launch`.

Exit codes: 0 done, 1 failed, 2 usage, 3 finished with rejected rows. Data goes to standard output, all else to
standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from policytag import __version__
from policytag.artifact import DEFAULT_MODEL
from policytag.errors import PolicytagError
from policytag.readers import Item, ReadOptions, Rejected, Source, document_names, find_sources
from policytag.tagger import Tagger
from serving import rows as row_io
from serving.batch import STDOUT, open_output, read_items, tag_rows
from serving.launch import serve
from serving.report import Report
from serving.rows import Row
from serving.summary import RunSummary
from serving.table import summary_lines, table

DONE, FAILED, USAGE, REJECTED = 0, 1, 2, 3


class UsageError(Exception):
    """A combination of arguments that makes no sense; shown as one line, exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show Chinese is no reason to fail
    try:
        return arguments.run(arguments)
    except UsageError as error:
        return _fail(str(error), USAGE)
    except BrokenPipeError:
        # The reader went away, as in `policytag show x.jsonl | head`: nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except PolicytagError as error:
        return _fail(str(error), FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; check the path, its permissions and the free space", FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)


def _fail(message: str, code: int) -> int:
    print(f"policytag: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="policytag",
        description="Tags paragraphs of Chinese policy documents with policy instruments and industries.",
        epilog="exit codes: 0 done, 1 failed, 2 usage, 3 finished with rejected rows",
    )
    parser.add_argument("--version", action="version", version=f"policytag {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _tag_parser(commands.add_parser("tag", help="tag files: one JSON row a paragraph"))
    _show_parser(commands.add_parser("show", help="print a file written by 'tag' as a table with a summary"))
    _serve_parser(commands.add_parser("serve", help="answer over HTTP"))
    return parser


def _model_option(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("POLICYTAG_MODEL") or DEFAULT_MODEL
    parser.add_argument(
        "--model", type=Path, default=Path(default), metavar="DIR", help="model folder [POLICYTAG_MODEL, %(default)s]"
    )


def _tag_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_tag)
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="files, folders, archives or patterns; see README for formats",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.jsonl", help="where the rows go; - is stdout")
    _model_option(parser)
    parser.add_argument("--scores", action="store_true", help="add every label's probability")
    parser.add_argument("--no-text", action="store_true", help="leave the paragraphs' text out")
    parser.add_argument("--text-column", metavar="NAME", help="the column of tables that holds the text")
    parser.add_argument("--id-column", metavar="NAME", help="the column of tables that holds the rows' ids")
    parser.add_argument("--html", metavar="REPORT.html", help="write a report with charts too")
    parser.add_argument("--summary", action="store_true", help="print a summary of each document to stdout")


def _show_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_show)
    parser.add_argument("file", type=Path, metavar="FILE.jsonl")


def _serve_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    parser.add_argument("--port", type=_port, default=3000, help="port to listen on [%(default)s]")
    _model_option(parser)


def _port(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no port; expected 1 to 65535")


def _tag(arguments: argparse.Namespace) -> int:
    sources = find_sources(arguments.inputs)
    _check_outputs(arguments, sources)
    tagger = Tagger.load(arguments.model)
    summary = RunSummary()
    report = Report(tagger.taxonomy, summary) if arguments.html else None
    started = time.monotonic()
    options = ReadOptions(arguments.text_column, arguments.id_column)
    items = _told(read_items(list(zip(sources, document_names(sources), strict=True)), options))
    stream = tag_rows(tagger, items, text=not arguments.no_text, scores=arguments.scores)
    # The report is opened first: a run of hours should not end at a folder that is not there.
    with open_output(arguments.html) if arguments.html else contextlib.nullcontext() as write_report:
        with open_output(arguments.output) as write:
            for row in tqdm(stream, unit=" paragraphs", disable=None, file=sys.stderr):
                summary.add(row)
                if report:
                    report.add(row)
                write(row_io.dump(row))
        if report and write_report:
            for piece in report.render():
                write_report(piece.encode("utf-8", "replace"))
    if arguments.summary:
        _print(summary_lines(summary))
    _say_done(summary, time.monotonic() - started, arguments.output)
    return REJECTED if summary.total.rejected else DONE


def _check_outputs(arguments: argparse.Namespace, sources: Sequence[Source]) -> None:
    outputs = [output for output in (arguments.output, arguments.html) if output]
    if arguments.summary and STDOUT in outputs:
        raise UsageError("--summary prints to stdout, where - puts other things; write those to a file")
    taken = {os.path.realpath(source.path): "input and output" for source in sources}
    for output in outputs:
        path = os.path.realpath(output)
        if path in taken:
            raise UsageError(f"{output}: is both {taken[path]}; write to another file")
        taken[path] = "the rows and the report"


def _told(items: Iterable[Item]) -> Iterator[Item]:
    """Passes items on; says in a line on standard error, beside the progress bar, what was rejected."""
    for item in items:
        if isinstance(item, Rejected):
            tqdm.write(str(item), file=sys.stderr)
        yield item


def _say_done(summary: RunSummary, seconds: float, output: str) -> None:
    total = summary.total
    print(
        f"policytag: {total.tagged} paragraphs tagged, {total.furniture} furniture, {total.rejected} rejected; "
        f"{len(summary.documents)} document(s) in {seconds:.1f} s, model {summary.model or '-'} -> {output}",
        file=sys.stderr,
    )


def _show(arguments: argparse.Namespace) -> int:
    summary = RunSummary()

    def counted(file: Iterable[bytes]) -> Iterator[Row]:
        for row in row_io.load(file, arguments.file):
            summary.add(row)
            yield row

    with arguments.file.open("rb") as file:
        _print(table(counted(file), shutil.get_terminal_size((120, 24)).columns))
    _print(summary_lines(summary))
    return DONE


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
    sys.stdout.flush()


def _serve(arguments: argparse.Namespace) -> int:
    return serve(arguments.model, arguments.host, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
