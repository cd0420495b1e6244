"""Every page of the dashboard, looked at as people do: with a mouse, on a phone, by keyboard, in the dark, without scripts.

pages.py CHROMIUM URL
"""

import re
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from urllib.parse import urlsplit

from harness import OF_COLOUR, PHONE, Checks, Watched, browser, context

# Where the walk begins; everything else is found by links.
FIRST = ["/", "/opportunities", "/improvements", "/entities", "/tasks", "/analytics", "/alerts", "/settings", "/audit"]
# Links to pages of one kind (the same address but for ids and queries) that are followed at least as far as a status.
ASKED = 25
# Of these, one of each status is looked at, because they show different things.
BY_STATUS = [("/api/improvements?limit=100", "/improvements/"), ("/api/improvements/opportunities?limit=100", "/opportunities/")]
# What is no page.
BESIDE = ("/api", "/metrics", "/ui/", "/health", "/logout")
# Most times that the Tab key is pressed on a page, and how often before it is asked where that led.
TABS = 600
STRIDE = 20

# Notes, each time a key was pressed, how the focused element looks, and which of all it is.
NOTE = """() => {
 window.__focused = [];
 addEventListener("keyup", () => window.__focused.push(look()), true);
 const look = () => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  if (!at.dataset.walked) at.dataset.walked = String((window.__walked = (window.__walked || 0) + 1));
  const looks = (style) => [style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && style.outlineColor,
    style.boxShadow, style.backgroundColor, style.borderColor, style.textDecorationLine].join("|");
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const inside = box.bottom > 0 && box.top < innerHeight && box.width > 0 && box.height > 0;
  return { number: at.dataset.walked, looks: looks(style), ring, inside,
    what: `${at.tagName.toLowerCase()}${at.id ? "#" + at.id : ""} ${(at.getAttribute("aria-label") || at.textContent || at.name || "").trim().slice(0, 40)}` };
 };
}"""
FOCUSED = "() => window.__focused.splice(0)"
# What can be used with a mouse and was never focused. Radio buttons of a group are one stop.
MISSED = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
  .filter((one) => !one.dataset.walked && !one.disabled && !one.closest("fieldset[disabled]") && one.type !== "radio")
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .map((one) => one.outerHTML.slice(0, 120))"""
# What looks as if it could be clicked, and a keyboard cannot reach.
CLICKABLE = """() => [...document.querySelectorAll("[onclick], div[role=button]:not([tabindex]), a:not([href])")]
  .map((one) => one.outerHTML.slice(0, 120))"""
# Texts that are squeezed into a column of a few letters.
SQUEEZED = """() => [...document.querySelectorAll("td, th, dd, dt, li, label, p")].filter((one) => {
    const box = one.getBoundingClientRect();
    return one.textContent.trim().length > 12 && box.width > 0 && box.width < 48 && box.height > 80;
  }).slice(0, 5).map((one) => `${Math.round(one.getBoundingClientRect().width)} px for ${one.textContent.trim().slice(0, 40)}`)"""
WIDTH = "() => [document.documentElement.scrollWidth, screen.width]"
# What makes a page wider than the screen.
WIDE = """() => [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > screen.width + 1)
  .filter((one) => { for (let at = one.parentElement; at; at = at.parentElement)
    if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(at).overflowX)) return false; return true; })
  .slice(0, 5).map((one) => one.outerHTML.slice(0, 100))"""


def kind(path):
    """What pages of one sort have in common."""
    parts = urlsplit(path)
    steps = parts.path.strip("/").split("/")
    if steps[0] == "entities" and len(steps) > 2:
        steps = ["entities", "#", "#", steps[3], "#"] if len(steps) > 4 else ["entities", steps[1], "#"]
    elif len(steps) > 1:
        steps[1] = "#"
    names = sorted({pair.split("=")[0] for pair in parts.query.split("&") if pair} - {"cursor"})
    return "/" + "/".join(steps) + ("?" + "&".join(names) if names else "")


def links(page):
    """Pages that a page leads to, on this server."""
    found = page.evaluate("[...document.querySelectorAll('a[href]')].map((one) => one.getAttribute('href'))")
    paths = dict.fromkeys(each.split("#")[0] for each in found)
    return [each for each in paths if each.startswith("/") and not each.startswith("//") and not each.startswith(BESIDE)]


def by_status(watched):
    """The addresses of one of each status."""
    for listed, page in BY_STATUS:
        items = watched.page.request.get(watched.origin + listed).json()["items"]
        yield from {item["status"]: f"{page}{item['id']}" for item in items}.values()


def look(checks, watched, path, schemes):
    """Loads, nothing goes wrong, everybody can read it, in these colour schemes."""
    status = watched.open(path)
    checks.that(f"{path} loads", status == 200, f"status {status}")
    page = watched.page
    headings = page.locator("h1").all_inner_texts()
    checks.that(f"{path} has one heading and a title", len(headings) == 1 and page.title(), f"{headings}, {page.title()!r}")
    found = links(page)
    squeezed = page.evaluate(SQUEEZED)
    checks.that(f"{path} has room for its texts", not squeezed, "; ".join(squeezed))
    wrong = watched.take_wrong()
    checks.that(f"{path} breaks nothing", not wrong, "; ".join(wrong))
    for nth, scheme in enumerate(schemes):
        page.emulate_media(color_scheme=scheme)
        grave = watched.axe(only=OF_COLOUR if nth else None)
        checks.that(f"{path} {scheme}: axe-core finds nothing grave", not grave, " / ".join(grave))
    return found


def walk_by_keyboard(checks, watched, path):
    """Everything on the page that is open can be reached by the Tab key, and one sees where one is."""
    page = watched.page
    stops, end = [], False
    page.evaluate(NOTE)
    while len(stops) < TABS and not end:
        for _ in range(STRIDE):
            page.keyboard.press("Tab")
        noted = page.evaluate(FOCUSED)
        # Beyond the last there is nothing, or the first again.
        end = len(noted) < STRIDE or None in noted
        stops += noted[: noted.index(None)] if None in noted else noted
    steps = len(stops)
    unseen = [
        f"{at['what']} ({at['looks']}, {'on' if at['inside'] else 'off'} the screen)"
        for at in stops
        if not at["ring"] or not at["inside"]
    ]
    checks.that(f"{path} shows the focus", not unseen, "; ".join(unseen[:5]))
    missed = page.evaluate(MISSED) if steps < TABS else []
    missed += page.evaluate(CLICKABLE)
    checks.that(f"{path} can be walked by keyboard", steps > 0 and not missed, f"{steps} steps; {'; '.join(missed[:5])}")


def on_a_phone(checks, watched, path):
    """Nothing is wider than the screen."""
    watched.open(path)
    width, screen = watched.page.evaluate(WIDTH)
    if not checks.that(f"{path} fits a phone", width <= screen, f"{width} px on {screen}"):
        print(f"      {watched.page.evaluate(WIDE)}")
    squeezed = watched.page.evaluate(SQUEEZED)
    checks.that(f"{path} has room for its texts on a phone", not squeezed, "; ".join(squeezed))


def without_scripts(checks, plain, scripted, path):
    """The same can be read as on the page that is open with them, and every form can be sent."""
    plain.open(path)
    read, expected = (words(each.page.locator("main").inner_text()) for each in (plain, scripted))
    same = len(set(read) & set(expected)) >= 0.9 * len(set(expected))
    checks.that(f"{path} reads the same without scripts", same and read, f"{len(read)} words of {len(expected)}")
    forms = plain.page.locator("main form").all()
    dead = [form.get_attribute("action") for form in forms if form.locator("button, input[type=submit]").count() == 0]
    checks.that(f"{path} has forms that can be sent without scripts", not dead, dead)


def words(text):
    """Words but for numbers: what is live may have moved on meanwhile."""
    return re.findall(r"[A-Za-z_]{3,}", text)


def used(checks, program, origin, paths):
    """Has every page used as people do, until there is no other."""
    with browser(program) as opened:
        # Nothing is exchanged under the feet of whoever walks: that is a flow of its own.
        still = context(opened)
        still.add_init_script("window.EventSource = class { addEventListener() {} close() {} }")
        still = Watched(still, origin)
        phone = Watched(context(opened, PHONE, screen=PHONE, is_mobile=True, has_touch=True), origin)
        plain = Watched(context(opened, scripts=False), origin)
        for path, first in iter(paths.get, None):
            on_a_phone(checks, phone, path)
            if first:
                still.open(path)
                without_scripts(checks, plain, still, path)
                walk_by_keyboard(checks, still, path)


def found(checks, desktop, using):
    """Looks at every page that can be found, and hands it on to be used."""
    chosen = FIRST + list(by_status(desktop))
    waiting, known, linked, looked = list(chosen), set(chosen), defaultdict(list), set()
    while waiting:
        path = waiting.pop(0)
        first = kind(path) not in looked
        if not first and path not in chosen:
            continue
        looked.add(kind(path))
        using.put((path, first))
        for link in look(checks, desktop, path, ("light", "dark") if first else ("light",)):
            linked[kind(link)].append(link)
            if link not in known:
                known.add(link)
                waiting.append(link)
    for name, paths in sorted(linked.items()):
        asked = list(dict.fromkeys(paths))[:ASKED]
        bad = [path for path in asked if desktop.page.request.get(desktop.origin + path).status != 200]
        checks.that(f"{len(asked)} links to {name} lead somewhere", not bad, bad)
    for sort in ("/improvements/#", "/opportunities/#", "/entities/agent/#", "/tasks/#"):
        checks.that(f"{sort} was looked at", sort in looked, sorted(looked))


def main(program, origin):
    checks, paths = Checks(), Queue()
    # What axe-core computes takes about as long as all the rest: a browser for each.
    with ThreadPoolExecutor(1) as beside:
        using = beside.submit(used, checks, program, origin, paths)
        try:
            with browser(program) as opened:
                found(checks, Watched(context(opened), origin), paths)
        finally:
            paths.put(None)
        using.result()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
