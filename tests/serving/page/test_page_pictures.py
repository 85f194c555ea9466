"""Pictures into the page: drawn, dropped, pasted, photographed, opened, picked, typed; and taken back."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
from hands import (
    CELL,
    SEVEN,
    all_of,
    answered,
    choose,
    draw,
    hover,
    one,
    pixels,
    press,
    ready,
    resize,
    until,
)
from PIL import Image

from hubel.run import load


def test_a_stroke_changes_the_answer_and_every_map(page, shot):
    ready(page)
    assert all(pixels(page, f"[data-layer='{name}'] canvas") <= 2 for name in ("features.0", "features.4"))
    draw(page, *SEVEN)
    answered(page)
    for row in all_of(page, ".row"):
        assert pixels(page, f"[data-layer='{row.get_attribute('data-layer')}'] canvas") > 2
    assert "scaled and centred" in one(page, "#seen-text").text
    shares = [float(bar.text.strip("<> %")) for bar in all_of(page, "#bars .share")]
    assert len(shares) == 10 and sum(shares) == pytest.approx(100, abs=1.5)
    shot("drawn")


def on_pad(page):
    return page.execute_script("return document.getElementById('pad').toDataURL()")


def test_undo_goes_back_step_by_step_and_clear_is_a_step(page):
    ready(page)
    draw(page, *SEVEN)
    first, before = answered(page), on_pad(page)
    draw(page, (0.5, 0), at=(0.2, 0.9))
    assert on_pad(page) != before
    one(page, "#undo").click()
    assert on_pad(page) == before
    until(page, f"document.querySelector('#verdict b')?.textContent === '{first}'")
    one(page, "#clear").click()
    until(page, "!document.querySelector('#verdict b')")
    assert one(page, "#pad-hint").is_displayed()
    one(page, "#undo").click()
    assert on_pad(page) == before
    assert answered(page) == first


def test_undo_goes_back_to_what_lay_there_before_a_picture(page, photograph):
    """A drawing, then a picture of the test set, then a file, then a stroke over it; and all the way back."""
    ready(page)
    draw(page, *SEVEN)
    states = [(answered(page), on_pad(page))]
    one(page, "#example").click()
    until(page, "document.querySelector('#bars .mark')")  # a picture of the test set, whose class is known
    states.append((answered(page), on_pad(page)))
    one(page, "#file").send_keys(str(photograph))
    until(page, "!document.querySelector('#bars .mark')")
    states.append((answered(page), on_pad(page)))
    draw(page, (0.5, 0), at=(0.2, 0.9))
    answered(page)
    for answer, pad in reversed(states):
        one(page, "#undo").click()
        assert on_pad(page) == pad
        assert answered(page) == answer
    one(page, "#undo").click()
    until(page, "!document.querySelector('#verdict b')")


def test_a_drawing_outlives_the_change_of_networks(page):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    before = on_pad(page)
    for name in ("colour", "other", "digits"):
        choose(page, "#model", name)
        until(page, f"document.querySelector('.title b').textContent === '{name}'")
        answered(page)
    assert on_pad(page) == before


def touch(page, kind, *spots):
    """Fingers on the window, in its pixels."""
    points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(spots)]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.fixture
def phone(page):
    """The page on a phone with fingers."""
    resize(page, 360, 780, mobile=True)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    page.refresh()
    yield ready(page)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_finger_draws_on_a_phone_and_a_second_one_does_not(phone, shot):
    at = one(phone, "#pad").rect
    spots = [(0.3, 0.3), (0.5, 0.3), (0.7, 0.3), (0.6, 0.6), (0.5, 0.85)]
    points = [(at["x"] + x * at["width"], at["y"] + y * at["height"]) for x, y in spots]
    touch(phone, "touchStart", points[0])
    for point in points[1:]:
        touch(phone, "touchMove", point)
    answered(phone)  # moves come with the next frame
    alone = on_pad(phone)
    corner = (at["x"] + 15, at["y"] + at["height"] - 15)
    touch(phone, "touchStart", points[-1], corner)
    touch(phone, "touchMove", points[-1], (corner[0] + 60, corner[1]))
    assert on_pad(phone) == alone
    touch(phone, "touchEnd")
    answered(phone)
    assert phone.execute_script("return scrollY") == 0
    assert pixels(phone, CELL) > 2
    shot("touched")


# Some way down, and at rest: a tap on what still moves only stops it.
SCROLLED = """(() => {
    if (window.seenY !== scrollY) Object.assign(window, { seenY: scrollY, seenAt: performance.now() });
    return scrollY > 200 && performance.now() - window.seenAt > 300;
})()"""


def test_a_finger_scrolls_the_maps_and_taps_a_cell(phone, shot):
    draw(phone, *SEVEN)
    answered(phone)
    touch(phone, "touchStart", (180, 700))
    for y in range(690, 250, -20):
        touch(phone, "touchMove", (180, y))
    touch(phone, "touchEnd")
    until(phone, SCROLLED)
    phone.execute_script("arguments[0].scrollIntoView({ block: 'center' })", one(phone, CELL))
    place = phone.execute_script("return arguments[0].getBoundingClientRect().toJSON()", one(phone, CELL))
    touch(phone, "touchStart", (place["x"] + 20, place["y"] + 20))
    touch(phone, "touchEnd")
    until(phone, "document.querySelector('#tab-cell .agrees')")
    assert one(phone, "#sheet").is_displayed()
    one(phone, "#enlarge").click()
    until(phone, "document.querySelector('#zoom[open] .kernel canvas')")
    shot("enlarged")


DROP = """
    const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), data = new DataTransfer();
    data.items.add(new File([bytes], arguments[1], { type: arguments[2] }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""


def colours(page):
    """choose the run on colour pictures"""
    ready(page)
    choose(page, "#model", "colour")
    until(page, "document.querySelector('.title b').textContent === 'colour'")


def received(page):
    """What the network receives, (H, W, 3), as its row shows it, a cell of its canvas per pixel."""
    script = """
        const canvas = document.querySelector("[data-layer='input'] canvas"), W = 40, H = 32;
        const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
        const cell = Math.floor(canvas.width / W), context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(canvas, 0, 0);
        const at = (k, n) => 1 + k * cell + Math.floor(cell / 2);
        return Array.from({ length: H }, (_, i) => Array.from({ length: W }, (_, j) =>
            [...context.getImageData(at(j), at(i), 1, 1).data].slice(0, 3)));
    """
    return np.array(page.execute_script(script))


def prepared(runs, photograph):
    """The same by the run itself."""
    return load(runs[2]).prepared(photograph.read_bytes()).transpose(1, 2, 0)


def test_a_picture_is_dropped_and_opened(page, runs, photograph, shot):
    colours(page)
    page.execute_script(DROP, base64.b64encode(photograph.read_bytes()).decode(), "photo.png", "image/png")
    answered(page)
    assert (received(page) == prepared(runs, photograph)).all()
    one(page, "#clear").click()
    until(page, "!document.querySelector('#verdict b')")
    one(page, "#file").send_keys(str(photograph))
    answered(page)
    assert (received(page) == prepared(runs, photograph)).all()
    shot("picture")


def test_a_picture_comes_from_the_clipboard(page, site, runs, photograph, shot):
    """By the real clipboard and Ctrl+V; text on it changes nothing."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": allowed, "origin": site})
    colours(page)
    one(page, "#theme").send_keys("")  # the page has the focus, as the clipboard wants it
    write = """
        const [text, done] = arguments, bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const item = new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) });
        navigator.clipboard.write([item]).then(() => done("ok"), (e) => done(String(e)));
    """
    text = base64.b64encode(photograph.read_bytes()).decode()
    assert page.execute_async_script(write, text) == "ok"
    paste = ActionChains(page).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL)
    paste.perform()
    answered(page)
    assert np.abs(received(page) - prepared(runs, photograph)).max() <= 1  # Chromium wrote the PNG anew
    before = on_pad(page)
    page.execute_async_script("navigator.clipboard.writeText('7').then(arguments[0], arguments[0])")
    paste.perform()
    answered(page)
    assert on_pad(page) == before
    shot("pasted")


@pytest.mark.parametrize("kind", ["TIFF", "PPM"])
def test_a_kind_that_the_browser_does_not_read_is_shown_as_the_service_reads_it(
    page, runs, photograph, kind, shot
):
    packed = io.BytesIO()
    with Image.open(photograph) as picture:
        picture.save(packed, kind)
    colours(page)
    page.execute_script(DROP, base64.b64encode(packed.getvalue()).decode(), f"photo.{kind.lower()}", "")
    answered(page)
    assert (received(page) == prepared(runs, photograph)).all()
    assert pixels(page, "#pad") > 50
    shot(kind)


def test_the_camera_takes_a_picture_and_is_given_back(page, shot):
    """Chromium's own pretended camera: a green picture with a pie that turns."""
    colours(page)
    keep = """
        const lend = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = (asked) => lend(asked).then((stream) => (window.lent = stream));
    """
    page.execute_script(keep)
    one(page, "#camera").click()
    until(page, "document.querySelector('#camera-box[open] video')?.videoWidth")
    shot("looking")
    one(page, "#camera-box .main").click()
    answered(page)
    seen = received(page).reshape(-1, 3)
    green = (seen[:, 1] > seen[:, 0] + 30) & (seen[:, 1] > seen[:, 2] + 30)
    assert green.mean() > 0.4
    assert all_of(page, "dialog[open]") == []
    assert page.execute_script("return lent.getTracks().map((t) => t.readyState)") == ["ended"]
    shot("taken")


