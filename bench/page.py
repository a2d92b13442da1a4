"""The page with a long document, in Chromium: how long until it shows something, and whether it stays responsive.

    python -m bench.page --paragraphs 10000

Times are seconds since the file was chosen. "Blocked" is the longest time in which the page answered nothing (the
browser's long tasks); "frames" are the gaps between frames while it is scrolled from end to end. On a machine that does
something else at the same time they are longer.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench import paragraphs
from bench.http_server import serving
from policytag.artifact import DEFAULT_MODEL

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WATCH = """() => {
  window.seen = { start: performance.now(), longest: 0 };
  const since = () => (performance.now() - seen.start) / 1000;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) seen.longest = Math.max(seen.longest, task.duration);
  }).observe({ type: "longtask" });
  const look = () => {
    if (document.querySelector("#list .text")) seen.text ??= since();
    if (document.querySelector("#list .tag")) seen.tags ??= since();
    if (seen.tags && document.querySelector("#working").hidden) seen.all ??= since();
    else setTimeout(look, 10);
  };
  look();
}"""
SCROLL = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const gaps = [];
  const height = document.documentElement.scrollHeight;
  for (let step = 0, last = await frame(); step <= 200; step += 1) {
    scrollTo(0, (height * step) / 200);
    const now = await frame();
    gaps.push(now - last);
    last = now;
  }
  scrollTo(0, 0);
  gaps.sort((a, b) => a - b);
  return { median: gaps[100], longest: gaps.at(-1) };
}"""
CLICK = """async (selector) => {
  const button = document.querySelector(selector);
  const started = performance.now();
  button.click();
  await new Promise(requestAnimationFrame);
  await new Promise((resolve) => setTimeout(resolve));
  return performance.now() - started;
}"""
"""Milliseconds from a click until the frame that shows what it did."""


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paragraphs", type=int, default=10_000)
    parser.add_argument("--model", type=Path, default=Path(DEFAULT_MODEL))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(arguments.model) as server, sync_playwright() as playwright:
        file = paragraphs.write(Path(folder) / "long.jsonl", arguments.paragraphs)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(600_000)
        page.goto(server.url)
        measure(page, file, arguments.paragraphs)
        browser.close()


def measure(page: Page, file: Path, count: int) -> None:
    """Uploads, waits, filters and scrolls."""
    page.evaluate(WATCH)
    page.set_input_files("#file", file)
    page.wait_for_function("() => window.seen.all")
    seen: dict[str, Any] = page.evaluate("() => window.seen")
    print(
        f"{count} paragraphs: text after {seen['text']:.2f} s, first tags {seen['tags']:.2f} s, all {seen['all']:.2f} s"
    )
    print(f"blocked at most {seen['longest']:.0f} ms while tags came")
    commonest = page.locator(".share").first.get_attribute("data-filter")
    on = page.evaluate(CLICK, f'[data-filter="{commonest}"]')
    off = page.evaluate(CLICK, "#clear")
    print(f"filter on {on:.0f} ms, off {off:.0f} ms; editor {page.evaluate(CLICK, '#p5 .edit'):.0f} ms")
    frames = page.evaluate(SCROLL)
    print(f"scrolled from end to end: frames {frames['median']:.0f} ms (median), {frames['longest']:.0f} ms (longest)")
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    print(f"{nodes} elements; the page's process holds {renderer_mib(page):.0f} MiB")


def renderer_mib(page: Page) -> float:
    """Resident memory of the browser's largest renderer, which is the page's, MiB."""
    session = page.context.browser.new_browser_cdp_session()  # pyright: ignore[reportOptionalMemberAccess]
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    status = [Path(f"/proc/{pid}/status").read_text() for pid in renderers]
    return max(int(text.split("VmRSS:")[1].split()[0]) for text in status) / 1024


if __name__ == "__main__":
    main()
