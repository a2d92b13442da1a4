"""Corrections: kept durably, once, and read back as annotations; on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from policytag.corrections import ConflictError, Correction, Corrections, StoreError
from policytag.errors import InputError

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
    Path(found).resolve().parent for found in [shutil.which("initdb")] if found
]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that was started for the tests."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = tmp_path_factory.mktemp("postgresql")
    user = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        for path in [folder, *folder.parents[:2]]:
            path.chmod(0o755)
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, binaries = folder / "data", BINARIES[-1]
    make = [str(binaries / "initdb"), "-D", str(data), "-U", "policytag", "--auth=trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)
    yield f"postgresql://policytag@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'corrections.sqlite'}"
    import sqlalchemy

    found = request.getfixturevalue("postgresql")
    engine = sqlalchemy.create_engine(found.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS corrections")
    engine.dispose()
    return found


def correction(id_: str, text: str = "对企业给予补贴。", doc: str = "a.txt", **labels: tuple[str, ...]) -> Correction:
    return Correction(
        id=id_,
        doc=doc,
        text=text,
        instruments=labels.get("instruments", ("subsidy",)),
        industries=labels.get("industries", ()),
        annotator="an",
        model="m1",
        taxonomy="1",
    )


def test_what_is_kept_is_read_back_by_another_reader_in_order_of_arrival(url: str) -> None:
    rows = [correction("b"), correction("a", "𠮷，“引号”\\ 换\n行", industries=("agriculture", "automotive"))]
    assert Corrections(url).add(rows) == [True, True]
    assert list(Corrections(url).latest()) == rows


def test_sending_again_keeps_nothing_twice(url: str) -> None:
    store = Corrections(url)
    assert store.add([correction("a")]) == [True]
    assert store.add([correction("a"), correction("b", "另一段")]) == [False, True]
    assert [row.id for row in store.latest()] == ["a", "b"]


def test_an_id_of_other_content_is_refused_and_nothing_of_that_call_is_kept(url: str) -> None:
    store = Corrections(url)
    store.add([correction("a")])
    with pytest.raises(ConflictError, match="id 'a': a correction of other content has it"):
        store.add([correction("b", "另一段"), correction("a", instruments=("talent",))])
    assert [row.id for row in store.latest()] == ["a"]


def test_the_last_correction_of_a_paragraph_counts_even_if_it_is_the_first_again(url: str) -> None:
    store = Corrections(url)
    for number, labels in enumerate([("subsidy",), ("talent",), ("subsidy",)]):
        store.add([correction(str(number), instruments=labels)])
    store.add([correction("3", doc="b.txt", instruments=())])
    assert [(row.id, row.instruments) for row in store.latest()] == [("2", ("subsidy",)), ("3", ())]


def test_writers_at_the_same_time_lose_nothing(url: str) -> None:
    def write(writer: int) -> None:
        store = Corrections(url)
        for number in range(10):
            store.add([correction(f"{writer}-{number}", f"第{writer}-{number}段"), correction("same")])

    Corrections(url).add([correction("same")])
    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(Corrections(url).latest())) == 41


def test_a_correction_is_an_annotation() -> None:
    assert correction("7", industries=("agriculture",)).annotation() == {
        "id": "correction:7",
        "doc": "a.txt",
        "text": "对企业给予补贴。",
        "instruments": ["subsidy"],
        "industries": ["agriculture"],
        "annotator": "an",
    }
    assert correction("7", doc="").annotation()["doc"] == "correction:7"


def test_what_was_acknowledged_outlives_a_killed_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'corrections.sqlite'}"
    script = (
        "import itertools, sys\n"
        "from policytag.corrections import Correction, Corrections\n"
        "store = Corrections(sys.argv[1])\n"
        "for number in itertools.count():\n"
        "    store.add([Correction(str(number), '', f'第{number}段', (), ())])\n"
        "    print(number, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = [int(row.id) for row in Corrections(url).latest()]
    assert kept[:20] == acknowledged
    with sqlite3.connect(tmp_path / "corrections.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("url", ["", "corrections.sqlite", "mysql://a@b/c"])
def test_what_is_no_url_of_a_store_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected sqlite:///FILE or postgresql"):
        Corrections(url)


def test_a_database_that_cannot_be_reached_is_one_line_without_its_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"postgresql://me:secret@127.0.0.1:{probe.getsockname()[1]}/x?connect_timeout=2"
        with pytest.raises(StoreError, match="the corrections cannot be reached") as raised:
            Corrections(url).add([correction("a")])
    assert "secret" not in str(raised.value)
    with pytest.raises(StoreError, match="unable to open database file"):
        list(Corrections("sqlite:////no/such/folder/corrections.sqlite").latest())
