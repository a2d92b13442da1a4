"""``policytag-train rollback``: its arguments; the work is in `training.versions`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from training.verbs import common


def add_arguments(parser: ArgumentParser) -> None:
    common.add_models(parser)
    parser.add_argument("--to", metavar="VERSION", help="version to go back to (default: the one before the current)")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; goes into the history")


def run(args: Namespace) -> int:
    from training import versions

    entry = versions.rollback(versions.Versions(args.models), args.to, args.reason)
    print(f"{args.models / 'current'}: version {entry.version}, before {entry.previous}")
    return 0
