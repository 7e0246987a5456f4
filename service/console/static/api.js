// Every call to the service. The key travels in a header, never in an address.

import { ApiError, errorFrom } from "./errors.js";
import { currentKey } from "./session.js";

let onRefused = () => {};

/** Call `handler` whenever the server no longer accepts the key. */
export function whenRefused(handler) {
  onRefused = handler;
}

function authorization(key) {
  return { Authorization: `Bearer ${key}` };
}

/** Returns the Response of a success; throws ApiError for everything else. AbortError passes through. */
async function request(path, { method = "GET", json, headers = {}, signal, key = currentKey() } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      headers: { ...authorization(key), ...(json ? { "Content-Type": "application/json" } : {}), ...headers },
      body: json ? JSON.stringify(json) : undefined,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ status: 0 });
  }
  if (response.ok) return response;
  if (response.status === 401 && key === currentKey()) onRefused();
  throw errorFrom(response.status, await response.text(), response.headers.get("Retry-After"));
}

const documentPath = (id, part = "") => `/v1/documents/${encodeURIComponent(id)}${part}`;

export async function checkKey(key) {
  await request("/v1/documents?limit=1", { key });
}

/** One page of documents, the newest first: {data, has_more, next_cursor}. */
export async function listDocuments(limit, after = null) {
  const parameters = new URLSearchParams({ limit: String(limit) });
  if (after) parameters.set("after", after);
  return (await request(`/v1/documents?${parameters}`)).json();
}

export async function getDocument(id) {
  return (await request(documentPath(id))).json();
}

export async function deleteDocument(id) {
  await request(documentPath(id), { method: "DELETE" });
}

/** The extracted text, exactly: a byte order mark is a character of it, and spans count it. */
export async function getText(id, signal) {
  const response = await request(documentPath(id, "/text"), { signal });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await response.arrayBuffer());
}

/** All chunks of a document, in the order of its text. */
export async function getChunks(id, signal) {
  const chunks = [];
  const parameters = new URLSearchParams({ limit: "200" });
  for (;;) {
    const page = await (await request(documentPath(id, `/chunks?${parameters}`), { signal })).json();
    chunks.push(...page.data);
    if (!page.has_more) return chunks;
    parameters.set("after", page.next_cursor);
  }
}

export async function getOriginal(id) {
  return (await request(documentPath(id, "/content"))).blob();
}

export async function search(query, mode, signal) {
  const response = await request("/v1/search", { method: "POST", json: { query, mode, top_k: 10 }, signal });
  return response.json();
}

/** The progress stream of one document, as a reader of bytes. */
export async function openEvents(id, signal) {
  const response = await request(documentPath(id, "/events"), { signal, headers: { Accept: "text/event-stream" } });
  return response.body;
}

/** Queue a failed document again, from its original; resolves to {id, status}. */
export async function retryDocument(id) {
  return (await request(documentPath(id, "/retry"), { method: "POST" })).json();
}

/**
 * Send one file; resolves to {id, status}. XMLHttpRequest, because fetch does not report how much was sent.
 * idempotencyKey makes a second attempt after a broken connection safe.
 */
export function uploadFile(file, { idempotencyKey, onSent }) {
  const form = new FormData();
  form.append("file", file, file.name);
  const key = currentKey();
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", "/v1/documents");
    call.setRequestHeader("Authorization", authorization(key).Authorization);
    call.setRequestHeader("Idempotency-Key", idempotencyKey);
    call.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    call.onerror = () => reject(new ApiError({ status: 0 }));
    call.onload = () => {
      if (call.status >= 200 && call.status < 300) return resolve(JSON.parse(call.responseText));
      if (call.status === 401 && key === currentKey()) onRefused();
      return reject(errorFrom(call.status, call.responseText, call.getResponseHeader("Retry-After")));
    };
    call.send(form);
  });
}
