"""The page as files: what it is served with, and what can be told of it without a browser."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient

WEB = Path(str(files("serving") / "web"))
SCRIPTS = sorted(WEB.glob("*.js"))


def test_the_page_is_served_and_allows_nothing_from_elsewhere_and_nothing_inline(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)| on[a-z]+=", answer.text)


@pytest.mark.parametrize("path", sorted(str(p.relative_to(WEB)) for p in WEB.rglob("*") if p.is_file()))
def test_every_file_is_served_with_a_type_and_asked_for_again(client: TestClient, path: str) -> None:
    answer = client.get(f"/web/{path}")
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(f"/web/{path}", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/web/../service.py", "/web/%2e%2e/service.py", "/web/none.js"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_the_page_needs_no_other_host() -> None:
    for path in [*SCRIPTS, WEB / "index.html", *WEB.glob("*.css")]:
        assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path.name


def test_every_word_that_is_asked_for_is_there_in_both_languages() -> None:
    words = set(re.findall(r"^  (\w+): \[", (WEB / "i18n.js").read_text(encoding="utf-8"), re.M))
    page = (WEB / "index.html").read_text(encoding="utf-8")
    asked = set(re.findall(r'data-i18n(?:-\w+)?="(\w+)"', page))
    for script in SCRIPTS:
        asked |= set(re.findall(r'\bt\("(\w+)"', script.read_text(encoding="utf-8")))
    assert not asked - words


def test_every_element_that_a_script_asks_for_is_in_the_page() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', (WEB / "index.html").read_text(encoding="utf-8")))
    asked = {name for script in SCRIPTS for name in re.findall(r'\$\("([\w-]+)"\)', script.read_text(encoding="utf-8"))}
    assert not asked - ids


def test_the_samples_are_documents_of_the_corpus() -> None:
    samples = list((WEB / "samples").iterdir())
    assert len(samples) == 3
    for sample in samples:
        assert sample.read_bytes() == (Path("labels/corpus") / sample.name).read_bytes()


COLOURS = re.findall(r"--ink: (#\w+); --fill: (#\w+); --mark: (#\w+);", (WEB / "colours.css").read_text())


def test_tags_and_marks_can_be_read_on_their_colours() -> None:
    """18 labels in the light and in the dark; the text around a mark is #1d2733 or #e6e9ed."""
    assert len(COLOURS) == 36
    for number, (ink, fill, mark) in enumerate(COLOURS):
        assert contrast(ink, fill) >= 4.5
        assert contrast(ink, mark) >= 4.5
        assert contrast("#1d2733" if number < 18 else "#e6e9ed", mark) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio: ``contrast("#000000", "#ffffff")`` -> 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
