"""From a follow-up to a question that stands alone: "And in winter?" finds nothing by itself."""

import re
from collections.abc import Sequence

from db.analyzer import count_surfaces
from db.languages import count_stop_words
from search.answer.model import ChatMessage, LanguageModel, ModelFailed, Sampling, complete
from search.answer.prompt import rewrite_messages
from search.query import MAX_QUERY_CHARS

_REWRITE_TOKENS = 200
_RECENT_MESSAGES = 6
_RECENT_CHARS = 1_500
"""Of each: what "it" is stands at its beginning."""

FEW_WORDS = 3
"""Words with a topic of their own. A question with fewer leans on what was said before."""

_REFERRING = re.compile(
    r"\b(it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|her|hers|there|one|ones|former|latter|same|"
    r"er|ihn|ihm|sein|seine|ihr|ihre|dies|diese|dieser|dieses|davon|dazu|dort|"
    r"il|elle|ils|elles|lui|leur|leurs|cela|celui|celle|ceux|"
    r"ello|ellos|ellas|eso|esto|esos|estos|él|ella|allí)\b"
    r"|^\W*(and|but|so|what about|how about|or|also|why|und|aber|et|mais|y|pero|e)\b",
    re.IGNORECASE,
)


async def standalone_query(question: str, history: Sequence[ChatMessage], model: LanguageModel | None) -> str:
    """Return what to search for. Without a model, or where it fails, by combine_with_last."""
    if not history:
        return question
    if model is not None:
        written = await _rewritten(question, history, model)
        if written:
            return written
    return combine_with_last(question, history)


def combine_with_last(question: str, history: Sequence[ChatMessage]) -> str:
    """Return the question, and before it the user's last one where it leans on that.

    It does where it has fewer than FEW_WORDS words of its own, begins with "and" or "what about", or holds a word that
    refers to something ("it", "those", "dort"). English, German, French and Spanish words are known; in other languages
    the length decides.
    """
    asked = [message.content for message in history if message.role == "user"]
    if not asked or not leans_on_history(question):
        return question
    return f"{asked[-1]}\n{question}"[-MAX_QUERY_CHARS:]


def leans_on_history(question: str) -> bool:
    words = {surface.casefold() for surface in count_surfaces(question)}
    stops = max(count_stop_words(words).values(), default=0)
    return len(words) - stops < FEW_WORDS or _REFERRING.search(question) is not None


async def _rewritten(question: str, history: Sequence[ChatMessage], model: LanguageModel) -> str | None:
    recent = [ChatMessage(said.role, said.content[:_RECENT_CHARS]) for said in history[-_RECENT_MESSAGES:]]
    messages = rewrite_messages(question, recent)
    try:
        answer = await complete(model, messages, Sampling(max_tokens=_REWRITE_TOKENS, temperature=0.0))
    except ModelFailed:
        # It may do better with the answer; if it does not, that says why.
        return None
    written = " ".join(answer.split()).strip("\"'“”")
    # A model that answers, or explains itself, has not written a query.
    return written if 0 < len(written) <= max(400, 4 * len(question)) else None
