"""Pictures of the main pages.

screenshots.py CHROMIUM URL FOLDER
"""

import pathlib
import sys

from harness import Checks, Watched, browser, context

# Largest picture, bytes.
MOST = 200_000


def chosen(api):
    """Pages by the names of their pictures: what was kept, because its history has all there is to show, and what took
    most steps."""
    improvements = api("/api/improvements?limit=100")["items"]
    best = ("deployed", "instruction_update")
    kept = max(improvements, key=lambda one: ((one["status"], one["improvement_type"]) == best, one["status"] == best[0], -one["id"]))
    tasks = api("/api/tasks?limit=200")["items"]
    task = max(tasks, key=lambda one: (one["errors"] > 0, one["events"], one["task_id"]))
    return {
        "overview": "/",
        "improvement": f"/improvements/{kept['id']}",
        "opportunities": "/opportunities",
        "trace": f"/tasks/{task['task_id']}",
        "entity": f"/entities/{kept['entity_type']}/{kept['entity_id']}",
        "analytics": "/analytics",
    }


def main(program, origin, folder):
    checks = Checks()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with browser(program) as opened:
        request = opened.new_context().request
        pages = chosen(lambda path: request.get(origin + path).json())
        pictures = [(name, name, path, False) for name, path in pages.items()] + [("overview", "overview-dark", "/", True)]
        for place, name, path, dark in pictures:
            made = context(opened, dark=dark)
            # Nothing moves, and nothing is exchanged, while a picture is made.
            made.add_init_script("window.EventSource = class { addEventListener() {} close() {} }")
            watched = Watched(made, origin)
            status = watched.open(path)
            watched.page.evaluate("document.fonts.ready")
            picture = watched.page.screenshot(animations="disabled", caret="hide", scale="css")
            wrong = watched.take_wrong()
            checks.that(f"{name} shows {place} ({len(picture) // 1000} KB)", status == 200 and not wrong, f"{status} {wrong}")
            if checks.that(f"{name} is small", len(picture) <= MOST, f"{len(picture)} bytes, at most {MOST}"):
                (folder / f"{name}.png").write_bytes(picture)
            made.close()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
