"""People come in with a token, see what their role may see, and leave.

login.py CHROMIUM URL ADMIN VIEWER
"""

import re
import sys

from playwright.sync_api import expect

from harness import Checks, Watched, browser, context

# What is asked for before the login; its query has more than one part.
WANTED = "/improvements?status=testing&improvement_type=instruction_update"


def log_in(page, token):
    """Fills the form."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def main(program, origin, admin, viewer):
    checks = Checks()
    with browser(program) as opened:
        people = context(opened)
        watched = Watched(people, origin)
        page = watched.page
        watched.expected |= {(401, "/login"), (403, "/audit")}
        with checks.flow("whoever has no session is asked for a token"):
            watched.open(WANTED)
            expect(page).to_have_url(re.compile("^" + re.escape(f"{origin}/login?next=")))
            expect(page.get_by_label("Token")).to_be_focused()
        with checks.flow("the form can be read by everybody"):
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert not (grave := watched.axe()), grave
            page.emulate_media(color_scheme="light")
        with checks.flow("a wrong token opens nothing"):
            log_in(page, "uplift_wrong")
            expect(page.get_by_role("alert")).to_contain_text("opens nothing")
            assert not people.cookies(), people.cookies()
        with checks.flow("a token leads to the page that was asked for"):
            log_in(page, viewer)
            expect(page).to_have_url(origin + WANTED)
            (cookie,) = people.cookies()
            assert cookie["httpOnly"] and cookie["sameSite"] in ("Strict", "Lax"), cookie
            assert viewer not in cookie["value"] and page.evaluate("document.cookie") == "", "scripts see the session"
            assert not page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length")
        with checks.flow("a viewer looks, and changes nothing"):
            watched.open("/settings")
            expect(page.get_by_role("button", name="Save")).to_have_count(0)
            expect(page.get_by_role("button", name="Pause")).to_have_count(0)
            assert watched.open("/audit") == 403
        with checks.flow("open pages stay live with a session"):
            watched.open("/")
            expect(page.locator("#link")).to_have_text("Live.")
        with checks.flow("whoever leaves is out"):
            page.get_by_role("button", name="Log out").click()
            expect(page).to_have_url(f"{origin}/login")
            assert not people.cookies(), people.cookies()
            page.go_back()
            watched.open("/")
            expect(page.get_by_label("Token")).to_be_visible()
        with checks.flow("an admin reads the audit log"):
            watched.open("/login?next=//evil.example/")
            log_in(page, admin)
            expect(page).to_have_url(f"{origin}/")
            assert watched.open("/audit") == 200
            expect(page.locator("footer")).to_contain_text("admin")
        wrong = watched.take_wrong()
        checks.that("nothing broke on the way", not wrong, "; ".join(wrong))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
