"""One run of ``policytag tag``: reads, tags, writes, commits, and finishes or is taken up again. Knows no arguments."""

from __future__ import annotations

import collections
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from policytag.errors import InputError
from policytag.readers import ReadOptions, Rejected
from policytag.tagger import Tagger
from serving.report import Report
from serving.rows import Row, dump, load
from serving.summary import DocumentSummary, RunSummary
from serving.tagging import documents, inputs, tables
from serving.tagging.chunked import Chunk, ChunkReader
from serving.tagging.chunks import CHUNK_ITEMS, Here, RowOptions, Tagged, Workers, warm
from serving.tagging.files import check_writable, is_stream, open_output, publish, replacing
from serving.tagging.folder import FINISHED, Progress, RunFolder
from serving.tagging.inputs import Inputs
from serving.tagging.seen import SeenIds

COMMIT_SECONDS = 1.0
"""How much work an interruption costs at most, beside the chunk in hand."""


@dataclass(frozen=True, slots=True)
class TagRun:
    """What a run is asked to do.

    Attributes:
        output: Where the rows go; the suffix tells the format, ``-`` is standard output.
        html: Where a report goes.
        summary_file: Where a table by document goes.
        bom: Whether CSV files begin with a byte order mark.
        workers: Processes that tag; 1 is this one.
        resume: Whether an unfinished run is taken up.
        force: Whether that is done although model, options or inputs have changed.
        overwrite: Whether an unfinished run is thrown away.
    """

    output: str
    model: Path
    rows: RowOptions = field(default_factory=RowOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    html: str | None = None
    summary_file: str | None = None
    bom: bool = False
    workers: int = 1
    resume: bool = False
    force: bool = False
    overwrite: bool = False


def run_folder(output: str) -> Path:
    """``tags.jsonl`` -> ``tags.jsonl.run``."""
    path = Path(output)
    return path.with_name(f"{path.name}.run")


def tag(request: TagRun, found: Inputs) -> RunSummary:
    """Does the run.

    Returns:
        What its rows add up to.

    Raises:
        PolicytagError: If it cannot begin or go on; what is committed stays.
        OSError: If something cannot be written; what is committed stays.
    """
    if not is_stream(request.output):
        check_writable(Path(request.output))
    for extra in (request.html, request.summary_file):
        if extra is not None and not is_stream(extra):
            check_writable(Path(extra))
    tagger = Tagger.load(request.model, threads=0 if request.workers == 1 else 1)
    if is_stream(request.output):
        return _Stream(request, found, tagger).run()
    with RunFolder(run_folder(request.output)) as folder:
        return _Resumable(request, found, tagger, folder).run()


class _Run:
    """What both kinds of run share."""

    def __init__(self, request: TagRun, found: Inputs, tagger: Tagger) -> None:
        self.request, self.found, self.tagger = request, found, tagger

    def tagged(self, ids: SeenIds, start: Progress) -> Iterator[tuple[Chunk, Tagged]]:
        """Every chunk with its rows, in order, under a progress bar."""
        reader = ChunkReader(self.found.sources, self.found.sizes, self.request.reading, ids, start, _tell)
        read: collections.deque[Chunk] = collections.deque()

        def items() -> Iterator[list[Any]]:
            for chunk in reader:
                read.append(chunk)
                yield chunk.items

        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(_bar(sum(self.found.sizes), reader.start_bytes))
            if self.request.workers == 1:
                mapped = Here(self.tagger, self.request.rows).map(items())
            else:
                pool = stack.enter_context(Workers(self.request.model, self.request.workers, self.request.rows))
                warm(pool)
                mapped = pool.map(items())
            rows = sum(start.counts.values())
            for tagged in mapped:
                chunk = read.popleft()
                yield chunk, tagged
                rows += len(chunk.items)
                bar.set_postfix_str(f"{rows} rows", refresh=False)
                bar.update(chunk.bytes - bar.n)

    def extras(self, rows: Callable[[], Iterator[Row]], summary: RunSummary, report: Report | None) -> None:
        """The report and the table by document."""
        if self.request.html is not None and report is not None:
            with open_output(self.request.html) as write:
                for piece in report.render():
                    write(piece.encode("utf-8", "replace"))
        if self.request.summary_file is not None:
            taxonomy = self.tagger.taxonomy
            with replacing(Path(self.request.summary_file)) as file:
                fmt = tables.format_of(self.request.summary_file)
                records = documents.by_document(rows(), taxonomy)
                tables.write(fmt, file, documents.columns(taxonomy), records, bom=self.request.bom)

    def report(self, summary: RunSummary) -> Report | None:
        return Report(self.tagger.taxonomy, summary) if self.request.html is not None else None


class _Stream(_Run):
    """Writes as it goes, to what cannot be written twice."""

    def run(self) -> RunSummary:
        summary = RunSummary()
        report = self.report(summary)
        ids = SeenIds(None)
        with contextlib.ExitStack() as stack:
            write = stack.enter_context(open_output(self.request.output))
            spool = stack.enter_context(tempfile.TemporaryFile()) if self.request.summary_file else None
            for _, tagged in self.tagged(ids, Progress()):
                write(tagged.lines)
                if spool is not None:
                    spool.write(tagged.lines)
                for line in tagged.lines.splitlines():
                    row = json.loads(line)
                    summary.add(row)
                    if report is not None:
                        report.add(row)

            def again() -> Iterator[Row]:
                assert spool is not None
                spool.seek(0)
                return map(json.loads, spool)

            self.extras(again, summary, report)
        ids.close()
        return summary


class _Resumable(_Run):
    """Keeps its state in a run folder."""

    def __init__(self, request: TagRun, found: Inputs, tagger: Tagger, folder: RunFolder) -> None:
        super().__init__(request, found, tagger)
        self.folder = folder
        self.output = Path(request.output)

    def run(self) -> RunSummary:
        self._begin()
        if not self.folder.progress.complete:
            self._tag()
        return self._finish()

    def _begin(self) -> None:
        before = self.folder.manifest()
        unfinished = before is not None and before.get("state") != FINISHED
        with tempfile.TemporaryFile() as listed:
            identity = self._identity(inputs.write_list(self.found, listed))
            changed = self._changed(before, identity, listed) if before else []
            if self.request.resume and before is not None and (unfinished or not changed):
                if changed and not self.request.force:
                    raise InputError(
                        f"{self.folder.path}: cannot resume, for {'; '.join(changed)}. "
                        "Resume all the same with --force, or start anew with --overwrite"
                    )
                if changed:
                    self.folder.write("manifest.json", {**before, **identity, "forced": changed})
                if not unfinished:
                    self.folder.progress = Progress(complete=True, counts=before["counts"])
                    return
                self.folder.go_on()
                return
            if unfinished and not self.request.overwrite:
                raise InputError(
                    f"{self.folder.path}: an unfinished run; go on with --resume, or start anew with --overwrite"
                )
            listed.seek(0)
            self.folder.start({**identity, "started": _now()}, listed)

    def _identity(self, digest: str) -> dict[str, Any]:
        options = {**asdict(self.request.rows), **asdict(self.request.reading), "chunk": CHUNK_ITEMS}
        return {"model": self.tagger.version, "options": options, "inputs": digest}

    def _changed(self, before: dict[str, Any], now: dict[str, Any], listed: Any) -> list[str]:
        found: list[str] = []
        if before.get("model") != now["model"]:
            found.append(f"the model was {before.get('model')} and is {now['model']}")
        old = before.get("options", {})
        for name, value in now["options"].items():
            if old.get(name) != value:
                found.append(f"the option {name} was {old.get(name)} and is {value}")
        if before.get("inputs") != now["inputs"]:
            found.append(f"of the inputs, {inputs.first_difference(self.folder.path / 'inputs.jsonl', listed)}")
        return found

    def _tag(self) -> None:
        progress = self.folder.progress
        committed = time.monotonic()
        for chunk, tagged in self.tagged(self.folder.ids, progress):
            self.folder.add_rows(tagged.lines)
            for entry in chunk.files:
                self.folder.add_file(entry)
            counts = progress.counts
            progress = replace(
                progress,
                source=chunk.source,
                items=chunk.items_done,
                rejected_items=chunk.rejected_items,
                counts={name: counts[name] + getattr(tagged, name) for name in counts},
            )
            if time.monotonic() - committed >= COMMIT_SECONDS:
                self.folder.commit(progress)
                committed = time.monotonic()
        self.folder.commit(replace(progress, complete=True))

    def _finish(self) -> RunSummary:
        fmt = tables.format_of(self.request.output)
        rows_file = self.folder.rows_file
        if fmt == "jsonl":
            if rows_file.exists():
                publish(rows_file, self.output)
            rows_file = self.output
        elif rows_file.exists():
            taxonomy, options = self.tagger.taxonomy, self.request.rows
            columns = tables.row_columns(taxonomy, text=options.text, scores=options.scores)
            with replacing(self.output) as file:
                tables.write(fmt, file, columns, tables.records(_rows(rows_file)), bom=self.request.bom)
        if not rows_file.exists():
            return self._finished_before()
        summary = RunSummary()
        report = self.report(summary)
        with replacing(self.folder.path / "rejected.jsonl") as file:
            for row in _rows(rows_file):
                summary.add(row)
                if report is not None:
                    report.add(row)
                if row["status"] == "rejected":
                    file.write(dump(row))
        self.extras(lambda: _rows(rows_file), summary, report)
        self.folder.finish({"counts": self.folder.progress.counts, "finished": _now()})
        return summary

    def _finished_before(self) -> RunSummary:
        """The totals of a run that was finished as a table, of which no rows are kept."""
        if not self.output.exists() or self.request.html is not None or self.request.summary_file is not None:
            raise InputError(f"{self.output}: finished, and its rows are not kept; start anew without --resume")
        counts = self.folder.progress.counts
        total = DocumentSummary("", tagged=counts["ok"], furniture=counts["furniture"], rejected=counts["rejected"])
        return RunSummary(total=total, model=self.tagger.version, document_count=len(self.found.sources))


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from load(file, path)


def _tell(rejected: Rejected) -> None:
    """Says on standard error, beside the progress bar, what was rejected."""
    tqdm.write(str(rejected), file=sys.stderr)


def _bar(total: int, start: int) -> tqdm:
    """A bar of the bytes read, with the time that is left."""
    return tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=None, file=sys.stderr)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
