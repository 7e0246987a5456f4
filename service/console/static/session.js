// The key of whoever uses this tab. It lives in sessionStorage, not localStorage: an API key opens everything
// its owner has and does not end by itself, so it should not outlive the tab on a machine that others use too.
// The link that the terminal prints signs in again at any time.

const NAME = "docsearch.key";

export function currentKey() {
  return sessionStorage.getItem(NAME);
}

export function keepKey(key) {
  sessionStorage.setItem(NAME, key);
}

export function forgetKey() {
  sessionStorage.removeItem(NAME);
}

/** Take `#key=…` out of the address and keep it; returns whether there was one. */
export function takeKeyFromAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const key = parameters.get("key");
  if (key === null) return false;
  parameters.delete("key");
  // replaceState, so that neither the address bar nor the history keeps the secret.
  setFragment(parameters);
  if (isUsable(key)) keepKey(key);
  return isUsable(key);
}

/** A header may only carry visible ASCII: anything else is not a key, and fetch would throw. */
export function isUsable(key) {
  return /^[\x21-\x7e]+$/.test(key);
}

/** The question in the address, so that reloading or going back shows it again; never sent to the server. */
export function questionFromAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return { query: parameters.get("q") ?? "", mode: parameters.get("mode") ?? "hybrid" };
}

export function keepQuestionInAddress(query, mode) {
  const parameters = new URLSearchParams();
  if (query) parameters.set("q", query);
  if (query && mode !== "hybrid") parameters.set("mode", mode);
  setFragment(parameters);
}

function setFragment(parameters) {
  const fragment = parameters.toString();
  history.replaceState(null, "", location.pathname + location.search + (fragment ? `#${fragment}` : ""));
}
