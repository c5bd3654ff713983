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
  const press = (key) => {
    const button = shown()?.querySelector(`[data-key="${key}"]`);
    if (button) button.click();
    else if (!shown()) open();
  };
  const unfold = (key, field) => {
    const box = shown()?.querySelector(`[data-open="${key}"]`);
    if (!box) return;
    box.open = true;
    box.querySelector(field)?.focus();
  };
  const toggle = () => {
    const box = selected()?.querySelector("input[type=checkbox]");
    if (box) { box.checked = !box.checked; count(); }
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

  const keys = { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
    b: () => press("b"), a: () => press("a"), h: () => unfold("h", "button"), d: () => unfold("d", "input[name=reason]"), x: toggle, Escape: close,
    u: () => document.querySelector("[data-undo], [data-key=u]")?.click(), "?": () => at("keys")?.showModal() };
  // Keys that are pressed before the panel is there wait for it. Text goes into the field that they open.
  let waiting = null, request = null;
  const isForPanel = (event) => event.detail.target?.id === "panel";
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isForPanel(event)) { waiting ??= []; request = event.detail.xhr; }
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr === request) waiting = request = null;
  });
  const isText = (one) => one?.matches("input:not([type=checkbox]), textarea") && one.closest("#panel");
  const type = (field, key) => {
    if (key === "Enter") field.form?.requestSubmit();
    else if (key.length === 1) { field.value += key; field.dispatchEvent(new Event("input", { bubbles: true })); }
  };
  const replay = () => {
    const pressed = waiting || [];
    waiting = request = null;
    for (const key of pressed) {
      if (waiting) waiting.push(key); // a key before this one has opened another lead
      else if (isText(document.activeElement)) type(document.activeElement, key);
      else keys[key]?.();
    }
  };
  // In an open menu, the arrow keys move between its choices.
  const moveIn = (menu, step) => {
    const choices = [...menu.querySelectorAll("button")];
    choices[Math.min(Math.max(choices.indexOf(document.activeElement) + step, 0), choices.length - 1)]?.focus();
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const typing = target.closest("input:not([type=checkbox]), textarea, select, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing && shown()) { target.blur(); return; }
    if (!typing && waiting && event.key === "Escape") waiting = [];
    if (!typing && waiting && (event.key.length === 1 || event.key === "Enter" && waiting.length)) {
      event.preventDefault();
      waiting.push(event.key);
      return;
    }
    if (typing || !keys[event.key]) return;
    const menu = event.key.startsWith("Arrow") && target.closest("details[open]");
    if (menu) {
      if (!menu.matches("[data-open=h]")) return;
      event.preventDefault();
      moveIn(menu, event.key === "ArrowDown" ? 1 : -1);
      return;
    }
    if (event.key.startsWith("Arrow") && !at("leads")) return;
    event.preventDefault();
    keys[event.key]();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#panel [data-close]")) { event.preventDefault(); close(); return; }
    const row = event.target.closest("#leads .lead");
    if (row && event.target.closest(".name")) select(row);
  });

  const faultIn = (root) => root?.querySelector(
    "input[aria-invalid], select[aria-invalid], textarea[aria-invalid], fieldset[aria-invalid] input[type=checkbox]"
  ) || root?.querySelector("[role=alert]");

  // After a swap: focus the error, else the panel, and mark the row of the lead that is shown.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "panel") return;
    const panel = at("panel");
    const fault = faultIn(panel);
    const lead = panel.querySelector("[data-panel]")?.dataset.panel;
    select(document.querySelector(`#leads [data-lead="${lead}"]`));
    if (fault) fault.focus();
    else panel.focus({ preventScroll: true });
    panel.scrollTop = 0;
    count();
    if (event.detail.xhr === request) replay();
  });
  document.addEventListener("DOMContentLoaded", () => {
    count();
    faultIn(document.querySelector(".lead-page"))?.focus();
  });
})();
