// What a page adds where scripts run: live refreshes, forms that change a page in place, painting, copying.
// Every page works without it.
(() => {
  "use strict";

  const SHOWN_MS = 400, HIDDEN_MS = 2000; // between two refreshes; more where one takes long
  const kinds = document.body.dataset.live.split(" ").filter(Boolean);
  const heading = document.body.dataset.heading;
  const find = (selector) => document.querySelector(selector);
  let address = location.pathname + location.search; // what a refresh asks for

  // ---- refresh: the bar, or the whole page, morphed so that focus, selection and open details stay ----

  let timer = null, running = null, whole = false, stale = false, last = 0, took = 0, held = false, stopped = false;

  function changed(kind) {
    whole ||= kind === "all" || kinds.includes(kind);
    stale = true;
    if (timer === null && running === null) {
      const gap = Math.max(document.hidden ? HIDDEN_MS : SHOWN_MS, 4 * took);
      timer = setTimeout(refresh, Math.max(0, last + gap - performance.now()));
    }
  }

  function refresh() {
    clearTimeout(timer);
    timer = null;
    if (held || stopped) return null; // a press is on its way: what is pressed must not move
    running ??= load().finally(() => {
      running = null;
      if (stale) changed("");
    });
    return running;
  }

  async function load() {
    const all = whole && !document.hidden;
    if (all) whole = false;
    stale = false;
    last = performance.now();
    const target = all ? "#page" : "#bar";
    const path = all ? address : `/bar?here=${encodeURIComponent(address)}`;
    await htmx.ajax("GET", path, { target, select: target, swap: "outerMorph" });
    took = performance.now() - last;
    const bar = find("#bar");
    document.title = (bar?.dataset.progress ?? "") + heading;
    tell(bar?.dataset.announcement ?? "");
    enhance();
    if (all) document.dispatchEvent(new Event("refreshed"));
  }

  const HELD_MS = 3000; // a list that opens, or a drag out of the window, may swallow the end of a press
  let letGo = null;
  function release() {
    clearTimeout(letGo);
    held = false;
    if (stale || whole) setTimeout(() => changed(""), 0);
  }
  document.addEventListener("pointerdown", () => {
    held = true;
    clearTimeout(letGo);
    letGo = setTimeout(release, HELD_MS);
  });
  for (const end of ["pointerup", "pointercancel", "dragend"]) document.addEventListener(end, release);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && (whole || stale)) changed(""); });

  let announced = find("#bar")?.dataset.announcement ?? "";
  function tell(sentence) { // done, failed and needs-you only: never percentages
    if (sentence !== announced) find("#told").textContent = announced = sentence;
  }

  // ---- live: one EventSource for all tabs of the browser; its tab holds a lock and passes the news on ----

  const channel = new BroadcastChannel("flowhub");
  let down = false;

  function heard(news) {
    if (news.up !== undefined) connection(news.up, news.at);
    if (news.kind) changed(news.kind);
  }

  function pass(news) {
    heard(news);
    channel.postMessage(news);
  }

  function connection(up, at) {
    const line = find("#lost");
    if (up && down) changed("all");
    else if (up) changed(kinds[0] ?? ""); // what changed between the page's making and the stream's opening
    down = !up;
    if (!line) return;
    line.hidden = up;
    if (!up && !line.textContent) line.textContent = `Connection lost at ${at}. Trying again.`;
    if (up) line.textContent = "";
  }

  function connect() {
    const source = new EventSource("/api/v1/events");
    source.onopen = () => pass({ up: true });
    source.onerror = () => {
      pass({ up: false, at: new Date().toLocaleTimeString() });
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
    };
    for (const kind of ["job", "installed", "controls"]) source.addEventListener(kind, () => pass({ kind }));
  }

  channel.onmessage = (message) => heard(message.data);
  changed(kinds[0] ?? ""); // another tab's stream may be open already
  if (find("#bar")) {
    if (navigator.locks) navigator.locks.request("flowhub-events", () => { connect(); return new Promise(() => {}); });
    else setInterval(() => changed("all"), 5000); // plain http from another machine: browsers have no locks there
  }

  const every = 1000 * document.body.dataset.every; // for a page that shows what makes no event
  if (every) setInterval(() => { if (!document.hidden) changed("all"); }, every);

  // ---- forms: sent in place; an error is shown in the page's stead ----

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || !form.closest("#page")) return;
    event.preventDefault();
    send(form, new URLSearchParams(new FormData(form, event.submitter)));
  });

  async function send(form, fields) {
    if (form.ariaBusy) return; // once, however often the button is pressed
    form.ariaBusy = "true"; // shown: a source that is asked, or a slow network, may take seconds
    const row = form.closest("[id^=job-]")?.id;
    try {
      const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "text/html" } });
      const next = new URL(answer.url);
      if (!answer.ok) return failed(await answer.text());
      if (next.pathname !== location.pathname) return location.assign(next);
      address = next.pathname + next.search;
      if (form.classList.contains("add")) form.reset();
      await running; // one that was asked for before the change
      whole = true;
      await refresh();
      if (document.activeElement === document.body) (row && find(`#${row} a, #${row} button`) || find("#main")).focus();
    } catch {
      connection(false, new Date().toLocaleTimeString());
    } finally {
      form.ariaBusy = null;
    }
  }

  function failed(text) {
    const page = new DOMParser().parseFromString(text, "text/html").querySelector("#page");
    if (!page) return location.reload();
    stopped = true;
    find("#page").replaceWith(document.adoptNode(page));
    find("#main").focus();
  }

  // ---- filters: applied as they change; the address follows, so that it can be kept and sent ----

  let typing = null;
  function apply(form) {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(fields).toString();
    address = form.getAttribute("action") + (query ? `?${query}` : "");
    history.replaceState(null, "", address);
    changed("all");
  }
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input.id === "context" && input.type === "range") {
      const tokens = `${(2 ** input.value).toLocaleString("en")} tokens`;
      find("#tokens").textContent = tokens;
      input.setAttribute("aria-valuetext", tokens);
    }
    if (input.type !== "search" || /[:/]/.test(input.value)) return; // a reference or a link: when it is sent
    clearTimeout(typing);
    typing = setTimeout(() => apply(input.form), 250);
  });
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form?.id === "filters" && event.target.type !== "search") apply(form);
    if (form?.classList.contains("context")) form.requestSubmit();
    if (form?.classList.contains("variants-form")) command(form);
  });

  // ---- the equal command, and copying it ----

  const quoted = (text) => (/^[A-Za-z0-9_./:@,%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  function command(form) {
    const chosen = [...form.querySelectorAll("[name=ref]:checked")].map((box) => quoted(box.value));
    if (chosen.length) form.querySelector(".command code").textContent = ["flowhub enqueue", ...chosen].join(" ");
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    find("#told").textContent = "Copied.";
    button.firstChild.textContent = "Copied";
    setTimeout(() => { button.firstChild.textContent = "Copy"; }, 2000);
  });

  // ---- the queue's order: a row is dragged by its grip, or moved with the arrow keys ----

  const turns = () => [...document.querySelectorAll("[data-turn]")];
  let dragged = null, below = null; // the row under way; the row before which it would land, or the last one's end

  async function move(row, before) { // `before` is a row; null is the end
    const form = row.querySelector("form"), fields = new URLSearchParams(new FormData(form));
    fields.set("do", "move");
    fields.set("before", before?.dataset.turn ?? "");
    await send(form, fields);
    find(`#grip-${row.dataset.turn}`)?.focus({ preventScroll: true });
  }

  function mark(row) {
    for (const one of turns()) one.classList.remove("land-before", "land-after");
    below = row;
    if (dragged === null || row === undefined) return;
    if (row) row.classList.add("land-before");
    else turns().at(-1)?.classList.add("land-after");
  }

  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0) return;
    event.preventDefault();
    grip.focus({ preventScroll: true });
    dragged = grip.closest("[data-turn]").dataset.turn;
    grip.closest("[data-turn]").classList.add("dragged");
    mark(undefined);
  });
  document.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    clearTimeout(letGo); // nothing moves under a drag, however long it takes
    mark(turns().find((row) => {
      const box = row.getBoundingClientRect();
      return event.clientY < box.top + box.height / 2;
    }) ?? null);
  });
  function drop(event) {
    if (dragged === null) return;
    const row = find(`[data-turn="${dragged}"]`), before = below;
    const rows = turns(), next = rows[rows.indexOf(row) + 1] ?? null;
    dragged = null;
    mark(undefined);
    row?.classList.remove("dragged");
    if (event.type === "pointerup" && row && before !== undefined && before !== row && before !== next) move(row, before);
  }
  document.addEventListener("pointerup", drop);
  document.addEventListener("pointercancel", drop);
  document.addEventListener("keydown", (event) => {
    if (dragged !== null && event.key === "Escape") return drop(event);
    const step = event.target.matches?.(".grip") && { ArrowUp: -1, ArrowDown: 2 }[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = turns(), place = rows.indexOf(event.target.closest("[data-turn]"));
    const to = place + step;
    if (to >= 0 && to <= rows.length) move(rows[place], rows[to] ?? null);
  });

  // ---- the week: a drag checks every hour that it meets ----

  let brush = null;
  document.addEventListener("pointerdown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.pointerType === "touch") return;
    event.preventDefault();
    const box = cell.firstElementChild;
    brush = !box.checked;
    box.checked = brush;
    box.focus({ preventScroll: true });
  });
  document.addEventListener("pointerover", (event) => {
    const cell = brush === null ? null : event.target.closest(".cell");
    if (cell) cell.firstElementChild.checked = brush;
  });
  document.addEventListener("pointerup", () => { brush = null; });
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.addEventListener("keydown", (event) => {
    const step = event.target.closest?.(".cell") && STEPS[event.key];
    if (!step) return;
    const [day, hour] = event.target.value.split("-").map(Number);
    const next = find(`.cell [value="${day + step[0]}-${hour + step[1]}"]`);
    if (next) { event.preventDefault(); next.focus(); }
  });
  document.addEventListener("click", (event) => { // the press has checked it already; the keyboard's click has no detail
    if (event.target.closest(".cell") && event.detail > 0 && event.pointerType !== "touch") event.preventDefault();
  });

  document.documentElement.classList.add("scripted");
  function enhance() {
    if (navigator.clipboard) for (const button of document.querySelectorAll(".copy")) button.hidden = false;
    for (const button of document.querySelectorAll("form.context .apply")) button.hidden = true;
  }
  enhance();
})();
