from pathlib import Path

import pytest

from policytag.errors import InputError
from policytag.readers import encodings

SIMPLIFIED = "一、总体要求\n对新认定的企业技术中心给予一次性奖励，最高不超过100万元。"
TRADITIONAL = "一、總體要求\n對新認定的企業技術中心給予一次性獎勵，最高不超過100萬元。"
CORPUS = sorted(Path("labels/corpus").glob("*.txt"))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
        ("gb2312", "gb18030"),
    ],
)
def test_each_encoding_is_recognised_and_named(encoding: str, name: str) -> None:
    assert encodings.decode(SIMPLIFIED.encode(encoding)) == (SIMPLIFIED, name)


def test_big5_is_told_from_gb18030() -> None:
    assert encodings.decode(TRADITIONAL.encode("big5")) == (TRADITIONAL, "big5")
    assert encodings.decode(TRADITIONAL.encode("gb18030")) == (TRADITIONAL, "gb18030")


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name[:3])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le", "utf-16-be"])
def test_the_sample_documents_are_recognised_in_other_encodings(path: Path, encoding: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert encodings.decode(text.encode(encoding)) == (text, encoding)


@pytest.mark.parametrize("declared", ["gb2312", "utf-8", "iso-8859-1", "no-such", "big5", None])
def test_a_false_declaration_does_no_harm_to_utf8(declared: str | None) -> None:
    assert encodings.decode(SIMPLIFIED.encode(), declared) == (SIMPLIFIED, "utf-8")


def test_a_page_that_says_gb2312_may_use_all_of_gb18030() -> None:
    text = SIMPLIFIED + "朱镕基㐂"
    assert encodings.decode(text.encode("gb18030"), "gb2312") == (text, "gb18030")


def test_one_damaged_byte_in_a_long_text_is_replaced_and_many_are_refused() -> None:
    data = (SIMPLIFIED * 100).encode("gb18030")
    text, name = encodings.decode(data[:2000] + b"\xff" + data[2000:])
    assert name == "gb18030"
    assert text.count("\ufffd") <= 4
    with pytest.raises(InputError, match="unknown encoding"):
        encodings.decode(bytes(range(256)) * 8)


def test_an_ascii_text_is_text() -> None:
    assert encodings.decode(b"hello") == ("hello", "utf-8")


def test_a_long_text_is_recognised_by_its_beginning() -> None:
    text = SIMPLIFIED * 20_000
    assert encodings.decode(text.encode("gb18030")) == (text, "gb18030")
