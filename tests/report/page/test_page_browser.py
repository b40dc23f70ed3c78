"""The page in a browser: the system's Chromium, without a network."""

import shutil

import pytest
from analyses import make_analysis
from factories import make_failed, make_record
from playwright.sync_api import expect, sync_playwright

from odbench.records import StoredRun
from odbench.report.comparison import compare
from odbench.report.page.document import render_page
from odbench.report.question import Question, answer_of
from odbench.results import Stage, Status

ROWS = 1000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]


def records():
    for number in range(ROWS):
        batch = 2 ** (number % 5)
        changes = {"name": f"run-{number:04d}", "variant": f"v{number}", "batch_size": batch}
        changes |= {"measured_steps": 5, "latency_samples": 5}
        if number % 100 == 99:
            yield make_failed(Status.oom, Stage.train, f"memory ran out in {number}", **changes)
            continue
        analysis = make_analysis(0.5, number) if number < 6 else None
        ap, latency_s = 0.9 - number / 2000, 0.01 + number * 1e-5
        yield make_record(ap=ap, latency_s=latency_s, analysis=analysis, **changes)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    runs = [StoredRun(record, folder / record.run_id) for record in records()]
    comparison = compare(runs)
    text = render_page(comparison, Question(), answer_of(comparison, Question()), "t", folder)
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def opened(browser, page_file):
    """A page, its figures drawn, with what it asked for and what it complained about."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    asked, complaints = [], []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_selector("html[data-figures=drawn]", timeout=60_000)
    yield page, asked, complaints
    context.close()


@pytest.fixture
def page(opened):
    """The page as it is when it is opened: no filter, no sorting, nothing picked."""
    page = opened[0]
    page.evaluate("document.getElementById('columns').open = false")
    page.fill("#filter", "")
    if page.is_enabled("#clear-picked"):
        page.click("#clear-picked")
    expect(page.locator("#table-status")).not_to_contain_text("picked")
    return page


def names(page, count=3):
    found = page.locator("#runs tbody th[scope=row]").all_inner_texts()
    return found[:count]


def test_it_draws_every_figure_asks_for_nothing_and_complains_of_nothing(opened, page_file):
    page, asked, complaints = opened
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    figures = page.locator("figure").count()
    titles = page.locator("figure h4").all_inner_texts()
    assert {"AP against cost", "Training curves", "Kinds of errors"} <= set(titles)
    assert page.locator("figure .chart svg.marks").count() == figures == 8
    drawn = page.evaluate(
        "[...document.querySelectorAll('figure svg.marks')]"
        ".map(svg => svg.querySelectorAll('path, rect').length)"
    )
    assert min(drawn) > 10
    refused = page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    complaints.clear()  # the browser reports what it refused


def test_headings_sort_and_say_so(page):
    heading = page.locator("#runs thead th", has_text="Latency p50")
    assert names(page) == ["run-0000", "run-0001", "run-0002"]
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    shown = page.locator("#runs tbody tr").first.inner_text()
    assert "sorted by Latency p50" in page.inner_text("#table-status")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.locator("#runs tbody tr").first.inner_text() != shown
    assert "oom" not in page.locator("#runs tbody tr").first.inner_text()  # no number comes last
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "none"
    assert names(page) == ["run-0000", "run-0001", "run-0002"]


def test_rows_are_filtered_by_words_and_numbers_and_all_can_be_shown(page):
    assert page.inner_text("#table-status") == "200 of 1000 rows shown."
    rows = page.locator("#runs tbody tr")
    page.click("#all-rows")
    assert rows.count() == ROWS
    page.fill("#filter", "oom")
    expect(rows).to_have_count(10)
    page.fill("#filter", '"AP">0.8 run-01')
    expect(rows).to_have_count(99)
    assert names(page, 1) == ["run-0100"]


def test_columns_are_hidden_and_constant_parameters_shown_on_demand(page):
    page.click("#columns summary")
    measured = page.locator("#columns-measured label", has_text="AP75")
    measured.locator("input").uncheck()
    headings = page.locator("#runs thead th").all_inner_texts()
    assert not [text for text in headings if text.startswith("AP75")]
    assert not [text for text in headings if text.startswith("train.batch_size")]  # Batch size is
    assert not [text for text in headings if text.startswith("optimizer.scale_schedule")]
    page.locator("#columns-constant").evaluate("element => element.parentElement.open = true")
    page.locator("#columns-constant label", has_text="optimizer.scale_schedule").locator(
        "input"
    ).check()
    headings = page.locator("#runs thead th").all_inner_texts()
    assert [text for text in headings if text.startswith("optimizer.scale_schedule")]
    measured.locator("input").check()
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('columns').open")


def test_picked_rows_are_shown_alone_and_figures_follow(page):
    points = page.locator("#figure-1 .mark-symbol.role-mark path")
    assert points.count() == 200
    for name in ("run-0001", "run-0003"):
        page.get_by_label(f"Pick {name}", exact=True).check()
    page.click("#only-picked")
    assert page.locator("#runs tbody tr").count() == 2
    expect(points).to_have_count(2)
    pictures = page.locator("table.pictures thead th[data-row]:visible")
    assert pictures.all_inner_texts() == ["run-0001", "run-0003"]
    page.click("#clear-picked")
    expect(points).to_have_count(200)
    assert pictures.count() == 6


def test_it_is_worked_by_the_keyboard_alone(page):
    page.focus("#filter")
    page.keyboard.press("Tab")
    focused = "document.activeElement.closest('details')?.id"
    assert page.evaluate(focused) == "columns"  # the disabled buttons are passed over
    button = page.locator("#runs tbody th button").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert "odbench run" in page.locator("#runs tr.open pre").first.inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#runs tr.open").count() == 0
    page.locator("#runs thead button", has_text="AP50").focus()
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.textContent").startswith("AP50")
    assert page.locator("#runs th[aria-sort=descending]").inner_text().startswith("AP50")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select')].filter(control => "
        "!(control.textContent.trim() || control.ariaLabel || control.labels?.length)).length"
    )
    assert unnamed == 0


def test_it_is_dark_where_that_is_preferred_and_fits_a_phone(page):
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 24, 29)")
    title = page.locator("#figure-1 svg.marks .role-axis-title text").first
    expect(title).to_have_attribute("fill", "#e5eaf0")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    page.set_viewport_size({"width": 1300, "height": 900})
