"""Make text safe to store and good to search, before any offset into it is computed.

What changes, everywhere: line ends become "\\n"; control characters, lone surrogates, noncharacters, byte order
marks and soft hyphens go (PostgreSQL refuses NUL, UTF-8 the surrogates, and none of the others can be seen);
no-break and typographic spaces become spaces; Latin ligatures become their letters, so that a search for "file"
finds a typeset one; the rest is composed to NFC, so that "é" is one code point whatever typed it. Nothing that
a reader would miss is lost: NFKC, which would flatten "x²" to "x2", is left to the search index.
"""

import re
import unicodedata

_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_LINE_BREAKS = dict.fromkeys("\x0b\x0c\x85\u2028\u2029", "\n")
_SPACES = dict.fromkeys(
    "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f", " "
)
_REPLACEMENTS = {**_LIGATURES, **_LINE_BREAKS, **_SPACES}

_UNCLEAN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\ud800-\udfff\ufb00-\ufb06\ufdd0-\ufdef"
    "\ufeff\ufffe\uffff]"
)
_SPACE_RUN = re.compile(r"[ \t]+")
_SPACE_AROUND_BREAK = re.compile(r" *\n[ \n]*")


def clean_text(text: str) -> str:
    """Return text without what cannot be stored or seen; line structure and runs of spaces stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _UNCLEAN.search(text):
        text = _UNCLEAN.sub(lambda match: _REPLACEMENTS.get(match.group(), ""), text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def clean_line(text: str) -> str:
    """Return clean text on one line, its white space collapsed."""
    return " ".join(clean_text(text).split())


def clean_paragraph(text: str) -> str:
    """Return clean text with runs of spaces collapsed and line breaks kept, one at a time."""
    text = _SPACE_RUN.sub(" ", clean_text(text))
    return _SPACE_AROUND_BREAK.sub("\n", text).strip()
