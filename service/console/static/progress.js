// Following documents on their way: server-sent events for a few, polling for the rest.

import { openEvents } from "./api.js";

// A browser opens six connections to one origin over HTTP/1.1. Streams hold theirs open, and uploads and
// searches need some, so only two documents are streamed at a time; the list is polled for the others.
const MAX_STREAMS = 2;
const POLL_MS = 1500;
const POLL_MAX_MS = 15_000;

/** Yield the data of each event of a text/event-stream, parsed from JSON. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    // A chunk may end between \r and \n; the pair is only cut when something follows it.
    const events = buffer.split(/\r\n\r\n|\n\n|\r\r/);
    buffer = events.pop();
    for (const event of events) {
      const data = event
        .split(/\r\n|\n|\r/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}

export const isUnfinished = (status) => status === "queued" || status === "processing";

/**
 * Follow documents until they are ready or failed.
 * onProgress(id, {status, stage, progress, error}) for each event; onSettled(id) when a stream has ended well;
 * poll() refreshes every document that is shown, and throws when the server does not answer.
 */
export function createFollower({ onProgress, onSettled, poll }) {
  const waiting = new Set();
  const streams = new Map();
  const unstreamable = new Set();
  let timer = null;
  let delayMs = POLL_MS;

  async function stream(id) {
    const controller = new AbortController();
    streams.set(id, controller);
    let settled = false;
    try {
      for await (const event of readEvents(await openEvents(id, controller.signal))) {
        onProgress(id, event);
        settled = !isUnfinished(event.status);
        if (settled) break;
      }
    } catch {
      // Whatever broke the stream, polling finds out the truth about the document.
    }
    controller.abort();
    // After a stop, the same document may already have another stream.
    if (streams.get(id) !== controller) return;
    streams.delete(id);
    if (settled) {
      waiting.delete(id);
      await onSettled(id);
    } else if (waiting.has(id)) {
      unstreamable.add(id);
    }
    schedule();
  }

  function schedule() {
    for (const id of waiting) {
      if (streams.size >= MAX_STREAMS) break;
      if (!streams.has(id) && !unstreamable.has(id)) void stream(id);
    }
    const polled = [...waiting].some((id) => !streams.has(id));
    if (polled && timer === null) timer = setTimeout(tick, delayMs);
  }

  async function tick() {
    try {
      await poll();
      delayMs = POLL_MS;
    } catch {
      delayMs = Math.min(delayMs * 2, POLL_MAX_MS);
    }
    timer = null;
    schedule();
  }

  return {
    follow(id) {
      waiting.add(id);
      schedule();
    },
    unfollow(id) {
      waiting.delete(id);
      unstreamable.delete(id);
      streams.get(id)?.abort();
    },
    stop() {
      clearTimeout(timer);
      timer = null;
      waiting.clear();
      unstreamable.clear();
      for (const controller of streams.values()) controller.abort();
      streams.clear();
    },
  };
}
