"""Parquet or JSON lines on shared or object storage, tagged by a Ray cluster. Knows nothing of run folders.

Ray Data reads, spreads the work, writes Parquet and keeps its own checkpoint (ids that are done, in a folder beside the
output), so a run that broke off goes on where it was. Each actor holds one model. The order of the rows is not kept.
Needs the extra ``policytag[ray]``, on every machine of the cluster, and a model folder that every machine can read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policytag.errors import InputError
from policytag.readers import ReadOptions, Rejected
from policytag.readers.rows import ID_COLUMN, Rows
from policytag.tagger import Tagger
from serving.rows import rejected_row, tagged_row
from serving.tagging import tables
from serving.tagging.chunks import CHUNK_ITEMS, RowOptions

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

HELPERS = 2
"""Processors that Ray counts for what reads and for what leaves out the rows that the checkpoint has. Both do little,
but without a place for each, beside that of a model, a run that is taken up waits for ever."""


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """What a run on a cluster is asked to do.

    Attributes:
        inputs: Files or folders of one kind, ``.parquet`` or ``.jsonl``; paths or URIs that Ray Data reads. Every row
            has an id, and no two rows the same: Ray's checkpoint goes by it, and nobody checks.
        output: A folder for Parquet files; a path or URI.
        address: Of the cluster; None starts one on this machine.
        actors: Models at most; None takes one for each CPU, or each GPU where there are any.
        resume: Whether the output may hold what an earlier run wrote.
    """

    inputs: Sequence[str]
    output: str
    model: Path
    rows: RowOptions = field(default_factory=RowOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    address: str | None = None
    actors: int | None = None
    resume: bool = False
    overwrite: bool = False


def tag(request: ClusterRun) -> Counter[str]:
    """Does the run.

    Returns:
        Rows of the output by their status.

    Raises:
        InputError: If Ray is not installed, the inputs are of no one kind, or the output is taken.
    """
    try:
        import ray
        from ray.data import DataContext, SaveMode
        from ray.data.checkpoint import CheckpointConfig
    except ImportError:
        raise InputError("--engine ray needs Ray; install 'policytag[ray]'") from None
    suffix = _suffix(request.inputs)
    _prepare(request)
    Tagger.load(request.model, threads=1)  # what is wrong with it is told here, not in a log of the cluster
    own = {} if request.address else {"include_dashboard": False, "num_cpus": (os.cpu_count() or 1) + HELPERS}
    ray.init(address=request.address, ignore_reinit_error=True, log_to_driver=False, **own)
    DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column=request.reading.id_column or ID_COLUMN,
        checkpoint_path=f"{request.output}.checkpoint",
        delete_checkpoint_on_success=True,
    )
    try:
        read = ray.data.read_parquet if suffix == ".parquet" else ray.data.read_json
        rows = read(list(request.inputs), file_extensions=[suffix[1:]])
        _tagged(rows, request).write_parquet(request.output, mode=SaveMode.APPEND)
    finally:
        DataContext.get_current().checkpoint_config = None
    return _counts(request.output)


def _suffix(paths: Sequence[str]) -> str:
    """The one kind that the inputs are of."""
    found = {suffix for path in paths for suffix in (".parquet", ".jsonl") if suffix in _suffixes(path)}
    if len(found) != 1 or not all(_suffixes(path) for path in paths):
        raise InputError(
            f"{', '.join(paths)}: --engine ray reads .parquet or .jsonl, all files of one kind; "
            "tag the others on one machine"
        )
    return found.pop()


def _suffixes(path: str) -> set[str]:
    folder = Path(path)
    if folder.is_dir():
        return {file.suffix for file in folder.rglob("*") if file.suffix in {".parquet", ".jsonl"}}
    return {suffix for suffix in (".parquet", ".jsonl") if path.endswith(suffix)}


def _prepare(request: ClusterRun) -> None:
    """Makes sure that two runs are not mixed."""
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(
        request.output if "://" in request.output else str(Path(request.output).resolve())
    )
    for folder in (path, f"{path}.checkpoint"):
        if system.get_file_info(folder).type == fs.FileType.NotFound:
            continue
        if request.overwrite:
            system.delete_dir(folder)
        elif not request.resume:
            raise InputError(f"{request.output}: is there already; go on with --resume, or start anew with --overwrite")


def _tagged(rows: ray.data.Dataset, request: ClusterRun) -> ray.data.Dataset:
    import ray

    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    actors = request.actors or gpus or max(1, int(resources.get("CPU", 1)) - HELPERS)
    return rows.map_batches(
        BatchTagger,  # pyright: ignore[reportArgumentType]
        fn_constructor_args=(str(request.model.resolve()), request.rows, request.reading, gpus > 0),
        batch_size=CHUNK_ITEMS,
        batch_format="pyarrow",
        num_cpus=1,
        num_gpus=1 if gpus else None,
        # A pool that may shrink outlives a machine that is lost.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
    )


class BatchTagger:
    """One model, in an actor."""

    def __init__(self, model: str, rows: RowOptions, reading: ReadOptions, gpu: bool) -> None:
        self._tagger = Tagger.load(Path(model), threads=0 if gpu else 1)
        self._rows, self._reading = rows, reading

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table of paragraphs to one of tags, row by row; a row that cannot be tagged is ``rejected``."""
        rows = Rows("-", "-", self._reading, needs_id=True)
        rows.choose(batch.column_names)
        made = [
            rows.make(line, {name: value for name, value in row.items() if value is not None})
            for line, row in enumerate(batch.to_pylist(), start=1)
        ]
        predictions = iter(self._tagger.tag([item.paragraph for item in made if not isinstance(item, Rejected)]))
        records = []
        ids = batch[self._reading.id_column or ID_COLUMN].to_pylist()
        for row_id, item in zip(ids, made, strict=True):
            if isinstance(item, Rejected):
                row = rejected_row(item)
            else:
                row = tagged_row(next(predictions), self._tagger.taxonomy, **asdict(self._rows))
            record = tables.flatten(row) | {"index": None, "line": None}
            records.append(record | {self._reading.id_column or ID_COLUMN: row_id})
        columns = tables.row_columns(self._tagger.taxonomy, **asdict(self._rows))
        return tables.arrow(columns, records, batch.schema.field(self._reading.id_column or ID_COLUMN))


def _counts(output: str) -> Counter[str]:
    from pyarrow import dataset

    counts: Counter[str] = Counter()
    for batch in dataset.dataset(output, format="parquet").to_batches(columns=["status"]):
        counts.update(batch.column(0).to_pylist())
    return counts


def says(counts: Counter[str], seconds: float, output: str) -> str:
    """The closing line."""
    return f"policytag: {counts['ok']} paragraphs tagged, {counts['rejected']} rejected in {seconds:.1f} s -> {output}"


def unused(arguments: Any) -> list[str]:
    """The options of a run on one machine that a cluster has no use for, of those that were given."""
    names = ("html", "summary_file", "summary", "bom", "force")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name)]
    return given + (["--workers"] if arguments.workers != 1 else [])
