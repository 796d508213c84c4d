"""The pages as a person has them: in Chromium, with the keyboard, in light and dark, read by axe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI, Request
from playwright.sync_api import Browser, Page, expect
from starlette.responses import HTMLResponse

from foresight_api.app import create_app
from foresight_api.service import Service
from include.foresight.database import PRIMARY, REPLICA
from tests.support import browser, demo_night, nights
from tests.support.browser import Watched
from tests.support.installation import Installation

CLIENT = 1
SLUG = demo_night.SLUGS[CLIENT]
LIST, COSTS = "/api/ml/pages", "/api/ml/pages/costs"
MODEL = f"/api/ml/pages/{SLUG}/complexity"

EVIL = "<img src=x onerror=alert(1)> & <b>Bold</b>"


async def ann(request: Request, token: str | None) -> tuple[str, list[str]]:
    return "ann", ["admin"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as made:
        yield made


@pytest.fixture(scope="module")
def base(
    chromium: Browser,
    new_pair: Callable[..., contextlib.AbstractContextManager[Installation]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The app, mounted as Airflow mounts it, over two clients of which one has had its night."""
    with new_pair() as world:
        demo_night.load(world)
        with nights.warm(world) as databases:
            assert not demo_night.live(databases, SLUG, "the night", models=["complexity"]).errors
        with world.superuser() as primary:
            primary.execute("insert into ml.client_people (client_id, principal, kind) values (1, 'ann', 'user')")
            primary.execute("update ml.clients set name = %s where client_id = 3", [EVIL])
            # As if this night's rows had been asked about in two halves, far apart: the charts have something to draw.
            primary.execute(
                "update ml.prediction_log set as_of = as_of - make_interval(days => 100 * (entity_id %% 2)::integer)"
                " where client_id = %s",
                [CLIENT],
            )
        demo_night.look_for_drift(world, CLIENT, "complexity")
        world.catch_up()
        places = {PRIMARY: world.app(PRIMARY), REPLICA: world.app(REPLICA)}
        folder = tmp_path_factory.mktemp("journal")
        app = create_app(lambda: Service.start(places.__getitem__, folder), person=ann)
        airflow = FastAPI()
        airflow.mount("/api/ml", app)

        @airflow.get("/frame")
        def frame() -> HTMLResponse:
            """As Airflow's UI frames a view."""
            sandbox = "allow-scripts allow-same-origin allow-forms allow-downloads"
            return HTMLResponse(
                f'<!doctype html><html class="dark"><title>f</title><link rel="icon" href="data:,">'
                f'<iframe sandbox="{sandbox}" src="api/ml/pages" width="1300" height="700"></iframe></html>'
            )

        with browser.served(airflow) as address:
            yield address
        app.state.service.service.stop()


@pytest.fixture
def watched(chromium: Browser, base: str) -> Iterator[Watched]:
    context = chromium.new_context(viewport=browser.SCREEN, base_url=base)
    context.set_default_timeout(10_000)
    made = Watched(context, base)
    yield made
    context.close()
    assert made.complaints == []


def opened(watched: Watched, path: str) -> Page:
    """The page, its charts drawn."""
    page = watched.page
    page.goto(path)
    # Not by a function that waits: Playwright evaluates it as the page would, and the page's policy forbids that.
    expect(page.locator(".plot:not(:has(.main-svg))")).to_have_count(0)
    return page


def clients_of(page: Page) -> list[str]:
    return [cell.inner_text() for cell in page.locator("#fleet tbody tr:visible th").all()]


def test_the_list_is_sorted_and_filtered_by_keyboard(watched: Watched):
    page = opened(watched, LIST)
    assert len(clients_of(page)) == 9 and any(EVIL in name for name in clients_of(page))
    head = page.get_by_role("columnheader", name="Client")
    button = head.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    names = clients_of(page)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert [name.split(",")[0] for name in clients_of(page)] == sorted(
        (name.split(",")[0] for name in names), reverse=True
    )
    page.get_by_role("searchbox", name="Client").fill("bold")
    assert len(clients_of(page)) == 3 and page.get_by_role("status").inner_text() == "3 of 9 shown"
    page.get_by_role("combobox", name="Model").select_option("rework")
    assert len(clients_of(page)) == 1


def test_the_first_stop_of_the_keyboard_skips_what_is_on_every_page(watched: Watched):
    page = opened(watched, LIST)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_charts_are_drawn_with_their_data_behind_them(watched: Watched):
    page = opened(watched, MODEL)
    page.wait_for_selector("#errors-plot .main-svg")
    drawn = page.locator(".plot:has(.main-svg)").count()
    assert drawn >= 2 and drawn == page.locator(".plot").count()
    for one in page.locator(".plot").all():
        assert len(one.evaluate("e => e.getAttribute('aria-labelledby')").split()) == 2
    details = page.locator("#errors-title ~ details")
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    assert details.locator("tbody tr").count() == 1 and details.locator("tbody tr").first.is_visible()
    # The marks lie where the axis has them: without Plotly's own rules they would be somewhere else.
    title = page.locator("#errors-plot .ytitle").bounding_box()
    plot = page.locator("#errors-plot").bounding_box()
    assert plot["x"] <= title["x"] < plot["x"] + 60 and plot["y"] < title["y"] < plot["y"] + plot["height"]


@pytest.mark.parametrize("path", [LIST, COSTS, MODEL])
def test_axe_finds_nothing_in_either_theme(watched: Watched, path: str):
    page = opened(watched, path)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    # Of the second theme only colours are new.
    everything = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    for theme, rules in (("light", everything), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=theme)
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        found = Axe().run(page, options={"runOnly": rules})
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", [LIST, COSTS, MODEL])
def test_a_laptop_needs_no_scrolling_sideways(watched: Watched, path: str):
    page = opened(watched, path)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Within Airflow's frame there is less room; a table that is wider scrolls by itself.
    page.set_viewport_size({"width": 700, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_frame_has_the_theme_of_what_frames_it(watched: Watched):
    page = opened(watched, "/frame")
    frame = page.frames[1]
    assert frame.evaluate("document.documentElement.dataset.theme") == "dark"
    background = frame.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("document.documentElement.className = 'light'")
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    assert frame.evaluate("getComputedStyle(document.body).backgroundColor") != background
    frame.get_by_role("link", name="Northwind").first.click()
    frame.wait_for_selector("h1:has-text('Northwind')")
