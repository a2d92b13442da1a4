"""The page in a real browser, against a real server: what an analyst does with it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

RunningServer = Callable[[list[str], dict[str, str]], AbstractContextManager[str]]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DROP = """(text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], "通知.txt", { type: "text/plain" }));
  for (const type of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
"""Drops a file with this text on the page, as the browser tells the page of it."""

expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]

DOCUMENT = "一、资金\n对软件企业给予补贴。\n二、人才\n引进𠮷人才，发放补助。\n特此通知。\n附件下载"
"""In the tiny model: 补 subsidy, 软 information_technology, 才 talent."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """The page, which must write nothing to the console: a breach of its own policy would be told there."""
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(server)
    yield page
    context.close()
    assert not [text for text in told if not text.startswith("Failed to load resource")]


def paste(page: Page, text: str = DOCUMENT) -> None:
    page.fill("#text", text)
    page.click("#form button[type=submit]")
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#working")).to_be_hidden()


def paragraphs(page: Page) -> list[str]:
    return page.locator("#list .paragraph:not([hidden]) .text").all_inner_texts()


def tags(page: Page, index: int) -> list[str]:
    return [tag.get_attribute("data-tag") or "" for tag in page.locator(f"#p{index} .tag").all()]


def test_pasted_text_comes_back_in_paragraphs_with_tags(page: Page) -> None:
    expect(page.locator("#empty")).to_be_visible()
    paste(page)
    assert paragraphs(page) == ["一、资金", "对软件企业给予补贴。", "二、人才", "引进𠮷人才，发放补助。", "特此通知。"]
    assert tags(page, 1) == ["subsidy", "information_technology"]
    expect(page.locator("#p1 .tag").first).to_have_text("资金补贴 0.95")
    expect(page.locator("#p0")).to_have_class("paragraph heading")
    expect(page.locator("#empty")).to_be_hidden()
    page.check("#furniture")
    assert paragraphs(page)[-1] == "附件下载"


def test_headings_and_body_stand_in_one_column(page: Page) -> None:
    paste(page)
    left = page.locator("#list .text").evaluate_all("(texts) => texts.map((text) => text.getBoundingClientRect().left)")
    assert len(set(left[:4])) == 1


def test_text_that_looks_like_html_stays_text(page: Page) -> None:
    paste(page, "<img src=x onerror=alert(1)>补贴</p><script>alert(2)</script>")
    assert paragraphs(page) == ["<img src=x onerror=alert(1)>补贴</p><script>alert(2)</script>"]
    assert page.locator("#list img").count() == 0


def test_a_chosen_file_and_a_dropped_file_are_tagged(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "办法.txt"
    file.write_bytes("发放补贴。".encode("gb18030"))
    page.set_input_files("#file", file)
    expect(page.locator("#document-title")).to_have_text("办法.txt")
    assert paragraphs(page) == ["发放补贴。"]
    page.evaluate(DROP, "引进人才。")
    expect(page.locator("#document-title")).to_have_text("通知.txt")
    assert paragraphs(page) == ["引进人才。"]


def test_a_file_that_cannot_be_read_is_told_in_words(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "坏.docx"
    file.write_bytes(b"PK\x03\x04 not a document")
    page.set_input_files("#file", file)
    expect(page.locator("#problem")).to_be_visible()
    assert "坏" not in page.locator("#problem").inner_text()
    assert page.locator("#problem span").inner_text().startswith("读不了这个文件：")


def test_a_sample_is_tagged(page: Page) -> None:
    page.select_option("#sample", index=2)
    expect(page.locator("#document-title")).to_have_text("嘉定区：2022 年经委工作要点")
    assert len(paragraphs(page)) > 20


def test_nothing_to_tag_is_said(page: Page) -> None:
    page.fill("#text", " \n　")
    page.click("#form button[type=submit]")
    expect(page.locator("#problem span")).to_have_text("没有可标注的文字。请先粘贴文本或选择文件。")
    expect(page.locator("#result")).to_be_hidden()


def test_evidence_is_marked_on_hover_and_on_focus_and_told_to_screen_readers(page: Page) -> None:
    """𠮷 is one character to the service and two to JavaScript."""
    paste(page)
    talent, subsidy = (page.locator(f"#p3 [data-tag={tag}]") for tag in ("talent", "subsidy"))
    subsidy.hover()
    expect(page.locator("#p3 mark")).to_have_text(["补"])
    expect(page.locator("#said")).to_have_text("《粘贴的文本》已标注完成。")
    page.mouse.move(0, 0)
    expect(page.locator("#p3 mark")).to_have_count(0)
    talent.focus()
    expect(page.locator("#p3 mark")).to_have_text(["才"])
    expect(page.locator("#said")).to_have_text("人才引进，依据：才")
    talent.blur()
    expect(page.locator("#p3 mark")).to_have_count(0)
    assert paragraphs(page)[3] == "引进𠮷人才，发放补助。"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.text(max_size=20), st.lists(st.integers(0, 20), unique=True, max_size=6))
def test_places_in_code_points_cut_the_text_in_the_browser_where_they_cut_it_here(
    page: Page, text: str, bounds: list[int]
) -> None:
    places = sorted(min(bound, len(text)) for bound in bounds)
    spans = [{"start": a, "end": b, "weight": 1} for a, b in zip(places[::2], places[1::2], strict=False)]
    cut = """async ([text, spans]) => (await import("/web/offsets.js")).slices(text, spans)"""
    pieces = page.evaluate(cut, [text, spans])
    assert "".join(piece["text"] for piece in pieces) == text
    marked = [piece["text"] for piece in pieces if piece["weight"]]
    assert marked == [text[span["start"] : span["end"]] for span in spans if span["start"] < span["end"]]


def test_a_filter_keeps_the_paragraphs_with_its_tags(page: Page) -> None:
    paste(page)
    page.click("[data-filter=talent]")
    assert paragraphs(page) == ["二、人才", "引进𠮷人才，发放补助。"]
    expect(page.locator("[data-filter=talent]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#shown")).to_have_text("显示 2 / 5 段")
    page.click("[data-filter=information_technology]")
    assert len(paragraphs(page)) == 3
    page.click("#clear")
    assert len(paragraphs(page)) == 5
    page.click('[data-filter=""]')
    assert paragraphs(page) == ["一、资金", "特此通知。"]


def test_the_charts_tell_the_share_of_the_text(page: Page) -> None:
    """35 characters in 5 paragraphs; 补 in those of 10 and 11, 才 in those of 4 and 11."""
    paste(page)
    expect(page.locator("[data-filter=subsidy] .figure")).to_have_text("62%")
    expect(page.locator("[data-filter=talent]")).to_have_attribute("aria-label", "人才引进：占 44%，2 段")
    assert page.locator(".strip").count() == 2
    assert page.locator(".strip").first.locator("i").count() == 5
    page.locator(".strip").first.locator("i").nth(3).click()
    expect(page.locator("#p3")).to_be_focused()


def test_a_correction_is_sent_kept_and_shown(page: Page) -> None:
    paste(page)
    page.click("#p1 .edit")
    page.uncheck("#p1 input[value=subsidy]")
    page.check("#p1 input[value=finance]")
    with page.expect_response("**/v1/corrections") as sent:
        page.click("#p1 button[type=submit]")
    assert sent.value.ok
    [request] = json.loads(sent.value.request.post_data or "")["corrections"]
    assert request["text"] == "对软件企业给予补贴。"
    assert (request["instruments"], request["industries"]) == (["finance"], ["information_technology"])
    expect(page.locator("#p1 .badge")).to_have_text("已修正")
    assert tags(page, 1) == ["finance", "information_technology"]
    expect(page.locator("#said")).to_have_text("第 2 段的修正已保存。")
    expect(page.locator("[data-filter=finance]")).to_be_visible()


def test_an_open_correction_keeps_what_was_chosen_whatever_happens_elsewhere(page: Page) -> None:
    paste(page)
    page.click("#p3 .edit")
    page.uncheck("#p3 input[value=talent]")
    page.check("#p3 input[value=agriculture]")
    page.click("#p1 .edit")
    page.uncheck("#p1 input[value=subsidy]")
    page.click("#p1 button[type=submit]")
    expect(page.locator("#p1 .badge")).to_be_visible()
    page.click("[data-filter=information_technology]")  # which paragraph 4 does not have
    page.click("#language")
    expect(page.locator("#p3 legend").first).to_have_text("Instruments")
    chosen = page.locator("#p3 input:checked").evaluate_all("(boxes) => boxes.map((box) => box.value)")
    assert chosen == ["subsidy", "agriculture"]
    expect(page.locator("#p3 .edit")).to_have_attribute("aria-expanded", "true")
    page.click("#p3 button[type=submit]")
    expect(page.locator("#p3")).to_be_hidden()
    page.click("#clear")
    assert tags(page, 3) == ["subsidy", "agriculture"]


def test_a_correction_that_was_not_sent_is_asked_for_before_it_is_lost(page: Page) -> None:
    paste(page)
    page.click("#p1 .edit")
    page.uncheck("#p1 input[value=subsidy]")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.fill("#text", "另一篇")
    page.click("#form button[type=submit]")
    expect(page.locator("#p1 form")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#form button[type=submit]")
    expect(page.locator("#list .paragraph")).to_have_count(1)


def test_a_correction_may_take_its_paragraph_out_of_the_filter(page: Page) -> None:
    paste(page)
    page.click("[data-filter=information_technology]")
    page.click("#p1 .edit")
    page.uncheck("#p1 input[value=information_technology]")
    page.click("#p1 button[type=submit]")
    expect(page.locator("#none")).to_be_visible()
    expect(page.locator("#document-title")).to_be_focused()
    expect(page.locator("#problem")).to_be_hidden()
    page.click("#clear")
    assert tags(page, 1) == ["subsidy"]


def test_a_correction_that_cannot_be_kept_is_told_and_can_be_sent_again(page: Page) -> None:
    paste(page)
    page.click("#p1 .edit")
    page.uncheck("#p1 input[value=subsidy]")
    answer = {"error": {"code": "store_unavailable", "message": "later"}}
    page.route("**/v1/corrections", lambda route: route.fulfill(status=503, json=answer))
    page.click("#p1 button[type=submit]")
    expect(page.locator("#problem span")).to_have_text("修正暂时无法保存，请稍后再试。")
    page.unroute("**/v1/corrections")
    page.click("#p1 button[type=submit]")
    expect(page.locator("#p1 .badge")).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()


def downloaded(page: Page, kind: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.click(f"[data-download={kind}]")
    return download.value.suggested_filename, download.value.path().read_bytes()


def test_csv_xlsx_and_json_hold_the_paragraphs_and_no_formula(page: Page) -> None:
    paste(page, '对企业给予"补贴"，贷款。\n\n=1+1引进人才。')
    name, content = downloaded(page, "csv")
    assert name == "粘贴的文本.csv"
    assert content.startswith(b"\xef\xbb\xbf")
    head, first, second = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert head == ["序号", "所在标题", "段落", "政策工具", "涉及行业", "分数", "已修正"]
    assert first[2:5] == ['对企业给予"补贴"，贷款。', "金融支持；资金补贴", ""]
    assert second[2] == "'=1+1引进人才。"

    _, content = downloaded(page, "xlsx")
    rows = list(load_workbook(io.BytesIO(content)).active.values)  # pyright: ignore[reportOptionalMemberAccess]
    assert rows[2][2:4] == ("=1+1引进人才。", "人才引进")

    _, content = downloaded(page, "json")
    found = json.loads(content)
    assert found["model"]["version"]
    assert [p["text"] for p in found["paragraphs"]] == ['对企业给予"补贴"，贷款。', "=1+1引进人才。"]


def test_the_language_can_be_switched_and_is_remembered(page: Page) -> None:
    paste(page)
    page.click("#language")
    expect(page.locator("h1")).to_have_text("Policy tagging")
    expect(page.locator("#p1 .tag").first).to_have_text("Subsidy 0.95")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.reload()
    expect(page.locator("h1")).to_have_text("Policy tagging")
    page.click("#language")
    expect(page.locator("h1")).to_have_text("政策文本标注")


def test_the_keyboard_is_enough(page: Page) -> None:
    page.focus("#text")
    page.keyboard.insert_text(DOCUMENT)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#document-title")).to_be_focused()

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} was not reached")

    tab_to("[data-filter=subsidy]")
    page.keyboard.press("Space")
    expect(page.locator("#shown")).to_have_text("显示 2 / 5 段")
    expect(page.locator("[data-filter=subsidy]")).to_be_focused()
    tab_to("#p1 .tag")
    expect(page.locator("#p1 mark")).to_have_text(["补"])
    tab_to("#p1 .edit")
    page.keyboard.press("Enter")
    expect(page.locator("#p1 input").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#p1 form")).to_have_count(0)
    expect(page.locator("#p1 .edit")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(page: Page, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    page.set_viewport_size({"width": width, "height": 844})
    check(page)
    paste(page)
    page.click("[data-filter=subsidy]")
    page.click("#p1 .edit")
    page.focus("#p1 .tag")
    expect(page.locator("#p1 mark")).to_have_count(1)
    check(page)


def check(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_screen_shows_all_without_scrolling_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    paste(page, DOCUMENT + "\n" + "a" * 300)
    page.click("#p1 .edit")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_errors_of_the_service_are_told_in_words(page: Page) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=429, json={"error": {"code": "overloaded", "message": "try again later"}})

    page.route("**/v1/paragraphs*", answer)
    page.fill("#text", "补贴")
    page.click("#form button[type=submit]")
    expect(page.locator("#problem span")).to_have_text("服务器正忙，请稍后再试。")
    page.unroute("**/v1/paragraphs*")
    page.route("**/v1/paragraphs*", lambda route: route.abort())
    page.click("#form button[type=submit]")
    expect(page.locator("#problem span")).to_have_text("连不上服务器。请检查网络，稍后再试。")
    page.unroute("**/v1/paragraphs*")
    paste(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_work_in_progress_is_shown_and_can_be_given_up(page: Page) -> None:
    page.route("**/v1/paragraphs*", lambda route: None)  # never answered
    page.fill("#text", "补贴")
    page.click("#form button[type=submit]")
    expect(page.locator("#working")).to_be_visible()
    expect(page.locator("#elapsed")).to_have_text("1 秒")
    page.click("#stop")
    expect(page.locator("#working")).to_be_hidden()
    expect(page.locator("#problem")).to_be_hidden()


LONG = "\n".join(f"第{number}家企业获得{'补贴' if number % 2 else '人才'}支持。" for number in range(1000))


def test_a_long_text_is_tagged_part_by_part_and_can_be_stopped_and_taken_up(page: Page) -> None:
    asked: list[int] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        asked.append(len(json.loads(route.request.post_data or "")["paragraphs"]))
        if len(asked) == 3:
            held.append(route)  # never answered
        else:
            route.continue_()

    page.route("**/v1/tag", answer)
    page.fill("#text", LONG)
    page.click("#form button[type=submit]")
    expect(page.locator("#done-so-far")).to_have_text("288 / 1,000 段")
    assert asked == [32, 256, 256]
    assert tags(page, 287) == ["subsidy"]
    assert tags(page, 288) == []
    expect(page.locator("[data-download=csv]")).to_be_disabled()
    page.click("[data-filter=subsidy]")
    expect(page.locator("#shown")).to_have_text("显示 144 / 1,000 段")
    page.click("#stop")
    expect(page.locator("#rest-text")).to_contain_text("还有 712 段未标注")
    expect(page.locator("#problem")).to_be_hidden()
    _, content = downloaded(page, "csv")
    assert len(content.splitlines()) == 289
    page.click("#go-on")
    expect(page.locator("#said")).to_have_text("《粘贴的文本》已标注完成。")
    expect(page.locator("#rest")).to_be_hidden()
    expect(page.locator("#shown")).to_have_text("显示 500 / 1,000 段")
    page.click("#clear")
    assert tags(page, 999) == ["subsidy"]


def test_a_server_that_is_busy_or_gone_halfway_loses_nothing(page: Page) -> None:
    asked = 0

    def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            busy = {"error": {"code": "overloaded", "message": "try again"}}
            route.fulfill(status=429, json=busy, headers={"Retry-After": "1"})
        elif asked == 4:
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/tag", answer)
    page.fill("#text", LONG)
    page.click("#form button[type=submit]")
    expect(page.locator("#problem span")).to_have_text("连不上服务器。请检查网络，稍后再试。")
    expect(page.locator("#rest-text")).to_contain_text("还有 712 段未标注")
    assert tags(page, 287) == ["subsidy"]
    page.click("#go-on")
    expect(page.locator("#rest")).to_be_hidden()
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#p999 .tag")).to_have_count(1)


def test_a_document_is_tagged_by_one_model_though_another_is_promoted_meanwhile(page: Page) -> None:
    asked = 0

    def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        answered = route.fetch()
        body = answered.json()
        body["model"]["version"] = "old" if asked == 1 else "new"
        route.fulfill(response=answered, json=body)

    page.route("**/v1/tag", answer)
    paste(page, LONG)
    expect(page.locator("#rest")).to_be_hidden()
    assert asked == 1 + 1 + 4  # 32 by the old one, 256 by the new one, which begins anew: 32, 256, 256, 200
    _, content = downloaded(page, "json")
    assert json.loads(content)["model"]["version"] == "new"


def test_a_key_is_asked_for_only_by_a_server_that_wants_one(
    browser: Browser, environment: None, running_server: RunningServer
) -> None:
    keyed = os.environ | {"POLICYTAG_API_KEYS": "secret"}
    with running_server([sys.executable, "-m", "serving.cli", "serve"], keyed) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#problem span")).to_have_text("密钥无效。")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#problem")).to_be_hidden()
        expect(page.locator("#model")).not_to_be_empty()
        paste(page)
        assert tags(page, 1) == ["subsidy", "information_technology"]
        context.close()


def test_the_docs_show_every_route_even_where_keys_are_set(
    browser: Browser, environment: None, running_server: RunningServer
) -> None:
    keyed = os.environ | {"POLICYTAG_API_KEYS": "secret"}
    with running_server([sys.executable, "-m", "serving.cli", "serve"], keyed) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}/docs")
        expect(page.locator(".opblock")).to_have_count(10)
        expect(page.locator(".authorize")).to_be_visible()
        context.close()
