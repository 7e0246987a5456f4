// Offsets of the API count Unicode code points; JavaScript strings count UTF-16 units, where everything
// beyond U+FFFF takes two. All conversion between the two happens here.

/** UTF-16 index of each code point offset. Offsets must ascend; those past the end map to the end. */
export function toUtf16(text, offsets) {
  const indexes = [];
  let codePoint = 0;
  let index = 0;
  for (const offset of offsets) {
    while (codePoint < offset && index < text.length) {
      index += text.codePointAt(index) > 0xffff ? 2 : 1;
      codePoint += 1;
    }
    indexes.push(index);
  }
  return indexes;
}

/** Code point ranges as UTF-16 ranges: sorted, merged where they touch, empty ones left out. */
export function toUtf16Ranges(text, ranges) {
  const points = [...new Set(ranges.flat())].sort((a, b) => a - b);
  const indexes = toUtf16(text, points);
  const indexOf = new Map(points.map((point, i) => [point, indexes[i]]));
  return mergeRanges(ranges.map(([start, end]) => [indexOf.get(start), indexOf.get(end)]));
}

function mergeRanges(ranges) {
  const merged = [];
  for (const [start, end] of ranges.filter(([a, b]) => a < b).sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** Cut text[from:to] into {text, marked} pieces along UTF-16 ranges that are sorted and do not overlap. */
export function pieces(text, ranges, from = 0, to = text.length) {
  const result = [];
  let at = from;
  const push = (end, marked) => {
    if (end > at) result.push({ text: text.slice(at, end), marked });
    at = Math.max(at, end);
  };
  for (const [start, end] of ranges) {
    if (end <= from || start >= to) continue;
    push(Math.max(start, from), false);
    push(Math.min(end, to), true);
  }
  push(to, false);
  return result;
}

/**
 * The window of at most `length` UTF-16 units that shows most of the marked text, cut between words.
 * Returns [from, to].
 */
export function excerptWindow(text, ranges, length) {
  if (text.length <= length) return [0, text.length];
  const lead = 80;
  let best = 0;
  let bestMarked = -1;
  for (const [start] of [[0, 0], ...ranges]) {
    const from = Math.max(0, Math.min(start - lead, text.length - length));
    const marked = ranges.reduce((sum, [a, b]) => sum + Math.max(0, Math.min(b, from + length) - Math.max(a, from)), 0);
    if (marked > bestMarked) [best, bestMarked] = [from, marked];
  }
  return [wordStart(text, best), wordEnd(text, Math.min(text.length, best + length))];
}

function wordStart(text, index) {
  if (index === 0) return 0;
  const space = text.slice(index, index + 40).search(/\s\S/u);
  return space < 0 ? safeCut(text, index) : index + space + 1;
}

function wordEnd(text, index) {
  if (index === text.length) return index;
  const space = /\s\S*$/u.exec(text.slice(Math.max(0, index - 40), index));
  return space === null ? safeCut(text, index) : index - space[0].length;
}

/** Never cut between the two halves of a surrogate pair. */
function safeCut(text, index) {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit <= 0xdfff ? index - 1 : index;
}
