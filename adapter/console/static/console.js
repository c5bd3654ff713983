// What every page needs of script: the reader's time zone, the search key, and drafts that survive a session.
(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  if (/^[\w+\-/]+$/.test(zone)) {
    document.cookie = `console_zone=${zone}; path=/console; max-age=31536000; samesite=lax` + (location.protocol === "https:" ? "; secure" : "");
  }
  const isTyping = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const find = document.getElementById("find");
    if (event.key === "/" && find) {
      event.preventDefault();
      find.focus();
      find.select();
    }
  });

  // Drafts: what is typed into a lead's form survives a session that ends, until it is sent or the tab is closed.
  const formKey = (form) => form.dataset.draft && `draft ${form.dataset.draft}`;
  const versionOf = (form) => form.querySelector("[name=version]")?.value || "";
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-draft]");
    if (!form) return;
    const values = [...new FormData(form)].filter(([name]) => !["csrf", "version", "zone", "list"].includes(name));
    sessionStorage.setItem(formKey(form), JSON.stringify({ version: versionOf(form), values }));
  });
  const restore = (root) => {
    for (const form of root.querySelectorAll("form[data-draft]")) {
      const saved = JSON.parse(sessionStorage.getItem(formKey(form)) || "null");
      if (!saved || saved.version !== versionOf(form)) { sessionStorage.removeItem(formKey(form)); continue; }
      let changed = false;
      const names = new Set(saved.values.map(([name]) => name));
      for (const field of form.elements) {
        if (!field.name || field.type === "hidden" || field.tagName === "BUTTON") continue;
        const values = saved.values.filter(([name]) => name === field.name).map(([, value]) => value);
        if (field.type === "checkbox") {
          if (field.checked !== values.includes(field.value)) { field.checked = !field.checked; changed = true; }
        } else if (names.has(field.name) && field.value !== values[0]) { field.value = values[0]; changed = true; }
      }
      if (changed && !document.querySelector("main [role=alert]")) form.insertAdjacentHTML("afterbegin", '<p class="notice warn small" role="status">What you typed before is back.</p>');
    }
  };

  // Free times: a click fills in the date and time. Without script, the link loads the page with them.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-fill]");
    const field = link && document.getElementById(link.dataset.fill);
    if (!field || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = link.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });

  // A required box that is not checked says what to do, instead of the browser's own words.
  document.addEventListener("invalid", (event) => {
    if (event.target.dataset.say) event.target.setCustomValidity(event.target.dataset.say);
  }, true);
  document.addEventListener("change", (event) => {
    if (event.target.dataset?.say) event.target.setCustomValidity("");
  });

  // Toasts: a countdown on Undo. Good news goes by itself; anything else stays until it is closed.
  const READ_SECONDS = 8;
  const countDown = () => {
    for (const toast of document.querySelectorAll(".toast:not([data-shown])")) {
      toast.dataset.shown = "1";
      const seconds = Number(toast.querySelector("form[data-seconds]")?.dataset.seconds || 0);
      if (toast.matches(".good")) { setTimeout(() => toast.remove(), (Math.max(seconds, READ_SECONDS) + 2) * 1000); continue; }
      toast.insertAdjacentHTML("beforeend", '<button class="bare" type="button" aria-label="Close">✕</button>');
      toast.lastElementChild.addEventListener("click", () => toast.remove());
    }
    for (const form of document.querySelectorAll("form[data-seconds]:not([data-running])")) {
      form.dataset.running = "1";
      let left = Number(form.dataset.seconds);
      const tick = () => {
        if (!form.isConnected) return;
        if (left <= 0) { form.remove(); return; }
        form.querySelector("[data-left]").textContent = ` (${left} s)`;
        left -= 1;
        setTimeout(tick, 1000);
      };
      tick();
    }
  };
  // Buttons that copy the text of another element. Without script, or without TLS, they are hidden.
  const showCopy = () => {
    if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach((one) => { one.hidden = false; });
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.lastChild.textContent = "Copied";
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches(".who")) sessionStorage.clear();
  });
  const ready = () => { restore(document); countDown(); showCopy(); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready); else ready();
  document.addEventListener("htmx:load", (event) => { restore(event.detail.elt); countDown(); });
})();
