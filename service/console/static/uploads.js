// Getting files in: dropping, choosing, sending, and waiting where the server asks for it.

import { uploadFile } from "./api.js";
import { byId } from "./dom.js";
import { explain } from "./errors.js";
import { createQueue, filesFromDrop, isWanted, randomId } from "./files.js";

const MAX_WAITS = 5;
const MAX_WAIT_S = 120;
// 413 and 415 would come again; everything else may not.
const HOPELESS = new Set([413, 415, 422]);

export function createUploads(library) {
  const queue = createQueue();

  function add(files) {
    for (const file of files) start(library().addUpload(file));
  }

  /** Send a row's file, now or again after a failure. */
  function start(row) {
    row.idempotencyKey ??= randomId();
    row.update({ status: "waiting", problem: null });
    queue.add(() => send(row, MAX_WAITS));
  }

  async function send(row, waitsLeft) {
    if (row.dropped) return;
    row.update({ status: "uploading", progress: 0, waitS: null });
    try {
      const onSent = (share) => row.update({ progress: share });
      const created = await uploadFile(row.file, { idempotencyKey: row.idempotencyKey, onSent });
      await library().becomeDocument(row, created);
    } catch (error) {
      if (error.status === 429 && error.retryAfterS !== null && error.retryAfterS <= MAX_WAIT_S && waitsLeft > 0) {
        await countDown(row, error.retryAfterS);
        await send(row, waitsLeft - 1);
      } else {
        fail(row, error);
      }
    }
  }

  async function countDown(row, seconds) {
    for (let left = seconds; left > 0 && !row.dropped; left -= 1) {
      row.update({ status: "waiting", waitS: left });
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  function fail(row, error) {
    // A key answers the same way again, so an attempt with something changed needs a new one; a broken
    // connection keeps it, in case the upload did arrive.
    if (error.status !== 0) row.idempotencyKey = null;
    row.update({ status: "failed", problem: { ...explain(error), retry: !HOPELESS.has(error.status) } });
    library().changed();
  }

  return { add, start, clear: queue.clear };
}

/** Let files be dropped anywhere on the page, or chosen. isOpen says whether somebody is signed in. */
export function listenForFiles({ isOpen, add }) {
  let depth = 0;
  const carriesFiles = (event) => isOpen() && [...event.dataTransfer.types].includes("Files");
  const mark = () => document.body.classList.toggle("dragging", depth > 0);
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) depth += 1;
    mark();
  });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) depth = Math.max(0, depth - 1);
    mark();
  });
  // Without this the browser leaves the page and opens the file, even where it is not wanted.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    if (carriesFiles(event)) add(await filesFromDrop(event.dataTransfer));
  });
  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", () => {
      const chosen = [...byId(input).files];
      byId(input).value = "";
      add(input === "folder" ? chosen.filter(isWanted) : chosen);
    });
  }
}
