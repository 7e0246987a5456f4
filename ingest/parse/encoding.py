"""Turn the bytes of a text file into text, whatever it was saved as."""

import codecs

from charset_normalizer import from_bytes

SAMPLE_BYTES = 65_536
"""What an encoding is guessed from; guessing reads the sample dozens of times over."""

MIN_EVIDENCE = 12
"""Below so many bytes outside ASCII a guess is a coin toss: take the one most files are in."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with UTF-16's mark: must be asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# What is met in files that people keep. Rarer code pages only take votes away from these.
_CANDIDATES = [
    *(
        "cp1252",
        "cp1250",
        "cp1251",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "iso8859_2",
        "koi8_r",
        "mac_roman",
    ),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]
_LIKELIEST = "cp1252"


def decode_text(data: bytes) -> str:
    """Return the text: by its byte order mark, as UTF-8 if it is that, else by the likeliest encoding."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        encoding = detect_encoding(data)
        return data.decode(encoding, "replace")


def detect_encoding(data: bytes) -> str:
    """Guess the encoding of bytes that have no mark and are not wholly UTF-8."""
    sample = data[:SAMPLE_BYTES]
    if wide := _wide_encoding(sample):
        return wide
    if _is_damaged_utf8(sample):
        return "utf-8"
    if sum(byte >= 0x80 for byte in sample) < MIN_EVIDENCE:
        return _LIKELIEST
    best = from_bytes(sample, cp_isolation=_CANDIDATES, threshold=0.3).best()
    return best.encoding if best is not None else _LIKELIEST


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 without a mark: mostly Latin text, so that every second byte is zero."""
    half = len(sample) // 2
    if half == 0:
        return None
    if sample[1::2].count(0) > half * 0.4 and sample[::2].count(0) < half * 0.1:
        return "utf-16-le"
    if sample[::2].count(0) > half * 0.4 and sample[1::2].count(0) < half * 0.1:
        return "utf-16-be"
    return None


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether nearly all that is not ASCII is good UTF-8: a few bytes were lost or the end was cut off."""
    decoded = sample.decode("utf-8", "replace")
    damaged = decoded.count("\ufffd")
    good = sum(character > "\x7f" for character in decoded) - damaged
    return good > damaged * 10
