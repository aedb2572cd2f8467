"""The HTML report in a real browser: it draws in time, offline, and every control does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tncc.program import Program

MOST_READY_MS = 2000
MOST_BYTES = 5_000_000


def state(page: Any, name: str) -> Any:
    return page.execute_script("return document.documentElement.dataset[arguments[0]]", name)


def picture(page: Any, canvas: str = "mesh") -> str:
    """The canvas's pixels, as text; waits for the frame that is due."""
    page.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")
    return str(page.execute_script("return document.getElementById(arguments[0]).toDataURL()", canvas))


@pytest.fixture
def page(driver: Any, report: Path) -> Any:
    driver.get(report.as_uri())
    WebDriverWait(driver, 20).until(lambda d: state(d, "readyMs"))
    return driver


def core_point(page: Any, core: int) -> tuple[int, int]:
    """Where a core is drawn, relative to the canvas's middle, as ActionChains counts."""
    script = """
        const { mesh, arrays } = window.tnccReport, box = mesh.canvas.getBoundingClientRect();
        const [left, top] = mesh.toScreen(arrays.x[arguments[0]] + 0.5, arrays.y[arguments[0]] + 0.5);
        return [Math.round(left - box.width / 2), Math.round(top - box.height / 2)];"""
    left, top = page.execute_script(script, core)
    return int(left), int(top)


def hover(page: Any, core: int, click: bool = False) -> None:
    actions = ActionChains(page).move_to_element_with_offset(page.find_element(By.ID, "mesh"), *core_point(page, core))
    (actions.click() if click else actions).perform()


def text(page: Any, name: str) -> str:
    return str(page.find_element(By.ID, name).text)


def test_a_full_chip_is_small_and_drawn_in_time(page: Any, report: Path) -> None:
    assert report.stat().st_size < MOST_BYTES
    ready = []
    for _ in range(3):  # the machine may be busy with something else
        page.refresh()
        WebDriverWait(page, 20).until(lambda d: state(d, "readyMs"))
        ready.append(int(state(page, "readyMs")))
    assert min(ready) < MOST_READY_MS
    assert "4,096 of 4,096 cores" in text(page, "subtitle")


def test_nothing_is_fetched_and_nothing_goes_wrong(page: Any) -> None:
    entries = page.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert entries == []
    assert [line for line in page.get_log("browser") if line["level"] in ("SEVERE", "WARNING")] == []


def test_names_are_text_not_markup(page: Any) -> None:
    assert text(page, "title") == "full </script> chip"
    assert "layer 0 <b>&\"'" in text(page, "legend")


def test_every_map_looks_different(page: Any) -> None:
    select = Select(page.find_element(By.ID, "map"))
    labels = [option.text for option in select.options]
    for wanted in ("Layer", "Axons used", "Neurons used", "Spikes per tick", "Synaptic events per tick"):
        assert wanted in labels
    assert any("Incoming hops" in label for label in labels)
    assert any("Links" in label for label in labels)
    seen = set()
    for option in ("layer", "spikes", "events", "incoming", "hops", "link_connections", "link_packets"):
        index = page.execute_script("return tnccReport.report.maps.findIndex((m) => m.id === arguments[0])", option)
        select.select_by_index(index)
        assert state(page, "map") == option
        seen.add(picture(page))
    assert len(seen) == 7


def test_colours_are_those_of_the_values(page: Any, program: Program) -> None:
    """Reads pixels back: the layer map shows each layer's colour where its cores sit."""
    for core in (0, 1000, 4095):
        left, top = core_point(page, core)
        script = """
            const c = document.getElementById("mesh"), r = window.devicePixelRatio || 1, b = c.getBoundingClientRect();
            const at = [(b.width / 2 + arguments[0]) * r, (b.height / 2 + arguments[1]) * r].map(Math.round);
            return [...c.getContext("2d").getImageData(at[0], at[1], 1, 1).data.slice(0, 3)];"""
        pixel = page.execute_script(script, left, top)
        color = page.execute_script(
            "return tnccReport.report.layers[arguments[0]].color", int(program.config.layer[core])
        )
        assert "#" + "".join(f"{value:02x}" for value in pixel) == color


