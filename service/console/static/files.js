// Files out of a drop or a file chooser, folders included.

// Two at a time: reading the next file overlaps with sending this one, and connections stay free for searching.
const MAX_UPLOADS = 2;

/** Every file of a drop. Call it inside the event: the browser empties the transfer afterwards. */
export function filesFromDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return Promise.resolve([...transfer.files]);
  return Promise.all(entries.map(filesOfEntry)).then((lists) => lists.flat().filter(isWanted));
}

/** Files of a chosen folder come with everything that the system hides in it. */
export function isWanted(file) {
  return !file.name.startsWith(".") && file.name !== "Thumbs.db" && file.name !== "desktop.ini";
}

async function filesOfEntry(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const lists = [];
  for (const child of await entriesOf(entry)) lists.push(await filesOfEntry(child));
  return lists.flat();
}

/** readEntries returns a folder a hundred entries at a time, and none when there are no more. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return entries;
    entries.push(...batch);
  }
}

/** A random identifier; crypto.randomUUID is missing where the page was not loaded over HTTPS or loopback. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Run tasks, a few at a time, in order. A task handles its own failures. */
export function createQueue(limit = MAX_UPLOADS) {
  const pending = [];
  let running = 0;
  async function next() {
    if (running >= limit || pending.length === 0) return;
    running += 1;
    await pending.shift()();
    running -= 1;
    void next();
  }
  return {
    add(task) {
      pending.push(task);
      void next();
    },
    clear() {
      pending.length = 0;
    },
  };
}