def test_a_camera_that_is_put_away_is_given_back_without_a_picture(page):
    colours(page)
    one(page, "#camera").click()
    until(page, "document.querySelector('#camera-box[open] video')?.videoWidth")
    press(page, "ESCAPE")
    until(page, "!document.querySelector('dialog[open]')")
    track = "document.querySelector('#camera-box video').srcObject.getTracks()[0].readyState"
    until(page, f"{track} === 'ended'")
    assert one(page, "#pad-hint").is_displayed()


def test_without_a_camera_it_is_said_and_without_the_right_to_one_a_file_is_asked_for(page):
    ready(page)
    refuse = (
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('Requested device not found'))"
    )
    page.execute_script(refuse)
    one(page, "#camera").click()
    until(page, "document.getElementById('toast').classList.contains('told')")
    assert one(page, "#toast").text == "There is no camera that may be used: Requested device not found"
    # A page of another machine that comes without https has no mediaDevices at all.
    page.execute_script("""
        Object.defineProperty(navigator, "mediaDevices", { value: undefined });
        document.getElementById("photo").click = () => (window.asked = true);
    """)
    one(page, "#camera").click()
    assert until(page, "window.asked")
    assert one(page, "#photo").get_attribute("capture") == "environment"


def test_what_is_no_picture_is_refused_in_words(page, tmp_path):
    ready(page)
    (tmp_path / "notes.png").write_text("not a picture")
    one(page, "#file").send_keys(str(tmp_path / "notes.png"))
    assert until(page, "document.getElementById('toast').classList.contains('told')")
    assert one(page, "#toast").text == "This is not a picture."
    assert one(page, "#pad-hint").is_displayed()
    (refusal,) = page.get_log("browser")  # Chromium itself notes that the service, which was asked, refused
    assert "422" in refusal["message"]


