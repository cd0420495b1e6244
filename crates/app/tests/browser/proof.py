"""Shows that the checks of pages can fail: a page with a fault for each of them, and one without.

proof.py CHROMIUM
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pages
from harness import PHONE, Checks, Watched, browser, context

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'"
STYLE = """
body { color: #222; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } a { color: #8cf } .dim { color: #333 } }
.wide { width: 900px } .thin { width: 1em; overflow-wrap: anywhere; display: block } .bare:focus { outline: none } .bright { color: #ccc }
"""
SCRIPT = """
if (document.querySelector("[data-log]")) console.error("a fault");
if (document.querySelector("[data-throw]")) throw new Error("a fault");
if (document.querySelector("[data-late]")) document.querySelector("[data-late]").textContent = "Nobody reads this without scripts, " +
  "because only scripts write down what there is to read here about agents, tools and everything else.";
"""
FRAME = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,"><script defer src="/app.js"></script></head><body><main><h1>A page</h1>{}
<p><a href="/sound">A link</a></p></main></body></html>"""
# What each faulty page holds, and which check it fails, of those that are made of a page.
FAULTS = {
    "gone": ("", "loads"),
    "headings": ("<h1>Another</h1>", "one heading"),
    "inline": ("<p style='color: red'>x</p>", "breaks nothing"),
    "logs": ("<p data-log>x</p>", "breaks nothing"),
    "throws": ("<p data-throw>x</p>", "breaks nothing"),
    "missing": ("<img src='/missing.png' alt='x'>", "breaks nothing"),
    "nameless": ("<p><button></button></p>", "light: axe-core"),
    "faint": ("<p class='bright'>What can hardly be read</p>", "light: axe-core"),
    "dim": ("<p class='dim'>What can hardly be read at night</p>", "dark: axe-core"),
    "broad": ("<p class='wide'>x</p>", "fits a phone"),
    "squeezed": ("<p class='thin'>Instruction update</p>", "room for its texts"),
    "bare": ("<p><a class='bare' href='/sound'>A link without a ring</a></p>", "shows the focus"),
    "skipped": ("<p><button tabindex='-1'>For the mouse</button></p>", "walked by keyboard"),
    "late": ("<p data-late></p>", "the same without scripts"),
    "dead": ("<form action='/x'><label>x <input name='x'></label></form>", "forms that can be sent"),
}


class Pages(BaseHTTPRequestHandler):
    """Serves them."""

    def do_GET(self):  # The name is the library's.
        name = self.path.strip("/")
        text, kind = {"style.css": (STYLE, "text/css"), "app.js": (SCRIPT, "text/javascript")}.get(name, (None, "text/html"))
        status = 200
        if text is None:
            known = name == "sound" or name in FAULTS
            text = FRAME.format(FAULTS.get(name, ("",))[0]) if known else ""
            status = 200 if known and name != "gone" else 404
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Says nothing."""


class Noted(Checks):
    """Keeps what failed to itself."""

    def __init__(self):
        super().__init__()
        self.failures = []

    def that(self, name, holds, said=""):
        if not holds:
            self.failures.append(name)
        return bool(holds)


def main(program):
    checks = Checks()
    server = HTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    with browser(program) as opened:
        desktop = Watched(context(opened), origin)
        phone = Watched(context(opened, PHONE, screen=PHONE, is_mobile=True, has_touch=True), origin)
        plain = Watched(context(opened, scripts=False), origin)
        for name, (_, expected) in [("sound", ("", None)), *FAULTS.items()]:
            noted, path = Noted(), f"/{name}"
            for part, check in {
                "loads heading room nothing axe-core": lambda: pages.look(noted, desktop, path, ("light", "dark")),
                "phone": lambda: pages.on_a_phone(noted, phone, path),
                "focus keyboard": lambda: (desktop.open(path), pages.walk_by_keyboard(noted, desktop, path)),
                "scripts sent": lambda: (desktop.open(path), pages.without_scripts(noted, plain, desktop, path)),
            }.items():
                if expected is None or any(word in expected for word in part.split()):
                    check()
            failed = any(expected in each for each in noted.failures) if expected else not noted.failures
            checks.that(f"{name}: {expected or 'nothing'} fails", failed, noted.failures)
    server.shutdown()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
