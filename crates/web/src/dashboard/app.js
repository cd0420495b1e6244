// Keeps the parts of a page that are marked as live up to date. Without it, pages are the same and stand still.
"use strict";
(() => {
  const status = document.getElementById("link");
  let source = null;
  let tag = '""';
  let busy = false;
  let again = false;

  const say = (words) => {
    if (status && status.textContent !== words) status.textContent = words;
  };

  // A part in which somebody writes, or has marked something, is left alone until they are done.
  const inUse = (part) => {
    const active = document.activeElement;
    if (active && part.contains(active) && active.matches("input, select, textarea")) return true;
    for (const field of part.querySelectorAll("input, textarea")) {
      if (field.type !== "hidden" && (field.value !== field.defaultValue || field.checked !== field.defaultChecked)) return true;
    }
    const marked = document.getSelection();
    return Boolean(marked && !marked.isCollapsed && part.contains(marked.anchorNode));
  };

  const place = (element, part) => {
    const path = [];
    for (let at = element; at && at !== part; at = at.parentElement) {
      path.unshift([...at.parentElement.children].indexOf(at));
    }
    return path;
  };
  const follow = (path, part) => path.reduce((at, index) => at && at.children[index], part);

  const exchange = (fresh) => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const part = old.id && fresh.getElementById(old.id);
      if (!part || part.innerHTML === old.dataset.was || inUse(old)) continue;
      const was = part.innerHTML;
      const open = [...old.querySelectorAll("details[open]")].map((one) => place(one, old));
      const scrolled = [...old.querySelectorAll(".wide, pre")].filter((one) => one.scrollLeft || one.scrollTop)
        .map((one) => [place(one, old), one.scrollLeft, one.scrollTop]);
      const focus = old.contains(document.activeElement) ? place(document.activeElement, old) : null;
      const adopted = document.adoptNode(part);
      old.replaceChildren(...adopted.childNodes);
      old.dataset.was = was;
      for (const path of open) {
        const one = follow(path, old);
        if (one && one.tagName === "DETAILS") one.open = true;
      }
      for (const [path, left, top] of scrolled) {
        const one = follow(path, old);
        if (one) one.scrollTo(left, top);
      }
      if (focus) {
        const one = follow(focus, old);
        if (one && one.focus) one.focus({ preventScroll: true });
      }
    }
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "If-None-Match": tag }, cache: "no-store", redirect: "error" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag") || '""';
        exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
      say("Live.");
    } catch {
      say("Not connected: what is shown may be old.");
    } finally {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource("/ui/changes");
    source.addEventListener("open", () => say("Live."));
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      say("Not connected: what is shown may be old.");
      // The browser tries again by itself, unless the server said no for good.
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(listen, 5000);
      }
    });
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (source) source.close();
      source = null;
    } else {
      refresh();
      listen();
    }
  });
  // Where the pages do not fit into a row, the one that is open is in sight.
  const current = document.querySelector("header nav [aria-current]");
  if (current) current.scrollIntoView({ block: "nearest", inline: "nearest" });
  // The word of what was done is said once, not again when the page is loaded anew.
  const address = new URL(location.href);
  if (address.searchParams.has("done")) {
    address.searchParams.delete("done");
    history.replaceState(null, "", address);
  }
  if (document.querySelector("[data-live]")) listen();
})();
