// What went wrong, and what the person in front of the page can do about it.

/** An answer that is not a success. status 0: there was no answer at all. */
export class ApiError extends Error {
  constructor({ status, title = "", detail = "", retryAfterS = null }) {
    super(detail || title || `status ${status}`);
    Object.assign(this, { status, title, detail, retryAfterS });
  }
}

/** Read RFC 9457 problem details; anything else still becomes an error with its status. */
export function errorFrom(status, body, retryAfter) {
  let problem = {};
  try {
    problem = JSON.parse(body) ?? {};
  } catch {
    // A proxy answers in HTML: the status has to do.
  }
  const seconds = Number.parseInt(retryAfter ?? "", 10);
  return new ApiError({
    status,
    title: typeof problem.title === "string" ? problem.title : "",
    detail: typeof problem.detail === "string" ? problem.detail : "",
    retryAfterS: Number.isNaN(seconds) ? null : seconds,
  });
}

const ADVICE = {
  0: ["The server does not answer.", "Check that docsearch is still running, then try again."],
  401: ["Your key no longer works.", "It was revoked or has expired. Sign in with another one."],
  403: ["This key may not do that.", "Use a key with more rights, or ask the owner of the team."],
  404: ["It is no longer there.", "Somebody may have deleted it. Reload the page to see what is left."],
  409: ["Something changed in the meantime.", "Reload the page and try again."],
  413: ["The file is too large.", "Split it, or raise MAX_UPLOAD_BYTES on the server."],
  415: ["This kind of file cannot be read.", "Save it as PDF, Word, HTML, Markdown, text or CSV."],
  503: ["The service is not ready.", "Its database or its embedding provider does not answer. Try again in a moment."],
};

/** {title, detail, fix} for any error; detail is the server's own sentence, if it had one. */
export function explain(error) {
  if (!(error instanceof ApiError)) return { title: "The page made a mistake.", detail: String(error), fix: "Reload it." };
  if (error.status === 429) {
    const wait = error.retryAfterS === null ? "a moment" : `${error.retryAfterS} seconds`;
    return { title: "Too many requests.", detail: error.detail, fix: `Try again in ${wait}.` };
  }
  const [title, fix] = ADVICE[error.status] ?? fallback(error);
  return { title, detail: error.detail, fix };
}

function fallback(error) {
  if (error.status >= 500) return ["The server made a mistake.", "Try again; if it stays, its log says why."];
  return [error.title || "The server refused.", "Change the request and try again."];
}

const INGEST_ADVICE = {
  unsupported_format: "Save it as PDF, Word, HTML, Markdown, text or CSV, and upload that.",
  corrupt_file: "Open it in the program that made it, save it again, and upload the new file.",
  encrypted_file: "Remove the password, then upload it again.",
  no_text: "It holds no text, perhaps only scanned pictures. Run OCR on it first.",
  parser_limit: "Split it into smaller files, or raise PARSE_TIMEOUT_S or PARSE_MEMORY_MB.",
  embedding_failed: "Check the embedding provider's key and quota, then retry.",
  original_missing: "The stored file is gone. Remove this and upload it again.",
};

/** What to do about a document that failed with {stage, code, detail}. */
export function ingestAdvice(error) {
  return INGEST_ADVICE[error.code] ?? "Retry; if it fails again, the server's log says more.";
}

// The same bytes would fail in the same way.
const FINAL = new Set(["unsupported_format", "corrupt_file", "encrypted_file", "no_text", "original_missing"]);

export function isWorthRetrying(error) {
  return !FINAL.has(error.code);
}
