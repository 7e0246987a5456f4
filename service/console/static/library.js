// The documents list: what is there, what is on its way, what went wrong.

import * as api from "./api.js";
import { announce, byId, confirmDelete } from "./dom.js";
import { explain, ingestAdvice, isWorthRetrying } from "./errors.js";
import { plural } from "./format.js";
import { createFollower, isUnfinished } from "./progress.js";
import { createRow } from "./row.js";

const PAGE = 100;

/** openDocument(document) shows one; upload(row) sends a row's file again; onChange(rows) after each change. */
export function createLibrary({ openDocument, upload, onTrouble, onChange }) {
  const rows = new Map();
  const uploads = new Set();
  const list = byId("documents");
  let cursor = null;
  let shownPages = 1;
  const actions = { open: (row) => openDocument(row.state), remove, retry };
  const follower = createFollower({ onProgress, onSettled, poll: () => refresh() });

  function onProgress(id, { status, stage, progress, error }) {
    // "ready" waits for onSettled, which brings the counts as well.
    if (isUnfinished(status)) rows.get(id)?.update({ status, stage, progress, error });
  }

  async function onSettled(id) {
    try {
      show(await api.getDocument(id));
    } catch (error) {
      if (error.status === 404) forget(id);
    }
    changed();
  }

  /** Insert or update a document; returns its row. */
  function show(document) {
    const existing = rows.get(document.id);
    const before = existing?.state.status;
    const state = { ...document, problem: document.status === "failed" ? problemOf(document.error) : null };
    const row = existing ?? createRow(state, actions);
    if (existing) row.update(state);
    rows.set(document.id, row);
    if (isUnfinished(document.status)) follower.follow(document.id);
    else follower.unfollow(document.id);
    if (before && isUnfinished(before)) tellOutcome(document);
    return row;
  }

  function tellOutcome({ title, status }) {
    if (status === "ready") announce(`${title} is ready.`);
    if (status === "failed") announce(`${title} failed.`);
  }

  function forget(id) {
    follower.unfollow(id);
    rows.get(id)?.node.remove();
    rows.delete(id);
  }

  /** Bring every document that is shown up to date with the service. Throws ApiError. */
  async function refresh() {
    const documents = [];
    const known = [...rows.keys()];
    let page = { next_cursor: null };
    for (let i = 0; i < Math.max(shownPages, rows.size / PAGE); i += 1) {
      page = await api.listDocuments(PAGE, page.next_cursor);
      documents.push(...page.data);
      if (!page.has_more) break;
    }
    cursor = page.has_more ? page.next_cursor : null;
    reconcile(documents, known);
    changed();
  }

  /** known: the ids that were shown when the list was asked for; what came in since then stays. */
  function reconcile(documents, known) {
    const ids = new Set(documents.map(({ id }) => id));
    for (const id of known) if (!ids.has(id)) forget(id);
    const newer = [...rows.keys()].filter((id) => !ids.has(id)).map((id) => rows.get(id));
    const top = [...uploads, ...newer].map((row) => row.node);
    const wanted = [...top, ...documents.map((document) => show(document).node)];
    // Moving a node drops its focus, so only those that stand in the wrong place move.
    wanted.forEach((node, i) => list.children[i] !== node && list.insertBefore(node, list.children[i] ?? null));
  }

  async function showMore() {
    shownPages += 1;
    await attempt(refresh);
  }

  function changed() {
    const ready = [...rows.values()].filter((row) => row.state.status === "ready").length;
    byId("library-count").textContent = rows.size ? `${rows.size}${cursor ? "+" : ""}` : "";
    byId("library-empty").hidden = rows.size + uploads.size > 0;
    byId("more").hidden = cursor === null;
    const busy = rows.size - ready - [...rows.values()].filter((row) => row.state.status === "failed").length;
    const parts = [];
    const failed = [...uploads].filter((row) => row.state.status === "failed").length;
    if (uploads.size > failed) parts.push(`${plural(uploads.size - failed, "file")} to upload`);
    if (busy) parts.push(`${plural(busy, "document")} in progress`);
    if (failed) parts.push(`${plural(failed, "file")} not uploaded`);
    byId("upload-summary").textContent = parts.join(" · ");
    onChange([...rows.values()].map((row) => row.state));
  }

  async function remove(row) {
    if (!row.state.id) return drop(row);
    const question = `Delete “${row.state.title}”?`;
    if (!(await confirmDelete(question, "Its passages disappear from search at once. There is no undo."))) return null;
    await attempt(async () => {
      await api.deleteDocument(row.state.id);
      forget(row.state.id);
      announce(`${row.state.title} is deleted.`);
      changed();
      byId("library-title").focus();
    });
    return null;
  }

  /** Take an upload that has not become a document off the list. */
  function drop(row) {
    row.dropped = true;
    row.node.remove();
    uploads.delete(row);
    changed();
  }

  async function retry(row) {
    if (!row.state.id) return upload(row);
    await attempt(async () => {
      await api.retryDocument(row.state.id);
      show(await api.getDocument(row.state.id));
      changed();
    });
    return null;
  }

  /** Put a file on the list that is about to be uploaded; returns its row. */
  function addUpload(file) {
    const state = { id: null, title: file.name, status: "waiting", size_bytes: file.size, problem: null };
    const row = createRow(state, actions);
    row.file = file;
    uploads.add(row);
    list.prepend(row.node);
    changed();
    return row;
  }

  /** An upload was accepted: from here on its row is that of a document. */
  async function becomeDocument(row, { id, status }) {
    if (row.dropped) return;
    uploads.delete(row);
    const known = rows.get(id);
    if (known && known !== row) known.node.remove();
    row.update({ id, status, stage: null, progress: 0, problem: null });
    rows.set(id, row);
    row.file = null;
    // It may have been ready in no time, or another copy of what is there.
    if (isUnfinished(status)) follower.follow(id);
    else await onSettled(id);
    changed();
  }

  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      onTrouble(explain(error), () => attempt(action));
    }
  }

  function clear() {
    follower.stop();
    for (const row of uploads) row.dropped = true;
    rows.clear();
    uploads.clear();
    list.replaceChildren();
    [cursor, shownPages] = [null, 1];
  }

  byId("more").addEventListener("click", showMore);
  return { refresh, addUpload, becomeDocument, changed, clear };
}

function problemOf(error) {
  const where = error?.stage ? `Failed at the stage “${error.stage}”.` : "Failed.";
  if (!error) return { title: where, detail: "", fix: "", retry: true };
  return { title: where, detail: error.detail, fix: ingestAdvice(error), retry: isWorthRetrying(error) };
}
