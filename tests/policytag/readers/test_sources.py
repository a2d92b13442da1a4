import os
import zipfile
from pathlib import Path

import pytest

from policytag.errors import InputError
from policytag.readers import Limits, Rejected, Source, document_names, find_sources, read_source


def write(path: Path, text: str = "补贴。") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(*inputs: Path) -> list[str]:
    return [str(source) for source in find_sources(inputs)]


def test_a_folder_is_read_recursively_in_name_order_and_what_systems_leave_there_is_not(tmp_path: Path) -> None:
    for name in ("b.txt", "a.TXT", "sub/c.jsonl", "d.png", ".hidden.txt", "~$a.docx", "__MACOSX/x.txt", "Thumbs.db"):
        write(tmp_path / name)
    assert names(tmp_path) == [str(tmp_path / name) for name in ("a.TXT", "b.txt", "d.png", "sub/c.jsonl")]


def test_a_pattern_is_expanded(tmp_path: Path) -> None:
    for name in ("a.txt", "x/b.txt", "x/y/c.txt", "x/d.md"):
        write(tmp_path / name)
    assert names(tmp_path / "**" / "*.txt") == sorted(
        str(tmp_path / name) for name in ("a.txt", "x/b.txt", "x/y/c.txt")
    )


def test_a_file_named_in_two_ways_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to("a.txt")
    assert names(Path("a.txt"), tmp_path, Path("../") / tmp_path.name / "a.txt") == ["a.txt"]


def test_a_folder_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "x.txt" / "a.txt")
    assert names(tmp_path / "x.txt") == names(tmp_path) == [str(tmp_path / "x.txt" / "a.txt")]


def test_a_missing_input_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_sources([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no file in this folder"):
        find_sources([tmp_path])


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.txt")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(names(tmp_path)) == 1


def test_what_is_no_file_comes_with_the_reason_and_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    reasons = {source.path.name: source.problem for source in find_sources([tmp_path])}
    assert reasons == {
        "fifo.txt": "not a regular file but a pipe, socket or device; expected a file",
        "gone.txt": "a link to a file that is not there; mend or remove it",
        "loop.txt": "cannot be read (Too many levels of symbolic links); check path and permissions",
    }
    for source in find_sources([tmp_path]):
        [item] = read_source(source, source.path.name)
        assert isinstance(item, Rejected)


def archive(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in members:
            file.writestr(name, "对企业给予补贴。")
    return path


def test_an_archive_is_taken_apart(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", "x/1.txt", "x/", "2.txt", "__MACOSX/._2.txt", "../evil.txt")
    sources = find_sources([path])
    assert [str(source) for source in sources] == [f"{path}/{name}" for name in ("x/1.txt", "2.txt", "../evil.txt")]
    assert document_names(sources) == ["a.zip/x/1.txt", "a.zip/2.txt", "a.zip/../evil.txt"]
    assert all(not isinstance(item, Rejected) for source in sources for item in read_source(source, "d"))


def test_chinese_names_that_windows_wrote_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", "GBKNAME.txt")
    path.write_bytes(path.read_bytes().replace(b"GBKNAME", "通知a".encode("gbk").ljust(7, b"b")))
    [source] = find_sources([path])
    assert source.member_name == "通知abb.txt"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=1), "2 files in the archive; expected at most 1. Unpack it"),
        (Limits(unpacked_bytes=10), "48 bytes unpacked; expected at most 10. Unpack it"),
    ],
)
def test_an_archive_that_holds_too_much_is_refused_whole(tmp_path: Path, limits: Limits, words: str) -> None:
    [source] = find_sources([archive(tmp_path / "a.zip", "1.txt", "2.txt")], limits)
    assert source.problem == words


def test_a_damaged_and_an_empty_archive_are_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    archive(tmp_path / "b.zip")
    damaged, empty = find_sources([tmp_path])
    assert str(damaged.problem).startswith("a damaged archive (")
    assert empty.problem == "an empty archive; expected at least one file in it"


def test_a_document_that_is_called_an_archive_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(Path("tests/fixtures/formats/000.docx").read_bytes())
    [source] = find_sources([tmp_path])
    assert source.member is None
    assert len(list(read_source(source, "a"))) == 49


def test_namesakes_are_told_apart_by_their_folders() -> None:
    sources = [Source(Path(path)) for path in ("r/a/x.txt", "r/b/x.txt", "r/y.txt")]
    assert document_names(sources) == ["a/x.txt", "b/x.txt", "y.txt"]


def test_members_of_one_name_in_one_archive_are_numbered() -> None:
    sources = [Source(Path("a.zip"), number, "x.txt") for number in range(2)]
    assert document_names(sources) == ["a.zip/x.txt", "a.zip/x.txt (2)"]
