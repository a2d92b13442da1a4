"""The command ``policytag``: arguments in, exit code out. What it runs lives in `tagging`, `report`, `table`, `launch`.

Exit codes: 0 done, 1 failed, 2 usage, 3 finished with rejected rows. Data goes to standard output, all else to
standard error.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from policytag import __version__
from policytag.artifact import DEFAULT_MODEL
from policytag.errors import PolicytagError
from serving import rows as row_io
from serving.launch import serve
from serving.rows import Row
from serving.summary import RunSummary
from serving.table import summary_lines, table
from serving.tagging import command

DONE, FAILED, USAGE, REJECTED = 0, 1, 2, 3


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
    except command.UsageError as error:
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
    command.add_arguments(parser)
    _model_option(parser)


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
    return REJECTED if command.run(arguments) else DONE


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
