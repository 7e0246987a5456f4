// A document's extracted text, with a passage marked in its place.

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { explain } from "./errors.js";
import { pages, placeOf } from "./format.js";
import { pieces, toUtf16, toUtf16Ranges } from "./text.js";

// Sections let the browser lay out only what is on screen, so that a book opens as fast as a letter.
const SECTION_LENGTH = 4000;

export function createReader() {
  const dialog = byId("reader");
  let shown = null;
  let loading = null;

  /** document: {id, title, filename?}; hit: the passage to mark, or null to begin at the top. */
  async function open(document, hit = null) {
    loading?.abort();
    loading = new AbortController();
    shown = document;
    const { signal } = loading;
    byId("reader-title").textContent = document.title;
    byId("reader-place").textContent = hit ? [placeOf(hit), spanOf(hit)].filter(Boolean).join(" · ") : "";
    byId("reader-status").textContent = "Loading the text…";
    byId("reader-text").replaceChildren();
    if (!dialog.open) dialog.showModal();
    byId("reader-title").focus();
    try {
      const paged = (document.page_count ?? hit?.page_start ?? null) !== null;
      const chunks = paged ? api.getChunks(document.id, signal) : [];
      const [text, marked] = await Promise.all([api.getText(document.id, signal), chunks]);
      byId("reader-status").textContent = staleness(text, hit);
      show(text, marked, hit);
    } catch (error) {
      if (error.name !== "AbortError") showProblem(error);
    }
  }

  function show(text, chunks, hit) {
    const passage = hit ? toUtf16Ranges(text, [[hit.char_start, hit.char_end]]) : [];
    const inside = hit ? hit.highlights.map(([a, b]) => [a + hit.char_start, b + hit.char_start]) : [];
    const words = toUtf16Ranges(text, inside);
    const marks = pageMarks(text, chunks);
    byId("reader-text").classList.toggle("paged", marks.length > 0);
    byId("reader-text").replaceChildren(...sections(text, passage, words, marks));
    byId("reader-text").scrollTop = 0;
    byId("reader-text").querySelector(".passage")?.scrollIntoView({ block: "center" });
  }

  function showProblem(error) {
    const { title, detail, fix } = explain(error);
    byId("reader-status").textContent = [title, detail, fix].filter(Boolean).join(" ");
  }

  async function download() {
    try {
      const document = shown.filename ? shown : await api.getDocument(shown.id);
      save(await api.getOriginal(document.id), document.filename ?? `${document.title}.txt`);
    } catch (error) {
      showProblem(error);
    }
  }

  byId("reader-download").addEventListener("click", download);
  byId("reader-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => loading?.abort());
  return { open, close: () => dialog.close() };
}

const spanOf = (hit) => `characters ${hit.char_start}–${hit.char_end}`;

/** The text under the span must be the passage that was found; if not, the document changed since. */
function staleness(text, hit) {
  if (!hit) return "";
  const [start, end] = toUtf16(text, [hit.char_start, hit.char_end]);
  return text.slice(start, end) === hit.text ? "" : "This document has changed since the search. Search again.";
}

/**
 * Save bytes under a name. The type says "just bytes", and nothing navigates to them: an uploaded HTML file
 * must never run as a page of this origin, where the key is.
 */
function save(blob, filename) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  const link = el("a", { href: url, download: filename, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** [{at, label}] where the pages of the chunks change; at is a UTF-16 index. */
function pageMarks(text, chunks) {
  const marks = [];
  let last = "";
  for (const chunk of [...chunks].sort((a, b) => a.char_start - b.char_start)) {
    // A chunk that spans pages says so: where inside it the page turns is not known here.
    const label = pages(chunk.page_start, chunk.page_end);
    if (label && label !== last) marks.push({ offset: chunk.char_start, label });
    last = label;
  }
  const indexes = toUtf16(text, marks.map(({ offset }) => offset));
  return marks.map(({ label }, i) => ({ at: indexes[i], label }));
}

function sections(text, passage, words, marks) {
  const nodes = [];
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf("\n", from + SECTION_LENGTH);
    const to = newline < 0 ? text.length : newline + 1;
    nodes.push(section(text, from, to, passage, words, marks));
    from = to;
  }
  return nodes;
}

function section(text, from, to, passage, words, marks) {
  const node = el("div", { className: "section", dir: "auto" });
  const cuts = marks.filter(({ at }) => at >= from && at < to);
  let at = from;
  for (const cut of [...cuts, { at: to, label: null }]) {
    node.append(...markedText(text, at, cut.at, passage, words));
    // Only in the style sheet's generated content, so that copying the text does not copy it.
    if (cut.label) node.append(el("span", { className: "page-mark", "data-label": cut.label }));
    at = cut.at;
  }
  return node;
}

function markedText(text, from, to, passage, words) {
  let at = from;
  return pieces(text, passage, from, to).map(({ text: piece, marked }) => {
    const start = at;
    at += piece.length;
    if (!marked) return piece;
    const inner = pieces(text, words, start, at).map((word) => (word.marked ? el("strong", {}, word.text) : word.text));
    return el("mark", { className: "passage" }, ...inner);
  });
}
