// Numbers and words as people read them.

const number = new Intl.NumberFormat("en");

export function plural(count, one, many = `${one}s`) {
  return `${number.format(count)} ${count === 1 ? one : many}`;
}

export function bytes(count) {
  if (count === 1) return "1 byte";
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let size = count;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

export function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${number.format(Math.round(value))} ms`;
}

/** Where a hit stands: its pages, and the headings above it without a repetition of the title. */
export function placeOf({ title, headings, page_start, page_end }) {
  const below = headings[0] === title ? headings.slice(1) : headings;
  return [pages(page_start, page_end), below.join(" › ")].filter(Boolean).join(" · ");
}

/** "Page 3", "Pages 3–4", or nothing for formats without pages. */
export function pages(start, end) {
  if (start === null || start === undefined) return "";
  return end === null || end === undefined || end === start ? `Page ${start}` : `Pages ${start}–${end}`;
}
