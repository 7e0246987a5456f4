// One line of the documents list: an upload on its way, or a document of the service.

import { el, icon, iconButton } from "./dom.js";
import { bytes, plural } from "./format.js";

const STAGES = {
  fetch: "Reading the original",
  parse: "Extracting text",
  chunk: "Cutting into passages",
  embed: "Embedding passages",
  store: "Making it searchable",
};

/**
 * Make a row. actions: {open(row), remove(row), retry(row)}.
 * row.state is what is shown: {title, status, stage, progress, problem: null | {title, detail, fix, retry}, …}
 * with status one of waiting, uploading (in this page), queued, processing, ready, failed (of the service).
 */
export function createRow(state, actions) {
  const row = { state: {}, file: null };
  const name = el("button", { type: "button", className: "document-name", onclick: () => actions.open(row) });
  const meta = el("p", { className: "document-meta" });
  const bar = el("progress", { max: 1 });
  const problem = el("div", { className: "problem" });
  const retry = iconButton("retry", "Retry", () => actions.retry(row));
  const remove = iconButton("trash", "Delete", () => actions.remove(row));
  row.node = el(
    "li",
    { className: "document" },
    icon("file"),
    el("div", { className: "document-body" }, name, meta, bar, problem),
    el("div", { className: "document-actions" }, retry, remove),
  );
  row.update = (changes) => {
    Object.assign(row.state, changes);
    render(row, { name, meta, bar, problem, retry, remove });
  };
  row.update(state);
  return row;
}

function render(row, { name, meta, bar, problem, retry, remove }) {
  const { title, status, progress, problem: trouble } = row.state;
  row.node.dataset.status = status;
  row.node.dataset.id = row.state.id ?? "";
  name.textContent = title;
  name.title = title;
  name.disabled = status !== "ready";
  meta.textContent = describe(row.state);
  bar.hidden = !["uploading", "waiting", "queued", "processing"].includes(status);
  bar.setAttribute("aria-label", `${title}: ${meta.textContent}`);
  if (status === "uploading" || status === "processing") bar.value = progress ?? 0;
  else bar.removeAttribute("value");
  renderProblem(problem, trouble);
  retry.hidden = !trouble?.retry;
  remove.hidden = status === "uploading";
  const verb = row.state.id ? "Delete" : "Remove";
  for (const [button, label] of [[retry, "Retry"], [remove, verb]]) {
    button.title = label;
    button.setAttribute("aria-label", `${label} ${title}`);
  }
}

function renderProblem(node, trouble) {
  node.hidden = !trouble;
  if (!trouble) return node.replaceChildren();
  const fix = trouble.fix ? el("p", { className: "fix" }, trouble.fix) : null;
  const detail = trouble.detail ? el("p", {}, trouble.detail) : null;
  return node.replaceChildren(...[el("p", {}, el("strong", {}, trouble.title)), detail, fix].filter(Boolean));
}

/** The grey line under the title, for the state the document is in. */
export function describe(state) {
  const percent = `${Math.round((state.progress ?? 0) * 100)} %`;
  switch (state.status) {
    case "waiting":
      return state.waitS ? `The server is busy; going on in ${state.waitS} s` : `${bytes(state.size_bytes)} · waiting to upload`;
    case "uploading":
      return `Uploading · ${percent}`;
    case "queued":
      return "Waiting for a worker";
    case "processing":
      return `${STAGES[state.stage] ?? "Processing"} · ${percent}`;
    case "failed":
      return state.size_bytes === null || state.size_bytes === undefined ? "" : bytes(state.size_bytes);
    default:
      return readyFacts(state).join(" · ");
  }
}

function readyFacts({ page_count, chunk_count, size_bytes }) {
  const facts = [];
  if (page_count) facts.push(plural(page_count, "page"));
  if (chunk_count !== null && chunk_count !== undefined) facts.push(plural(chunk_count, "passage"));
  if (size_bytes !== null && size_bytes !== undefined) facts.push(bytes(size_bytes));
  return facts;
}
