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
})();
