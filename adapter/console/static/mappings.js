// The mapping editor: line numbers, marks for errors and changes, and drafts that survive a session.
(() => {
  "use strict";
  const form = document.getElementById("try");
  const editor = document.getElementById("mapping"), gutter = document.getElementById("gutter");
  const original = document.getElementById("current").value;
  const key = `mapping-draft:${form.dataset.source}`;

  const errorLines = () => new Set([...document.querySelectorAll(".problem")].map((one) => Number(one.dataset.line)));

  // A line counts as changed if the mapping in use has fewer lines like it.
  const changedLines = (lines) => {
    const left = new Map();
    for (const line of original.split("\n")) left.set(line, (left.get(line) || 0) + 1);
    return lines.map((line) => {
      const count = left.get(line) || 0;
      left.set(line, count - 1);
      return count < 1;
    });
  };

  const draw = () => {
    const lines = editor.value.split("\n"), errors = errorLines(), changed = changedLines(lines);
    gutter.replaceChildren(...lines.map((_, at) => {
      const row = document.createElement("span");
      row.textContent = at + 1;
      if (changed[at]) row.classList.add("changed");
      if (errors.has(at + 1)) row.classList.add("error");
      return row;
    }));
    gutter.scrollTop = editor.scrollTop;
  };

  // A suggested edit that is filled in is not the user's work.
  const start = form.hasAttribute("data-suggested") ? editor.value : original;
  const isDirty = () => editor.value !== start;
  let isLeaving = false;
  editor.addEventListener("scroll", () => { gutter.scrollTop = editor.scrollTop; });
  const keep = () => {
    if (isDirty()) localStorage.setItem(key, editor.value);
    else localStorage.removeItem(key);
  };
  editor.addEventListener("input", () => {
    // The results are about the text before this edit.
    document.getElementById("backtest")?.remove();
    document.getElementById("checks")?.replaceChildren();
    draw();
    keep();
  });
  document.body.addEventListener("htmx:afterSwap", draw);
  form.addEventListener("submit", () => { isLeaving = true; });
  addEventListener("pageshow", () => { isLeaving = false; });
  addEventListener("beforeunload", (event) => {
    if (isDirty() && !isLeaving) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const problem = event.target.closest(".problem");
    if (!problem) return;
    const lines = editor.value.split("\n").slice(0, Number(problem.dataset.line) - 1);
    const start = lines.join("\n").length + (lines.length ? 1 : 0);
    editor.focus();
    editor.setSelectionRange(start, start);
  });

  if (form.hasAttribute("data-done")) localStorage.removeItem(key);
  // The answer to a form contains the text that was sent, which is newer than any draft.
  if (form.hasAttribute("data-newer")) keep();
  const draft = localStorage.getItem(key), bar = document.getElementById("draft-bar");
  if (draft !== null && draft !== editor.value && draft !== original) {
    bar.hidden = false;
    document.getElementById("draft-restore").addEventListener("click", () => {
      editor.value = draft;
      bar.hidden = true;
      editor.dispatchEvent(new Event("input", { bubbles: true }));
    });
    document.getElementById("draft-discard").addEventListener("click", () => {
      localStorage.removeItem(key);
      bar.hidden = true;
    });
  }
  draw();
  if (form.hasAttribute("data-suggested")) {
    const changed = gutter.querySelector(".changed");
    if (changed) editor.scrollTop = changed.offsetTop - gutter.offsetTop - 100;
  }
  // The first value that the mapping does not read, which may be far down in the message.
  const message = document.querySelector(".payload"), unread = message?.querySelector(".unread");
  if (unread) {
    const at = unread.getBoundingClientRect().top - message.getBoundingClientRect().top;
    if (at > message.clientHeight - 40) message.scrollTop += at - 60;
  }
  document.getElementById("backtest")?.scrollIntoView();
})();
