"""What people do on the dashboard, against a server that is new: each flow is a check.

flows.py CHROMIUM URL
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from harness import PATIENCE_MS, Checks, Watched, browser, context

# Agents with a past: an operator is asked about what is proposed for them. Days, and tasks of each day.
WITH_PAST = ["approved", "rejected"]
DAYS, TASKS = 9, 150
# Agents without one: operators try their own changes on them.
OTHERS = ["taken-back", "called-off", "watched", "typed"]
CONFIGURATION = {"model": "m1", "instruction": {"text": "Find out."}, "parameters": {"timeout_ms": 1000}}


class Api:
    """The server's API, as another program uses it."""

    def __init__(self, opened, origin):
        self.request = opened.new_context().request
        self.origin = origin

    def call(self, method, path, body=None, status=None):
        """Sends JSON; what came back."""
        answer = self.request.fetch(
            self.origin + path,
            method=method,
            data=None if body is None else body if isinstance(body, str) else json.dumps(body),
            headers={"content-type": "application/x-ndjson" if isinstance(body, str) else "application/json"},
        )
        assert answer.ok if status is None else answer.status == status, f"{method} {path}: {answer.status} {answer.text()}"
        return answer.json() if answer.text() else None

    def until(self, path, holds):
        """Asks until something holds; what came back then."""
        since = time.monotonic()
        while not holds(found := self.call("GET", path)):
            assert time.monotonic() - since < PATIENCE_MS / 1000, f"{path} still says {json.dumps(found)[:500]}"
            time.sleep(0.05)
        return found

    def propose(self, agent, by="operator", timeout=3000):
        """Proposes a change; its number."""
        body = {"entity_type": "agent", "entity": agent, "improvement_type": "performance_tuning", "proposed_by": by}
        body |= {"edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": timeout}], "rationale": "It gives up early."}
        return self.call("POST", "/api/improvements", body)["id"]

    def comes_to(self, improvement, status):
        """Waits until an improvement stands like that."""
        return self.until(f"/api/improvements/{improvement}", lambda found: found["status"] == status)


def past(agent, now):
    """Tasks of the days before, one event each."""
    for number in range(DAYS * TASKS):
        at = now - timedelta(days=DAYS) * ((number + 1) / (DAYS * TASKS))
        yield {
            "id": "1", "ts": at.isoformat(), "event_type": "TASK_COMPLETED", "agent": agent, "task_id": f"{agent}-{number}",
            "outcome": "FAILURE" if number % 10 == 0 else "SUCCESS", "duration_ms": 1000 + number * 37 % 500,
        }


def failures(agent, now):
    """The same error in task after task."""
    for number in range(8):
        task = {"ts": now.isoformat(), "agent": agent, "task_id": f"{agent}-fails-{number}"}
        yield task | {"id": "1", "event_type": "TOOL_EXECUTED", "tool": "fetch", "outcome": "ERROR",
                      "error_type": "TimeoutError", "content": "no answer within 30 s"}
        yield task | {"id": "2", "event_type": "TASK_COMPLETED", "outcome": "FAILURE"}


def prepare(api):
    """A small fleet, and one thing of everything that somebody has to decide."""
    api.call("PUT", "/api/improvements/config", {"max_concurrent_improvements": 20})
    now = datetime.now(UTC)
    for agent in WITH_PAST + OTHERS:
        entity = {"configuration": CONFIGURATION, "improvement_config": {"mode": "approve"}}
        api.call("PUT", f"/api/entities/agent/{agent}", entity)
    events = [event for agent in WITH_PAST for event in past(agent, now)] + list(failures("fails", now))
    taken = api.call("POST", "/api/events", "\n".join(map(json.dumps, events)))
    assert taken["accepted"] == len(events), taken
    made = {agent: api.propose(agent, by="agent") for agent in WITH_PAST}
    made |= {agent: api.propose(agent) for agent in ("taken-back", "called-off")}
    for agent, improvement in made.items():
        api.comes_to(improvement, "awaiting_approval" if agent in WITH_PAST else "testing")
    found = api.until("/api/improvements/opportunities?agent=fails", lambda found: found["items"])
    return made, found["items"][0]["id"]


def decide(checks, watched, api, made):
    """Improvements: yes, no, back, and off."""
    page = watched.page
    for agent, button, reason, status in [
        ("approved", "Approve", None, "testing"),
        ("rejected", "Reject", "not <b>now</b>", "rejected"),
        ("taken-back", "Roll back", "it annoys", "rolled_back"),
        ("called-off", "Call off", "another time", "cancelled"),
    ]:
        with checks.flow(f"{button} decides"):
            watched.open(f"/improvements/{made[agent]}")
            form = page.locator("form").filter(has=page.get_by_role("button", name=button, exact=True))
            if reason:
                form.get_by_role("textbox").fill(reason)
            form.get_by_role("button").click()
            expect(page.get_by_role("status").first).to_be_visible()
            api.comes_to(made[agent], status)
            expect(page.locator("#head")).to_contain_text(status.replace("_", " "))
            if reason:
                expect(page.locator("main")).to_contain_text(reason)
            expect(page.get_by_role("button", name=button, exact=True)).to_have_count(0)
            assert "done=" not in page.url, "the word of what was done stays in the address"


