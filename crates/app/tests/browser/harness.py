"""A browser whose pages are watched, and checks that are told one a line."""

import pathlib
import sys
import threading
import time
from contextlib import contextmanager

import axe_playwright_python
from playwright.sync_api import sync_playwright

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# The rules of axe-core whose answers depend on colours: all others see the same page in every colour scheme.
OF_COLOUR = ("color-contrast", "link-in-text-block")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# How long anything may take that is waited for, milliseconds.
PATIENCE_MS = 20_000
# What a failed check says at most, characters.
MAX_SAID = 2_000

# Violations of the policy say nothing to the page unless somebody listens.
LISTEN = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Checks:
    """What was checked, by several threads. A check that fails does not stop the others."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.began = time.monotonic()
        self.saying = threading.Lock()

    def that(self, name, holds, said=""):
        """Notes a check: it holds, or the line says what there is instead."""
        with self.saying:
            self.passed += 1 if holds else 0
            self.failed += 0 if holds else 1
            print(f"ok    {name}" if holds else f"FAIL  {name}: {str(said)[:MAX_SAID]}", flush=True)
        return bool(holds)

    @contextmanager
    def flow(self, name):
        """A course of steps: the first that goes wrong ends it, and is a failed check."""
        try:
            yield
        except Exception as error:  # Whatever it is, it is the flow that failed.
            self.that(name, False, f"{type(error).__name__}: {error}")
        else:
            self.that(name, True)

    def end(self):
        """Says how it went, as an exit code."""
        took = time.monotonic() - self.began
        print(f"{self.passed} checks passed, {self.failed} failed, in {took:.0f} s")
        return 0 if self.failed == 0 and self.passed > 0 else 1


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, context, origin):
        self.origin = origin
        self.wrong = []
        # What is asked for on purpose and refused.
        self.expected = set()
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error in a script: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def _console(self, message):
        if message.type in ("error", "warning"):
            at = (message.location or {}).get("url", "")
            if "status of" in message.text and any(at.endswith(end) for _, end in self.expected):
                return
            self.wrong.append(f"console {message.type}: {message.text} ({at})")

    def _failed(self, request):
        # A page that is left breaks off what it still waits for.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.wrong.append(f"request failed: {request.url}: {request.failure}")

    def _asked(self, request):
        if not request.url.startswith((self.origin + "/", "data:", "about:")):
            self.wrong.append(f"asked elsewhere: {request.url}")

    def _answered(self, response):
        path = response.url.removeprefix(self.origin)
        if response.status >= 400 and (response.status, path) not in self.expected:
            self.wrong.append(f"status {response.status}: {response.url}")

    def open(self, path):
        """Loads a page of ours; its status."""
        answer = self.page.goto(self.origin + path, wait_until="load")
        return answer.status if answer else 0

    def violations(self):
        """What broke the content security policy since the page was loaded."""
        return self.page.evaluate("window.__violations || []")

    def take_wrong(self):
        """Everything that went wrong so far, once."""
        wrong = self.wrong + [f"policy: {each}" for each in self.violations()]
        self.wrong = []
        self.page.evaluate("window.__violations = []")
        return wrong

    def axe(self, only=None):
        """What axe-core finds to be serious or critical, of all its rules or only of these."""
        if not self.page.evaluate("Boolean(window.axe)"):
            self.page.evaluate(AXE)
        options = {"resultTypes": ["violations"]} | ({"runOnly": list(only)} if only else {})
        found = self.page.evaluate("(options) => axe.run(document, options)", options)
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']} ({one['impact']}): {_places(one)}" for one in grave]


def _places(violation):
    nodes = violation["nodes"]
    shown = "; ".join(
        f"{' '.join(map(str, node['target']))} {_why(node)}" for node in nodes[:4]
    )
    return shown + (f"; and {len(nodes) - 4} more" if len(nodes) > 4 else "")


def _why(node):
    data = [check.get("data") for check in node.get("any", []) if isinstance(check.get("data"), dict)]
    contrast = [f"({each['fgColor']} on {each['bgColor']}: {each['contrastRatio']})" for each in data if "contrastRatio" in each]
    return " ".join(contrast)


@contextmanager
def browser(program):
    """The browser, headless. It shows pages of the server under test only, so that its sandbox, which root and containers
    cannot have, is not missed."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=["--force-color-profile=srgb", "--font-render-hinting=none"]
        )
        try:
            print(f"Chromium {opened.version}")
            yield opened
        finally:
            opened.close()


def context(opened, size=DESKTOP, dark=False, scripts=True, **more):
    """A browser of its own: no cookies, nothing kept."""
    made = opened.new_context(
        viewport=size,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        java_script_enabled=scripts,
        locale="en-GB",
        timezone_id="UTC",
        **more,
    )
    if scripts:
        made.add_init_script(LISTEN)
    return made
