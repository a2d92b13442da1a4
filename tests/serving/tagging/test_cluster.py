"""Tagging on a Ray cluster of two workers on this machine. Slow: a cluster takes its time to start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from policytag.readers import ReadOptions
from serving.cli import main
from serving.tagging.chunks import RowOptions
from serving.tagging.cluster import BatchTagger

WORDS = ["对企业给予补贴。", "引进人才。", "软件产业。", "无关内容。"]


def write(path: Path, count: int) -> Path:
    rows = [{"id": f"r{i}", "doc": f"d{i % 3}", "text": WORDS[i % 4] * (1 + i % 5)} for i in range(count)]
    rows[7]["text"] = " "
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def tags(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {row["id"]: (row["doc"], row["status"], row["instruments"], row["industries"], row["error"]) for row in rows}


def test_a_batch_is_tagged_as_a_run_on_one_machine_does_it(tiny_model: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    source = write(tmp_path / "in.jsonl", 40)
    assert main(["tag", str(source), "-o", str(tmp_path / "local.parquet")]) == 3
    batch = pa.Table.from_pylist([json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()])
    tagged = BatchTagger(str(tiny_model), RowOptions(), ReadOptions(), gpu=False)(batch).to_pylist()
    local = tags(pq.read_table(tmp_path / "local.parquet").to_pylist())
    here = tags(tagged)
    assert here.pop("r7")[1] == "rejected"
    assert local.pop("r7")[1] == "rejected"
    assert here == local


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.jsonl", "-o", "out", "--engine", "ray", "--html", "x"], 2, "--engine ray goes without --html"),
        (["a.txt", "-o", "out", "--engine", "ray"], 1, "--engine ray reads .parquet or .jsonl"),
        (["a.txt", "-o", "out", "--address", "x"], 2, "--address and --actors go with --engine ray"),
    ],
)
def test_what_a_cluster_does_not_do_is_said_before_it_starts(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tag", *arguments]) == code
    assert words in capsys.readouterr().err


def test_an_output_that_is_there_is_neither_mixed_nor_thrown_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "in.jsonl", 10), tmp_path / "out"
    out.mkdir()
    assert main(["tag", str(source), "-o", str(out), "--engine", "ray"]) == 1
    assert "is there already; go on with --resume, or start anew with --overwrite" in capsys.readouterr().err


@pytest.fixture
def two_workers() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000})
    workers = [made.add_node(num_cpus=1, object_store_memory=200_000_000) for _ in range(2)]
    made.wait_for_nodes()
    yield made, workers
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_the_same_tags_though_it_loses_a_worker(
    two_workers: Any, tiny_model: Path, tmp_path: Path
) -> None:
    made, workers = two_workers
    source = tmp_path / "in"
    source.mkdir()
    whole = write(tmp_path / "whole.jsonl", 20_000)
    lines = whole.read_text(encoding="utf-8").splitlines()
    for number in range(20):
        (source / f"{number:02}.jsonl").write_text("\n".join(lines[number::20]), encoding="utf-8")
    assert main(["tag", str(whole), "-o", str(tmp_path / "local.parquet")]) == 3

    def lose() -> None:
        out = tmp_path / "out"
        while not any(out.glob("*.parquet")):
            time.sleep(0.05)
        made.remove_node(workers[0], allow_graceful=False)
        lost.append(len(list(out.glob("*.parquet"))))

    lost: list[int] = []
    threading.Thread(target=lose, daemon=True).start()
    command = ["tag", str(source), "-o", str(tmp_path / "out"), "--engine", "ray", "--actors", "2"]
    assert main([*command, "--address", made.address]) == 3
    assert 0 < lost[0] < len(list((tmp_path / "out").glob("*.parquet")))
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert len(found) == 20_000
    local = tags(pq.read_table(tmp_path / "local.parquet").to_pylist())
    here = tags(found)
    assert {row_id for row_id in here if here[row_id][1:4] != local[row_id][1:4]} == set()


@pytest.mark.slow
def test_a_run_on_a_cluster_whose_driver_is_killed_goes_on_from_rays_checkpoint(
    tiny_model: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    lines = write(tmp_path / "whole.jsonl", 20_000).read_text(encoding="utf-8").splitlines()
    for number in range(20):
        (source / f"{number:02}.jsonl").write_text("\n".join(lines[number::20]), encoding="utf-8")
    command = [sys.executable, "-m", "serving.cli", "tag", str(source), "-o", str(out), "--engine", "ray"]
    process = subprocess.Popen([*command, "--actors", "1", "--model", str(tiny_model)], start_new_session=True)
    while len(list(out.glob("*.parquet"))) < 3:
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--resume", "--model", str(tiny_model)], check=False)
    ids = pq.read_table(out, columns=["id"]).column("id").to_pylist()
    assert len(ids) == len(set(ids)) == 20_000
