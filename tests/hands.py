"""What people do on the page, and what they see of it, for a test in a browser."""

from __future__ import annotations

CELL = "[data-layer='features.0'] canvas"


def resize(page, width, height, mobile=False):
    said = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", said)


def one(page, css):
    return page.find_element("css selector", css)


def all_of(page, css):
    return page.find_elements("css selector", css)


def until(page, script, seconds=15):
    """Wait until a piece of JavaScript is true; its value."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, seconds, 0.03).until(lambda p: p.execute_script(f"return {script}"))


def ready(page):
    until(page, "document.querySelectorAll('.row').length > 5")
    return page


# The answer, once nothing has been asked for a while: while a stroke is drawn, answers follow one another.
RESTING = """(() => {
    const asked = performance.getEntriesByType("resource").length;
    const answer = document.querySelector("#verdict b")?.textContent, state = asked + " " + answer;
    if (window.seenState !== state) Object.assign(window, { seenState: state, seenAt: performance.now() });
    const busy = document.getElementById("networks").ariaBusy === "true";
    return !busy && performance.now() - window.seenAt > 200 ? answer : null;
})()"""


def answered(page):
    """The class that is answered."""
    return until(page, RESTING, 30)


def draw(page, *ways, at=(0.3, 0.25)):
    """One stroke on the pad, from a place, by steps; all as shares of its side."""
    from selenium.webdriver import ActionChains

    pad = one(page, "#pad")
    side = pad.size["width"]
    chain = ActionChains(page, duration=10)
    chain.move_to_element_with_offset(
        pad, int((at[0] - 0.5) * side), int((at[1] - 0.5) * side)
    ).click_and_hold()
    for dx, dy in ways:
        chain.move_by_offset(int(dx * side), int(dy * side))
    chain.release().perform()


SEVEN = ((0.4, 0), (-0.12, 0.3), (-0.1, 0.25))


def press(page, *keys):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    chain = ActionChains(page)
    for key in keys:
        chain.send_keys(getattr(Keys, key, key))
    chain.perform()


def tab_to(page, css, most=60):
    for _ in range(most):
        if page.execute_script("return document.activeElement.matches(arguments[0])", css):
            return
        press(page, "TAB")
    raise AssertionError(f"{css} is not reached by Tab")


def choose(page, css, value):
    from selenium.webdriver.support.ui import Select

    Select(one(page, css)).select_by_value(value)


def pixels(page, css):
    """Whether a canvas shows something: its distinct colours."""
    script = """
        const seen = document.querySelector(arguments[0]), copy = document.createElement("canvas");
        Object.assign(copy, { width: seen.width, height: seen.height });
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(seen, 0, 0);
        return new Set(new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer)).size;
    """
    return page.execute_script(script, css)


def hover(page, css, x, y):
    """Point at a place of a canvas, given in its pixels."""
    from selenium.webdriver import ActionChains

    canvas = one(page, css)
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    size = canvas.size
    chain = ActionChains(page, duration=10)
    chain.move_to_element_with_offset(canvas, int(x - size["width"] / 2), int(y - size["height"] / 2))
    return chain
