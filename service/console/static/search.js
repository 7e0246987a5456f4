// Asking, and showing what was found.

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { explain } from "./errors.js";
import { milliseconds, placeOf, plural } from "./format.js";
import { keepQuestionInAddress } from "./session.js";
import { excerptWindow, pieces, toUtf16Ranges } from "./text.js";

const EXCERPT_LENGTH = 520;
// Questions about the handbook that docsearch ships, offered while it is there.
const EXAMPLES = [
  "How many workflows does the PRO plan allow?",
  "What should I do when a key has leaked?",
  "How are positions in a text counted?",
  "In which order do I restore a backup?",
];

/** openHit(hit) shows a passage in its document. */
export function createSearch({ openHit }) {
  const form = byId("ask");
  let current = null;
  let library = [];
  let taught = null;

  const mode = () => new FormData(form).get("mode");

  async function run() {
    const query = byId("query").value.trim();
    keepQuestionInAddress(query, mode());
    current?.abort();
    if (!query) {
      current = null;
      return teach();
    }
    current = new AbortController();
    setBusy(true);
    try {
      const answer = await api.search(query, mode(), current.signal);
      showAnswer(answer);
    } catch (error) {
      if (error.name === "AbortError") return null;
      showError(error);
    }
    setBusy(false);
    return null;
  }

  function setBusy(busy) {
    byId("results").setAttribute("aria-busy", String(busy));
    if (busy) byId("search-status").textContent = "Searching…";
  }

  function showAnswer(answer) {
    byId("search-status").textContent = summary(answer);
    if (answer.hits.length === 0) return byId("results").replaceChildren(nothingFound());
    // BM25 has no upper bound, so its bars are drawn in proportion to the best of the search.
    const bestLexical = Math.max(0, ...answer.hits.map((hit) => hit.scores.lexical ?? 0));
    const items = answer.hits.map((hit, i) => hitItem(hit, i + 1, bestLexical, openHit));
    return byId("results").replaceChildren(el("ol", { className: "hits", "aria-label": "Passages, best first" }, ...items));
  }

  function showError(error) {
    const { title, detail, fix } = explain(error);
    byId("search-status").textContent = "";
    const again = el("button", { type: "button", onclick: run }, "Search again");
    const text = el("div", {}, el("strong", {}, title), detail ? el("p", {}, detail) : null, el("p", { className: "fix" }, fix));
    byId("results").replaceChildren(el("div", { className: "problem card", role: "alert" }, text, again));
  }

  function nothingFound() {
    const ready = library.some((document) => document.status === "ready");
    const advice = ready
      ? "Ask in a whole sentence, or try the hybrid mode, which finds the same thing said in other words."
      : "No document is ready yet. Upload one, and ask again when it is ready.";
    return el("div", { className: "card empty" }, el("strong", {}, "No passage was found."), el("p", {}, advice));
  }

  /** What stands where the results will be: how this works, and questions to try. */
  function teach() {
    byId("search-status").textContent = "";
    byId("results").removeAttribute("aria-busy");
    taught = hasHandbook();
    const examples = taught ? exampleQuestions() : null;
    byId("results").replaceChildren(el("div", { className: "card teach" }, ...lessons(), examples));
  }

  function hasHandbook() {
    return library.some(({ status, metadata }) => status === "ready" && metadata?.collection === "handbook");
  }

  function exampleQuestions() {
    const ask = (question) => () => {
      byId("query").value = question;
      void run();
    };
    const buttons = EXAMPLES.map((question) => el("li", {}, el("button", { type: "button", onclick: ask(question) }, question)));
    return el("div", {}, el("h3", {}, "Try it on the handbook"), el("ul", { className: "examples" }, ...buttons));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "mode" && byId("query").value.trim()) void run();
  });

  return {
    run,
    ask(query, chosenMode) {
      byId("query").value = query;
      const option = form.querySelector(`input[name=mode][value="${CSS.escape(chosenMode)}"]`);
      if (option) option.checked = true;
      return run();
    },
    /** The library changed: the examples depend on what is there. */
    learn(documents) {
      library = documents;
      const idle = byId("results").querySelector(".teach") || !byId("results").hasChildNodes();
      if (idle && !current && taught !== hasHandbook()) teach();
    },
    clear() {
      current?.abort();
      [current, library, taught] = [null, [], null];
      byId("query").value = "";
      byId("search-status").textContent = "";
      byId("results").replaceChildren();
    },
  };
}

function lessons() {
  const lesson = (title, text) => el("div", { className: "lesson" }, el("h3", {}, title), el("p", {}, text));
  return [
    lesson("Ask as you would ask a colleague", "A whole sentence finds more than a keyword: the words of the document need not be yours."),
    lesson("Answers are passages", "Each one says where it stands: document, page, heading. Open it to read on around it."),
    lesson("Looking for an exact string?", "Lexical finds names, numbers and codes as they are written."),
  ];
}

function summary({ hits, took_ms: took, plan }) {
  if (hits.length === 0) return `Searched in ${milliseconds(took.total)}`;
  const parts = [`embed ${milliseconds(took.embed)}`, `retrieve ${milliseconds(took.retrieve)}`, plan];
  return `${plural(hits.length, "passage")} in ${milliseconds(took.total)} · ${parts.join(" · ")}`;
}

function hitItem(hit, rank, bestLexical, openHit) {
  const open = () => openHit(hit);
  const title = el("button", { type: "button", className: "hit-title", onclick: open }, hit.title);
  const item = el(
    "li",
    { className: "hit card" },
    el("div", { className: "hit-head" }, el("span", { className: "rank", "aria-hidden": "true" }, String(rank)), el("h3", {}, title), scoreBadge(hit.score)),
    place(hit),
    excerpt(hit),
    el("div", { className: "scores" }, bar("semantic", hit.scores.semantic, 1), bar("lexical", hit.scores.lexical, bestLexical)),
  );
  item.addEventListener("click", (event) => {
    // The title is its own button; and whoever selects text wants to copy it, not to leave.
    if (!event.target.closest("button") && getSelection().isCollapsed) open();
  });
  return item;
}

function place(hit) {
  const text = placeOf(hit);
  return text ? el("p", { className: "hit-place" }, text) : null;
}

function scoreBadge(score) {
  return el("span", { className: "score", title: "Score of the passage in this search, 0 to 1" }, el("span", { className: "unseen" }, "score "), score.toFixed(2));
}

function excerpt(hit) {
  const ranges = toUtf16Ranges(hit.text, hit.highlights);
  const [from, to] = excerptWindow(hit.text, ranges, EXCERPT_LENGTH);
  const parts = pieces(hit.text, ranges, from, to).map(({ text, marked }) => {
    // Blank lines tell nothing in an excerpt.
    const shown = text.replace(/\n\s*\n/g, "\n");
    return marked ? el("mark", {}, shown) : shown;
  });
  return el("p", { className: "hit-text", dir: "auto" }, from > 0 ? "… " : null, ...parts, to < hit.text.length ? " …" : null);
}

function bar(label, value, full) {
  const known = value !== null && value !== undefined;
  const fill = el("span", { className: "fill" });
  fill.style.setProperty("--share", known && full > 0 ? String(Math.max(0, Math.min(1, value / full))) : "0");
  return el(
    "span",
    { className: `score-bar ${label}` },
    el("span", { className: "label" }, label),
    el("span", { className: "track", "aria-hidden": "true" }, fill),
    el("span", { className: "value" }, known ? value.toFixed(2) : "–"),
  );
}