def test_panel_tells_the_core_under_the_pointer(page: Any, program: Program) -> None:
    config = program.config
    hover(page, 1000)
    assert text(page, "core-title") == "Core 1,000"
    facts = text(page, "core-facts")
    assert f"x {config.core_x[1000]}, y {config.core_y[1000]}" in facts
    assert "layer 3 <b>" in facts
    targets = np.unique(config.target_core[1000])
    buttons = page.find_elements(By.CSS_SELECTOR, "#targets button")
    assert [int(b.get_attribute("data-core")) for b in buttons] == targets.tolist()
    sources = np.unique(np.nonzero(config.target_core == 1000)[0])
    buttons = page.find_elements(By.CSS_SELECTOR, "#sources button")
    assert [int(b.get_attribute("data-core")) for b in buttons] == sources.tolist()
    hover(page, 2000)
    assert text(page, "core-title") == "Core 2,000"


def test_crossbar_is_the_cores_own(page: Any, program: Program) -> None:
    hover(page, 7)
    script = """
        const c = document.getElementById("crossbar");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return [c.width, c.height, Array.from({ length: c.width * c.height }, (_, i) => d[4 * i])];"""
    width, height, red = page.execute_script(script)
    config, exact = program.config, page.execute_script("return tnccReport.report.crossbar.exact")
    bits = np.unpackbits(config.crossbars[config.crossbar_index[7]], axis=1, bitorder="little")
    pixels = np.array(red).reshape(height, width)
    if exact:
        shown = pixels != pixels[bits == 0][0]
        np.testing.assert_array_equal(shown, bits == 1)
    else:
        blocks = bits.reshape(height, 256 // height, width, 256 // width).sum(axis=(1, 3))
        background = pixels[blocks == 0] if (blocks == 0).any() else []
        assert len(set(background)) <= 1
        order = np.argsort(blocks, axis=None)
        assert blocks.ravel()[order[-1]] > blocks.ravel()[order[0]]


def test_click_pins_and_escape_lets_go(page: Any) -> None:
    hover(page, 1000, click=True)
    hover(page, 2000)
    assert text(page, "core-title") == "Core 1,000"
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert text(page, "core-title") == "No core"
    hover(page, 2000)
    assert text(page, "core-title") == "Core 2,000"


def test_a_neighbour_can_be_followed(page: Any) -> None:
    hover(page, 1000, click=True)
    button = page.find_element(By.CSS_SELECTOR, "#targets button")
    other = int(button.get_attribute("data-core"))
    button.click()
    assert text(page, "core-title") == f"Core {other:,}"


def test_routes_and_borders_can_be_switched_off(page: Any) -> None:
    hover(page, 1000, click=True)
    before = picture(page)
    page.find_element(By.ID, "routes").click()
    without_routes = picture(page)
    page.find_element(By.ID, "borders").click()
    without_borders = picture(page)
    assert len({before, without_routes, without_borders}) == 3
    page.find_element(By.ID, "routes").click()
    page.find_element(By.ID, "borders").click()
    assert picture(page) == before


def test_zoom_buttons_wheel_and_keys(page: Any) -> None:
    zoom = "return tnccReport.mesh.zoom"
    page.find_element(By.ID, "zoom-in").click()
    assert page.execute_script(zoom) == pytest.approx(1.5)
    page.find_element(By.ID, "zoom-out").click()
    assert page.execute_script(zoom) == pytest.approx(1)
    canvas = page.find_element(By.ID, "mesh")
    canvas.send_keys("++")
    assert page.execute_script(zoom) == pytest.approx(2.25)
    canvas.send_keys("-")
    assert page.execute_script(zoom) == pytest.approx(1.5)
    canvas.send_keys("0")
    assert page.execute_script(zoom) == 1
    script = "arguments[0].dispatchEvent(new WheelEvent('wheel', { deltaY: -400, cancelable: true }))"
    page.execute_script(script, canvas)
    assert page.execute_script(zoom) > 2
    page.find_element(By.ID, "zoom-fit").click()
    assert page.execute_script(zoom) == 1


def test_drag_pans(page: Any) -> None:
    canvas = page.find_element(By.ID, "mesh")
    canvas.send_keys("+++")
    before = page.execute_script("return tnccReport.mesh.center")
    ActionChains(page).move_to_element(canvas).click_and_hold().move_by_offset(120, 60).release().perform()
    after = page.execute_script("return tnccReport.mesh.center")
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert text(page, "core-title") == "No core" or state(page, "pinned") in (None, "-1")  # a drag is not a click


def test_links_show_their_strips_when_zoomed_in(page: Any) -> None:
    select = Select(page.find_element(By.ID, "map"))
    index = page.execute_script("return tnccReport.report.maps.findIndex((m) => m.id === 'link_packets')")
    select.select_by_index(index)
    canvas = page.find_element(By.ID, "mesh")
    canvas.send_keys("+++++")
    assert page.execute_script("return tnccReport.mesh.cell") > 20
    assert picture(page)


def test_keyboard_alone_walks_the_cores(page: Any, program: Program) -> None:
    config = program.config
    canvas = page.find_element(By.ID, "mesh")
    canvas.send_keys(Keys.ARROW_RIGHT)
    first = page.execute_script("return tnccReport.mesh.core")
    canvas.send_keys(Keys.ARROW_RIGHT)
    second = page.execute_script("return tnccReport.mesh.core")
    assert (config.core_x[second], config.core_y[second]) == (config.core_x[first] + 1, config.core_y[first])
    canvas.send_keys(Keys.ARROW_DOWN)
    third = page.execute_script("return tnccReport.mesh.core")
    assert config.core_y[third] == config.core_y[second] + 1
    assert text(page, "core-title") == f"Core {third:,}"
    canvas.send_keys("m")
    assert state(page, "map") != "layer"


def test_every_control_is_reached_by_tab(page: Any) -> None:
    seen = set()
    for _ in range(12):
        ActionChains(page).send_keys(Keys.TAB).perform()
        seen.add(page.execute_script("return document.activeElement.id"))
    assert {"theme", "map", "zoom-in", "zoom-out", "zoom-fit", "routes", "borders", "mesh"} <= seen


def test_light_and_dark(page: Any) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    before, theme = page.execute_script(background), state(page, "theme")
    page.find_element(By.ID, "theme").click()
    assert state(page, "theme") != theme
    assert page.execute_script(background) != before
    page.find_element(By.ID, "mesh").send_keys("t")
    assert page.execute_script(background) == before


def test_tables_and_raster(page: Any) -> None:
    assert len(page.find_elements(By.CSS_SELECTOR, "#layers tr")) == 17
    assert "frames/s" in text(page, "cost")
    assert "power, mW" in text(page, "cost")
    assert "cores used" in text(page, "facts")
    for table in ("layers", "cost"):
        assert max(row.rect["height"] for row in page.find_elements(By.CSS_SELECTOR, f"#{table} tr")) < 40  # one line
    assert page.execute_script("return tnccReport.arrays.raster_tick.length") > 100
    assert len(picture(page, "raster")) > 5000


def test_a_narrow_window_stacks(page: Any) -> None:
    page.set_window_size(500, 900)
    try:
        mesh, panel = page.find_element(By.ID, "mesh").rect, page.find_element(By.ID, "panel").rect
        assert panel["y"] > mesh["y"] + mesh["height"]
        assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        page.set_window_size(1400, 1100)
