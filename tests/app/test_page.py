"""The page in a real browser: Chromium without a window, from the sample to the download."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes.web_servers import Served, serving, wait_until
from scenes.video_clips import encode, pictures
from voin.io.video import probe, read

pytest.importorskip("gradio", reason='Gradio is not installed; run pip install "voin[web]"')
playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed; run pip install playwright"
)
if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
# Bounds, not measures: what is waited for is gone on with at once, and other programs may take the machine.
LONG = 300.0  # seconds


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """A browser that keeps the scripts of the page from one test to the next."""
    program = os.environ.get("VOIN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed; run apt-get install chromium, or set VOIN_CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS.split())
        context = browser.new_context(accept_downloads=True, reduced_motion="reduce")
        context.set_default_timeout(1000 * LONG)
        yield context
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: BrowserContext, bikes: Path) -> Iterator[Served]:
    # After the browser and the clip, so that nothing is started where there is none.
    root = tmp_path_factory.mktemp("root")
    frames = pictures(size=(96, 128))
    for i, frame in enumerate(frames):
        frame[20:60, 25 + i : 65 + i] = (230, 40, 30)
    encode(root / "clip.mp4", frames)
    with serving(tmp_path_factory.mktemp("temporary"), "--root", str(root), "--max-mb", "20") as served:
        yield served


@pytest.fixture
def page(served: Served, browser: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error in the console, no request to elsewhere."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda request: (
            wrong.append(request.url) if not request.url.startswith((served.url, "data:", "blob:")) else None
        ),
    )
    page.goto(served.url)
    yield page
    page.close()  # and with it its tab, by which the server knows its session
    browser.clear_cookies()
    assert wrong == []


def wait_long(ready: Callable[[], object]) -> None:
    wait_until(ready, LONG)


def take_sample(page: Page, start: int, end: int) -> None:
    page.click("#sample-bicycle")
    page.wait_for_selector('#stage .stage[data-frame="187"]')
    for name, number in (("start", start), ("end", end)):
        field = page.locator(f"#{name} input")
        field.fill(str(number))
        field.press("Enter")
    go(page, start)


def go(page: Page, frame: int) -> None:
    field = page.locator("#frame input[type=number]")
    field.fill(str(frame))
    field.press("Tab")
    page.wait_for_selector(f'#stage .stage[data-frame="{frame}"]')


def drag(page: Page, left: float, top: float, right: float, bottom: float, width: int = 640) -> None:
    """Drag over the stage, in pixels of a video of this width."""
    canvas = page.locator("#stage canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    one = box["width"] / width
    page.mouse.move(box["x"] + left * one, box["y"] + top * one)
    page.mouse.down()
    page.mouse.move(box["x"] + (left + right) / 2 * one, box["y"] + (top + bottom) / 2 * one)
    page.mouse.move(box["x"] + right * one, box["y"] + bottom * one)
    page.mouse.up()


def says(page: Page) -> str:
    return page.locator("#stage .stage").get_attribute("aria-label") or ""


def is_wide(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def message(page: Page) -> Locator:
    return page.locator(".toast-body .message")


def test_from_the_sample_to_the_download(page: Page, tmp_path: Path) -> None:
    take_sample(page, 192, 198)
    drag(page, 300, 14, 590, 225)
    page.wait_for_selector("#marked >> text=Marked on frame 192")
    assert ", the object takes " in says(page)
    page.click("#track")
    page.wait_for_selector("#mask-state >> text=The object is tracked")
    go(page, 196)
    assert ", the object takes " in says(page)  # as it was tracked

    page.click("#complete")
    page.locator("#pair").wait_for()
    page.locator("#pair").scroll_into_view_if_needed()  # pictures are loaded where they are seen
    page.wait_for_selector("#pair img")
    pictures_shown = page.locator("#pair img")
    wait_long(lambda: pictures_shown.evaluate_all("all => all.length >= 2 && all.every(each => each.naturalWidth > 0)"))
    first = pictures_shown.evaluate_all("all => all.map(each => each.src)")
    assert len(set(first)) == 2
    page.get_by_label("Confidence", exact=True).check()
    page.wait_for_selector("text=dark violet is invented")
    wait_long(lambda: pictures_shown.evaluate_all("all => all.map(each => each.src)") != first)

    page.get_by_role("tab", name="Play").click()
    page.get_by_role("button", name="Play both").click()
    wait_long(lambda: all(time > 0.1 for time in times(page)))
    wait_long(lambda: max(times(page)) - min(times(page)) < 0.1)

    page.get_by_role("tab", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="completed.mp4").click()
    download.value.save_as(tmp_path / "completed.mp4")
    assert probe(tmp_path / "completed.mp4").count == 6
    assert len(list(read(probe(tmp_path / "completed.mp4")))) == 6
    with page.expect_download() as download:
        page.get_by_role("link", name="masks.zip").click()
    download.value.save_as(tmp_path / "masks.zip")
    assert len(zipfile.ZipFile(tmp_path / "masks.zip").namelist()) == 250
    command = page.locator("#command textarea").input_value().splitlines()
    assert command[0].startswith("voin mask bikes.mp4 -o masks --frame 192 --box ")
    assert command[1].startswith("voin complete bikes.mp4 masks -o result --method classical ")

    # Loaded again, it is all still there; on a phone nothing is cut off.
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    page.locator("#pair").scroll_into_view_if_needed()
    page.wait_for_selector("#pair img")
    assert "bikes.mp4: 640x272" in page.locator("#choose").inner_text()
    assert not is_wide(page)


def times(page: Page) -> list[float]:
    return page.locator("#player video").evaluate_all("all => all.map(each => each.currentTime)")


def test_an_object_is_marked_by_keyboard_alone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector("#sample-bicycle")
    press_until(page, "sample-bicycle", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector('#stage .stage[data-frame="187"]')
    assert not is_wide(page)
    page.locator("#tool input").first.focus()
    wait_long(lambda: page.keyboard.press("Tab") or page.evaluate("document.activeElement.className") == "stage")
    page.keyboard.press("Enter")  # a corner of the box, in the middle
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#marked >> text=Marked on frame 187")
    page.get_by_role("button", name="Type it instead").press("Enter")
    box = page.locator("#box textarea, #box input")
    assert box.input_value().startswith("320,136,")
    before = says(page)
    box.fill("300,14,290,211")
    box.press("Enter")
    wait_long(lambda: says(page) != before)
    page.get_by_role("button", name="Undo").press("Enter")
    wait_long(lambda: box.input_value().startswith("320,136,"))
    page.get_by_role("button", name="Upload masks instead").press("Enter")
    # What the field is lies above what to do with it, not over it.
    label, icon = (page.locator("#upload-masks").get_by_test_id(part) for part in ("block-label", "upload-icon"))
    wait_long(lambda: bottom(label) > 0 and (icon.bounding_box() or {"y": 0})["y"] >= bottom(label))


def bottom(element: Locator) -> float:
    box = element.bounding_box()
    return 0 if box is None else box["y"] + box["height"]


def press_until(page: Page, element: str, key: str) -> None:
    for _ in range(30):
        if page.evaluate("document.activeElement.id") == element:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{element} is not reached by {key}")


def test_the_frame_stays_where_it_is_while_it_is_drawn_on(page: Page) -> None:
    page.click("#sample-cyclist")
    page.wait_for_selector('#stage .stage[data-frame="76"]')
    canvas = page.locator("#stage canvas")
    before = canvas.bounding_box()
    page.locator("#tool").get_by_label("Not the object").check()
    page.wait_for_selector('#stage .stage[data-tool="not"]')
    drag(page, 350, 262, 350, 262)
    page.wait_for_selector("#marked >> text=Marked on frame 76")
    assert canvas.bounding_box() == before


def test_points_and_paint_are_drawn_and_undone(page: Page) -> None:
    page.locator("#choose").get_by_role("listbox").or_(page.locator("#below input")).first.click()
    page.get_by_role("option", name="clip.mp4").click()
    page.click("#open-below")
    page.wait_for_selector('#stage .stage[data-frame="0"]')
    tool = page.locator("#tool")
    tool.get_by_label("Paint").check()
    page.wait_for_selector('#stage .stage[data-tool="paint"]')
    drag(page, 30, 30, 60, 50, width=128)
    page.wait_for_selector("#marked >> text=Marked on frame 0")
    wait_long(lambda: "the object takes" in says(page))
    painted = pixels(says(page))
    assert painted > 300
    tool.get_by_label("Erase").check()
    page.wait_for_selector('#stage .stage[data-tool="erase"]')
    drag(page, 50, 44, 62, 52, width=128)
    wait_long(lambda: pixels(says(page)) < painted)
    page.get_by_role("button", name="Undo").click()
    wait_long(lambda: pixels(says(page)) == painted)
    page.get_by_role("button", name="Type it instead").click()
    tool.get_by_label("Not the object").check()
    page.wait_for_selector('#stage .stage[data-tool="not"]')
    drag(page, 120, 90, 120, 90, width=128)
    wait_long(lambda: page.locator("#negative textarea, #negative input").input_value() == "120,90")
    page.get_by_role("button", name="Clear all").click()
    page.wait_for_selector("#marked >> text=Go to a frame")


def pixels(text: str) -> int:
    return int(text.partition("the object takes ")[2].partition(" ")[0].replace(",", "") or 0)


def test_a_broken_file_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(np.random.default_rng(0).bytes(20_000))
    page.wait_for_selector("#upload")
    page.set_input_files("#upload input[type=file]", broken)
    message(page).wait_for()
    text = message(page).inner_text()
    assert text.startswith("broken.mp4 cannot be read as a video")  # and not where it lies on the server
    assert "It must be a whole mp4, mov, mkv, webm or gif." in text
    assert "Copy it again from its source, or convert it with ffmpeg." in text
    assert "Traceback" not in page.content()
    page.click("#sample-bicycle")  # the page goes on
    page.wait_for_selector('#stage .stage[data-frame="187"]')
    page.click("#complete")
    page.wait_for_selector("text=There are no masks yet.")
    # The method of the sample is not that of a video of one's own.
    assert method(page) == "classical"
    encode(tmp_path / "own.mp4", pictures(2, size=(96, 128)))
    page.set_input_files("#upload input[type=file]", tmp_path / "own.mp4")
    wait_long(lambda: method(page) == "voin")


def method(page: Page) -> str:
    return page.locator("#method input:checked").input_value()


def test_a_cancelled_job_has_stopped_and_one_that_crashes_leaves_the_server_up(page: Page, served: Served) -> None:
    take_sample(page, 187, 242)
    page.click("#sample-masks")
    page.wait_for_selector("#mask-state >> text=There are masks")
    job = begin_job(page, served)
    page.click("#cancel")
    page.wait_for_selector(".job.cancelled")
    assert job not in served.children()
    page.wait_for_selector("#cancel", state="hidden")

    os.kill(begin_job(page, served), 9)
    page.wait_for_selector("text=The job's process died (signal 9).")
    go(page, 200)


def begin_job(page: Page, served: Served) -> int:
    """Complete the object; return the job's process, at work."""
    before = set(served.children())
    page.click("#complete")
    page.wait_for_selector(".job.running progress")
    return max(set(served.children()) - before)  # the latest: a reader may have been begun, too
