// Work through leads by keyboard, in a panel beside the list. Without script, links and forms do the same.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const rows = () => [...document.querySelectorAll("#leads .lead")];
  let current = null;

  const select = (row) => {
    if (!row) return;
    rows().forEach((one) => one.classList.toggle("current", one === row));
    current = row.id;
    row.scrollIntoView({ block: "nearest" });
  };
  const selected = () => (current && at(current)) || null;
  const move = (step) => {
    const all = rows();
    const place = all.indexOf(selected());
    select(all[place < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(place + step, 0), all.length - 1)]);
    selected()?.querySelector(".name")?.focus({ preventScroll: true });
    if (document.querySelector("#panel [data-panel]")) open();
  };
  const open = () => selected()?.querySelector(".name")?.click();
  const shown = () => document.querySelector("#panel [data-panel], .lead-page");
  const sayViewOnly = () => shown().querySelector("[data-view-only]")?.focus();
  const press = (key) => {
    const button = shown().querySelector(`[data-key="${key}"]`);
    if (button) button.click(); else sayViewOnly();
  };
  const unfold = (key, field) => {
    const box = shown().querySelector(`[data-open="${key}"]`);
    if (!box) { ignoreTyping(); sayViewOnly(); return; }
    box.open = true;
    box.querySelector(field)?.focus();
  };
  const say = (text) => {
    document.querySelector(".toast[data-hint]")?.remove();
    const hint = document.createElement("div");
    hint.className = "notice toast good";
    hint.dataset.hint = hint.dataset.shown = "1";
    hint.textContent = text;
    at("toasts").append(hint);
    setTimeout(() => hint.remove(), 8000);
  };
  // Say why a key has no effect if no row, or a row of several leads, is selected. Else return false.
  const explain = () => {
    const row = selected();
    if (!rows().length || row && !row.dataset.leads) return false;
    say(row ? "This row is several leads. Press Enter to open it." : "Press J or K to select a lead first.");
    return true;
  };
  const toggle = () => {
    const box = selected()?.querySelector("input[type=checkbox]");
    if (box) { box.checked = !box.checked; count(); } else explain();
  };
  const undo = () => {
    const button = document.querySelector("[data-undo], [data-key=u]");
    if (button) button.click(); else say("There is nothing to undo.");
  };
  const close = () => {
    const panel = at("panel");
    if (panel) panel.innerHTML = '<div class="panel-empty soft">Select a lead to see it here.</div>';
    selected()?.querySelector(".name")?.focus();
  };

  // Bulk selection.
  let loaded = 0;
  const count = () => {
    const left = rows().reduce((sum, row) => sum + Number(row.dataset.leads || 1), 0), total = at("row-count");
    loaded = Math.max(loaded, left);
    if (total && left < loaded) {
      const first = Number(total.dataset.first), found = Number(total.dataset.found) - (loaded - left);
      total.textContent = left ? `${first}–${first + left - 1} of ${found.toLocaleString("en-US")}` : "";
    }
    const bar = at("bulk-bar");
    if (!bar) return;
    const boxes = [...document.querySelectorAll("#leads input[name=ids]")];
    bar.hidden = !boxes.length;
    const number = boxes.filter((box) => box.checked).length;
    const all = at("all");
    all.hidden = false;
    all.checked = number > 0 && number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
    at("bulk-count").textContent = number ? `${number} selected` : `Select ${boxes.length === 1 ? "1 lead" : `${boxes.length} leads`}`;
    bar.classList.toggle("active", number > 0);
    bar.querySelectorAll("button, .pair").forEach((one) => { one.hidden = !number; });
  };
  document.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      document.querySelectorAll("#leads input[name=ids]").forEach((box) => { box.checked = event.target.checked; });
    }
    if (event.target.id === "all" || event.target.name === "ids") count();
  });

  const keys = { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), x: toggle, Escape: close,
    u: undo, "?": () => at("keys")?.showModal() };
  const leadKeys = { a: () => press("a"), b: () => press("b"), d: () => unfold("d", "input[name=reason]"), h: () => unfold("h", "button") };
  const isMove = (key) => key === "j" || key === "k" || key.startsWith("Arrow");
  const isField = (one) => one?.closest("input:not([type=checkbox]), textarea, select, dialog");

  // Keys that act on a lead wait until it is shown, with all that follow: they may be text for a field that the
  // first one opens. If that takes too long, fails, or the user does something else, none of them acts, and
  // neither does the rest of what is being typed.
  const PATIENCE_MS = 5000, PAUSE_MS = 1000;
  let request = null, isSending = false, isSwapped = false, waiting = [], pressedAt = 0, ignoredUntil = 0;
  const ignoreTyping = () => { waiting = []; ignoredUntil = pressedAt + PAUSE_MS; };
  const isLate = (now) => waiting.length > 0 && now - waiting[0].at > PATIENCE_MS;
  const mayWait = (key) => waiting.length ? key.length === 1 || isMove(key) || key === "Enter" || key === "Backspace"
    : key in leadKeys || isSending && isMove(key);
  const leadShown = () => document.querySelector("#panel [data-panel]")?.dataset.panel;
  // A second B, while the first one is being sent, must not book the next lead, which nobody has seen.
  const wait = (pressed) => {
    const isForThis = isSending && !waiting.some((one) => isMove(one.key));
    waiting.push({ ...pressed, onlyFor: isForThis && pressed.key === "b" ? leadShown() : null });
  };
  const endRequest = () => { request = null; at("panel").ariaBusy = "false"; };
  const isForPanel = (event) => event.detail.target?.id === "panel";
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isForPanel(event)) return;
    request = event.detail.xhr;
    isSwapped = false;
    isSending = event.detail.requestConfig.verb !== "get";
    at("panel").ariaBusy = "true";
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr !== request || isSwapped) return; // the new panel works once it has settled
    endRequest();
    if (waiting.length) ignoreTyping();
  });
  const type = (field, key) => {
    if (key === "Enter") { field.form?.requestSubmit(); return; }
    if (key === "Backspace") field.value = field.value.slice(0, -1);
    else if (key.length === 1) field.value += key;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const replay = () => {
    endRequest();
    if (isLate(performance.now())) { ignoreTyping(); return; }
    const pressed = waiting;
    waiting = [];
    for (const one of pressed) {
      const focus = document.activeElement;
      if (request) wait(one); // a key before this one has opened another lead
      else if (focus.matches("input:not([type=checkbox]), textarea")) type(focus, one.key);
      else if (one.key === "Enter" && focus.closest("details[data-open]")) focus.click();
      else if (!one.onlyFor || one.onlyFor === leadShown()) act(one, focus);
    }
  };
  // In an open menu, the arrow keys move between its choices, and Escape closes it.
  const inMenu = (menu, key) => {
    const choices = [...menu.querySelectorAll("button")];
    const place = choices.indexOf(document.activeElement) + (key === "ArrowDown" ? 1 : -1);
    if (key !== "Escape") { choices[Math.min(Math.max(place, 0), choices.length - 1)]?.focus(); return; }
    menu.open = false;
    menu.querySelector("summary").focus();
  };
  // Do what a key is for. Return false if it is left to the browser.
  const act = (pressed, focus) => {
    const { key, isRepeated } = pressed;
    const menu = (key.startsWith("Arrow") || key === "Escape") && focus.closest("details[data-open][open]");
    if (menu) { inMenu(menu, key); return true; }
    if (key.startsWith("Arrow") && (!at("leads") || focus.closest("details[open]"))) return false;
    if (isRepeated && !isMove(key)) return true;
    if (leadKeys[key] && !shown()) {
      if (explain()) { if (key === "d") ignoreTyping(); return true; }
      open();
      if (request && key !== "b") wait(pressed); // a lead is seen before it is booked
      else if (key === "d") ignoreTyping();
      return true;
    }
    const does = leadKeys[key] || keys[key];
    does?.();
    return Boolean(does);
  };

  document.addEventListener("keydown", (event) => {
    const { key, target, timeStamp } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || key === "Shift") return;
    if (isField(target)) {
      if (key === "Escape" && shown()) target.blur();
      return;
    }
    const isTyping = timeStamp - pressedAt < PAUSE_MS;
    pressedAt = timeStamp;
    if (isLate(timeStamp)) { if (isTyping) ignoreTyping(); else waiting = []; }
    if (key === "Escape" || key === "Tab") { waiting = []; ignoredUntil = 0; }
    const isIgnored = timeStamp < ignoredUntil;
    if (isIgnored) ignoredUntil = timeStamp + PAUSE_MS;
    const pressed = { key, at: timeStamp, isRepeated: event.repeat };
    if (!isIgnored && request && mayWait(key)) wait(pressed);
    else if (!isIgnored && !act(pressed, target)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  document.addEventListener("pointerdown", () => { waiting = []; });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#panel [data-close]")) { event.preventDefault(); close(); return; }
    const row = event.target.closest("#leads .lead");
    if (row && event.target.closest(".name")) select(row);
  });

  const faultIn = (root) => root?.querySelector(
    "input[aria-invalid], select[aria-invalid], textarea[aria-invalid], fieldset[aria-invalid] input[type=checkbox]"
  ) || root?.querySelector("[role=alert]");

  document.addEventListener("htmx:afterSettle", (event) => {
    if (isForPanel(event) && event.detail.xhr === request) replay();
  });
  // After a swap: focus the error, else the panel, and mark the row of the lead that is shown.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!isForPanel(event)) return;
    isSwapped ||= event.detail.xhr === request;
    const panel = at("panel");
    const fault = event.detail.requestConfig.verb !== "get" && faultIn(panel);
    const lead = panel.querySelector("[data-panel]")?.dataset.panel;
    select(document.querySelector(`#leads [data-lead="${lead}"]`));
    panel.scrollTop = 0;
    count();
    if (isField(document.activeElement)) return; // the user is typing elsewhere, such as into the search box
    if (fault) { fault.focus(); ignoreTyping(); }
    else panel.focus({ preventScroll: true });
  });
  document.addEventListener("DOMContentLoaded", () => {
    count();
    faultIn(document.querySelector(".lead-page"))?.focus();
    // After an undo, the lead is shown again in the list.
    const back = /^#row-\d+$/.test(location.hash) && document.querySelector(`#leads ${location.hash}`);
    if (back) { select(back); open(); }
  });
})();