def test_the_shelf_shows_the_worst_mistakes_first(page, site, shot):
    ready(page)
    worst = httpx.get(f"{site}/v1/samples?mistakes=true&limit=3").json()["data"]["samples"]
    one(page, "#shelf-button").click()
    until(page, "document.querySelectorAll('.thumbs img[src]').length > 2")
    thumbs = all_of(page, ".thumbs button")
    assert [thumb.get_attribute("title") for thumb in thumbs[:3]] == [sample["item"] for sample in worst]
    shot("shelf")
    thumbs[0].click()
    assert answered(page) == worst[0]["answer"] != worst[0]["label"]
    assert all_of(page, "dialog[open]") == []
    assert one(page, "#bars .mark .name").text == worst[0]["label"]  # what it really is


def test_a_network_on_numbers_is_asked_with_a_row(page, shot):
    ready(page)
    choose(page, "#model", "points")
    until(page, "document.querySelector('.title b').textContent === 'points'")
    assert not one(page, "#pad").is_displayed()
    assert (
        one(page, "[data-layer='input'] canvas").size["width"]
        > one(page, "[data-layer='input'] canvas").size["height"]
    )  # both numbers
    one(page, "#row").send_keys("0.3, -0.2")
    press(page, "ENTER")
    answered(page)
    row = all_of(page, ".row")[1].get_attribute("data-layer")
    hover(page, f"[data-layer='{row}'] canvas", 6, 6).click().perform()
    until(page, "document.querySelector('#tab-cell .agrees')")
    shot("numbers")
