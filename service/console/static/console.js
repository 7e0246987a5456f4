// Wires the page together.

import * as api from "./api.js";
import { byId } from "./dom.js";
import { explain } from "./errors.js";
import { createLibrary } from "./library.js";
import { createReader } from "./reader.js";
import { createSearch } from "./search.js";
import * as session from "./session.js";
import { createUploads, listenForFiles } from "./uploads.js";

let library = null;
const reader = createReader();
const search = createSearch({
  openHit: (hit) => reader.open({ id: hit.document_id, title: hit.title }, hit),
});
const uploads = createUploads(() => library);
library = createLibrary({
  openDocument: (document) => reader.open(document),
  upload: uploads.start,
  onTrouble: showNotice,
  onChange: search.learn,
});

function showNotice({ title, detail, fix }, retry) {
  byId("notice-title").textContent = title;
  byId("notice-fix").textContent = [detail, fix].filter(Boolean).join(" ");
  byId("notice-retry").onclick = () => {
    hideNotice();
    void retry();
  };
  byId("notice").hidden = false;
}

function hideNotice() {
  byId("notice").hidden = true;
}

function show(signedIn) {
  byId("app").hidden = !signedIn;
  byId("sign-out").hidden = !signedIn;
  byId("sign-in").hidden = signedIn;
}

/** Load the page for whoever holds the current key. */
async function enter() {
  hideNotice();
  show(true);
  const { query, mode } = session.questionFromAddress();
  // On a phone the focus would open the keyboard over half of the page.
  if (matchMedia("(pointer: fine)").matches) byId("query").focus({ preventScroll: true });
  try {
    await library.refresh();
  } catch (error) {
    if (error.status !== 401) showNotice(explain(error), enter);
    return;
  }
  if (query) await search.ask(query, mode);
}

/** Forget the key and everything it showed. */
function leave(reason = "") {
  session.forgetKey();
  uploads.clear();
  library.clear();
  search.clear();
  reader.close();
  hideNotice();
  session.keepQuestionInAddress("", "hybrid");
  show(false);
  showReason(reason);
  byId("key").value = "";
  byId("key").focus();
}

function showReason(reason) {
  byId("sign-in-reason").textContent = reason;
  byId("sign-in-reason").hidden = !reason;
}

async function signIn(event) {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (!session.isUsable(key)) return showReason("Paste the whole key; it begins with dsk_ and has no spaces.");
  try {
    await api.checkKey(key);
  } catch (error) {
    const { title, fix } = explain(error);
    return showReason(error.status === 401 ? "The server does not know this key. Copy it again, or make another one." : `${title} ${fix}`);
  }
  showReason("");
  session.keepKey(key);
  return enter();
}

function toggleTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  localStorage.setItem("docsearch.theme", next);
}

function onSlash(event) {
  const typing = event.target.closest?.("input, textarea, dialog");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
  event.preventDefault();
  byId("query").focus();
}

function start() {
  session.takeKeyFromAddress();
  if (session.currentKey()) void enter();
  else show(false);
}

api.whenRefused(() => leave("Your key no longer works: it was revoked or has expired. Sign in with another one."));
listenForFiles({ isOpen: () => !byId("app").hidden, add: uploads.add });
byId("theme").addEventListener("click", toggleTheme);
byId("sign-out").addEventListener("click", () => leave());
byId("sign-in-form").addEventListener("submit", signIn);
addEventListener("keydown", onSlash);
// The printed link, opened in a tab that already shows the page, only changes the fragment.
addEventListener("hashchange", () => {
  if (!session.takeKeyFromAddress()) return;
  library.clear();
  void enter();
});
// What happened elsewhere, such as `docsearch ingest` in a terminal, shows when somebody looks again.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && session.currentKey()) library.refresh().catch(() => {});
});
start();
