// Copy buttons, remembered tabs, filter, and the live log. Every page works without this script.
"use strict";

const aloud = document.getElementById("aloud");

function announce(text) {
  if (aloud) {
    aloud.textContent = "";
    setTimeout(() => { aloud.textContent = text; }, 50);
  }
}

// Copy: the text of the button's target, or of the code before it.
function textToCopy(button) {
  if (button.dataset.copy) return button.dataset.copy;
  const target = button.dataset.from ? document.getElementById(button.dataset.from) : button.previousElementSibling;
  return target ? target.textContent : "";
}

function select(element) {
  if (element.select) {
    element.select();
    return;
  }
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(button) {
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(textToCopy(button));
  } catch {
    const target = button.dataset.from ? document.getElementById(button.dataset.from) : button.previousElementSibling;
    if (target) select(target);
    said = "Press Ctrl+C";
  }
  button.textContent = said;
  button.classList.add("done");
  announce(said);
  setTimeout(() => {
    button.textContent = label;
    button.classList.remove("done");
  }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

// Tabs: remember the choice in this browser.
function storage(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // Storage may be switched off.
  }
  return null;
}

for (const tabs of document.querySelectorAll(".tabs[data-tabs]")) {
  const name = `entra-emulator-tabs-${tabs.dataset.tabs}`;
  const inputs = [...tabs.querySelectorAll(":scope > input")];
  const remembered = inputs.find((input) => input.value === storage(name));
  if (remembered) remembered.checked = true;
  tabs.addEventListener("change", (event) => {
    if (inputs.includes(event.target)) storage(name, event.target.value);
  });
}

// Filter: hide what does not contain the text. `/` moves to the filter.
const filter = document.querySelector("[data-filter]");

function applyFilter() {
  const wanted = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const row of document.querySelectorAll("[data-row]")) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    if (!row.hidden) shown += 1;
  }
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("[data-row]:not([hidden])");
  }
  const nothing = document.querySelector("[data-nothing]");
  if (nothing) {
    nothing.hidden = shown > 0;
    const word = nothing.querySelector("[data-wanted]");
    if (word) word.textContent = filter.value.trim();
  }
  announce(`${shown} shown`);
}

if (filter) {
  if (document.querySelector("[data-row]")) {
    filter.addEventListener("input", applyFilter);
    if (filter.value) applyFilter();
    filter.form?.addEventListener("submit", (event) => event.preventDefault());
    document.querySelector("[data-clear]")?.addEventListener("click", (event) => {
      event.preventDefault();
      filter.value = "";
      applyFilter();
      filter.focus();
    });
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
      filter.select();
    }
  });
}

// Menus close with Escape and by a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector("details.menu[open], details.confirm[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// The first thing that needs attention: an error summary or a secret shown once.
document.querySelector("[data-focus]")?.focus();

// Live log: fetch newer rows every 2 seconds, unless the tab is hidden, paused, or a row is open.
const live = document.querySelector("[data-live]");

if (live) {
  const lost = document.querySelector("[data-live-lost]");
  const pause = document.querySelector("[data-live-pause]");
  let after = live.dataset.after ?? "";
  let paused = false;
  let unsaid = 0;
  let lastSaid = 0;

  const poll = async () => {
    if (document.hidden || paused || live.querySelector("details[open]")) return;
    try {
      const address = new URL(live.dataset.live, location.href);
      address.searchParams.set("after", after);
      const response = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      lost.hidden = true;
      after = response.headers.get("x-last") ?? after;
      if (response.status === 204) return;
      live.insertAdjacentHTML("afterbegin", await response.text());
      const fresh = Number(response.headers.get("x-count") ?? 1);
      [...live.children].slice(0, fresh).forEach((row) => row.classList.add("fresh"));
      [...live.children].slice(500).forEach((row) => row.remove());
      document.querySelector("[data-live-empty]")?.setAttribute("hidden", "");
      if (filter?.value) applyFilter();
      unsaid += fresh;
    } catch {
      lost.hidden = false;
    }
    if (unsaid && Date.now() - lastSaid > 5000) {
      announce(`${unsaid} new ${unsaid === 1 ? "request" : "requests"}`);
      unsaid = 0;
      lastSaid = Date.now();
    }
  };

  pause?.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
  });
  setInterval(poll, 2000);
}

// The overview notices when the emulator has stopped.
const stopped = document.querySelector("[data-stopped]");

if (stopped) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      await fetch(stopped.dataset.stopped, { method: "HEAD", cache: "no-store" });
      stopped.hidden = true;
    } catch {
      stopped.hidden = false;
    }
  }, 2000);
}

// A page that posts fields to a client by itself (response_mode=form_post).
document.querySelector("form[data-submit]")?.submit();

// A form of choices is sent when a choice changes.
for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.submit());
}

// An opened row of the activity gets its details from the server, once.
document.addEventListener("toggle", async (event) => {
  const row = event.target;
  if (!row.open || !row.dataset?.details) return;
  const address = row.dataset.details;
  delete row.dataset.details;
  try {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    if (response.ok) row.querySelector(".opened").innerHTML = await response.text();
  } catch {
    row.dataset.details = address;
  }
}, true);

// Copy a text that the server makes.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy-from]");
  if (!button) return;
  const label = button.textContent;
  try {
    const response = await fetch(button.dataset.copyFrom);
    await navigator.clipboard.writeText(await response.text());
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    location.href = button.dataset.copyFrom;
  }
  setTimeout(() => { button.textContent = label; }, 1500);
});

// A chosen file is read into a text field: it is sent as a form like any other.
for (const input of document.querySelectorAll("input[data-read-into]")) {
  input.addEventListener("change", async () => {
    const target = document.getElementById(input.dataset.readInto);
    if (input.files.length && target) target.value = await input.files[0].text();
  });
}

// A filter above a list of choices: hide what does not contain the text, and choose what is left.
for (const input of document.querySelectorAll("[data-filter-options]")) {
  const list = document.getElementById(input.dataset.filterOptions);
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    const found = [...list.options].filter((option) => {
      option.hidden = Boolean(wanted) && !option.textContent.toLowerCase().includes(wanted);
      return !option.hidden;
    });
    for (const group of list.querySelectorAll("optgroup")) group.hidden = !group.querySelector("option:not([hidden])");
    if (wanted && found.length && list.selectedOptions[0]?.hidden) list.value = found[0].value;
    announce(`${found.length} shown`);
  });
}