def dismiss(checks, watched, api, opportunity):
    """By keyboard alone."""
    page = watched.page
    with checks.flow("an opportunity is dismissed by keyboard, with a reason"):
        watched.open(f"/opportunities/{opportunity}")
        reason = page.get_by_role("textbox", name="Reason to dismiss")
        for _ in range(60):
            page.keyboard.press("Tab")
            if reason.evaluate("(one) => one === document.activeElement"):
                break
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('input[name=reason]:invalid') !== null"), "a reason is asked for"
        page.keyboard.type("known, and on its way")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_be_visible()
        found = api.call("GET", f"/api/improvements/opportunities/{opportunity}")
        assert found["status"] == "dismissed" and "on its way" in found["resolution"], found


def settings(checks, watched, api):
    """A value out of range is refused with a reason, and nothing typed is lost; one in range is saved."""
    page = watched.page
    with checks.flow("settings out of range are refused, others saved"):
        watched.open("/settings")
        confidence, rest = (page.locator(f"input[name={name}]") for name in ("min_confidence_score", "cooldown_period"))
        confidence.fill("7")
        rest.fill("3h")
        watched.expected.add((422, "/settings"))
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("min_confidence_score")
        expect(confidence).to_have_value("7")
        expect(rest).to_have_value("3h")
        assert not watched.axe(), watched.axe()
        confidence.fill("0.9")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status").first).to_contain_text("Saved")
        engine = api.call("GET", "/api/improvements/config")["engine"]
        assert (engine["min_confidence_score"], engine["cooldown_period"]) == (0.9, "3h"), engine
    with checks.flow("settings that somebody else changed meanwhile are not overwritten"):
        watched.open("/settings")
        api.call("PUT", "/api/improvements/config", {"min_confidence_score": 0.85})
        page.locator("input[name=cooldown_period]").fill("5h")
        watched.expected.add((412, "/settings"))
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_be_visible()
        engine = api.call("GET", "/api/improvements/config")["engine"]
        assert (engine["min_confidence_score"], engine["cooldown_period"]) == (0.85, "3h"), engine
    with checks.flow("the kill switch pauses and lets go"):
        watched.open("/settings")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#state")).to_contain_text("paused")
        assert api.call("GET", "/api/improvements/status")["paused"] is True
        page.get_by_role("button", name="Let trials start again").click()
        expect(page.locator("#state")).not_to_contain_text("paused")
        assert api.call("GET", "/api/improvements/status")["paused"] is False


def live(checks, watched, api):
    """What another program does shows on an open page, without loading it anew, and without getting in anybody's way."""
    page = watched.page
    with checks.flow("an open page shows what happens elsewhere"):
        watched.open("/")
        expect(page.locator("#link")).to_have_text("Live.")
        page.evaluate("window.__same = true")
        improvement = api.propose("watched")
        link = page.locator(f"main a[href='/improvements/{improvement}']").first
        expect(link).to_be_visible()
        link.focus()
        api.comes_to(improvement, "testing")
        api.call("POST", "/api/improvements/pause", {})
        expect(page.locator("#state")).to_contain_text("paused")
        api.call("POST", "/api/improvements/resume", {})
        expect(page.locator("#state")).not_to_contain_text("paused")
        assert page.evaluate("document.activeElement.tagName") == "A", "the focus is lost"
        assert page.evaluate("window.__same") is True, "the page was loaded anew"
    with checks.flow("what somebody types stays when the page changes"):
        improvement = api.propose("typed")
        api.comes_to(improvement, "testing")
        watched.open(f"/improvements/{improvement}")
        expect(page.locator("#link")).to_have_text("Live.")
        reason = page.get_by_role("textbox").first
        reason.fill("because")
        api.call("POST", "/api/improvements/pause", {})
        expect(page.locator("#state")).to_contain_text("paused")
        expect(reason).to_have_value("because")
        api.call("POST", "/api/improvements/resume", {})
        expect(page.locator("#state")).not_to_contain_text("paused")


def forged(checks, watched, api, made):
    """A form that is not ours is refused with a page."""
    with checks.flow("a form without its token is refused"):
        address = f"/improvements/{made['approved']}/rollback"
        answer = watched.page.request.post(watched.origin + address, form={"reason": "x"})
        assert answer.status == 403 and "text/html" in answer.headers["content-type"], answer.status
        watched.open(f"/improvements/{made['approved']}")
        watched.expected.add((403, address))
        watched.page.evaluate("document.querySelectorAll('[name=form_token]').forEach((one) => { one.value = 'x'; })")
        watched.page.get_by_role("button", name="Roll back", exact=True).click()
        expect(watched.page.locator("h1")).to_be_visible()
        assert api.call("GET", f"/api/improvements/{made['approved']}")["status"] == "testing"


def lost(checks, watched):
    """Pages that do not exist say so, as pages."""
    for path in ("/improvements/999999", "/improvements/x", "/entities/agent/999999", "/tasks/nothing", "/nowhere"):
        answer = watched.page.request.get(watched.origin + path, headers={"accept": "text/html"})
        known = answer.status in (400, 404, 422)
        checks.that(f"{path} is not found", known and "<script>" not in answer.text(), f"{answer.status}")


def main(program, origin):
    checks = Checks()
    with browser(program) as opened:
        api = Api(opened, origin)
        made, opportunity = prepare(api)
        watched = Watched(context(opened), origin)
        decide(checks, watched, api, made)
        dismiss(checks, watched, api, opportunity)
        settings(checks, watched, api)
        live(checks, watched, api)
        forged(checks, watched, api, made)
        lost(checks, watched)
        wrong = watched.take_wrong()
        checks.that("nothing broke on the way", not wrong, "; ".join(wrong))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
