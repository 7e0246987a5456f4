"""A conversation as a file: JSON for programs, Markdown for people, with its sources."""

from service.conversations.messages import Message
from service.conversations.schemas import ConversationDetail

_NAMES = {"user": "You", "assistant": "Answer", "system": "Instructions"}


def to_markdown(conversation: ConversationDetail) -> str:
    parts = [f"# {conversation.title or 'Conversation'}", ""]
    for message in conversation.messages:
        when = "" if message.created_at is None else f" · {message.created_at:%Y-%m-%d %H:%M} UTC"
        parts += [f"## {_NAMES[message.role]}{when}", "", message.content, "", *_sources(message)]
    return "\n".join(parts).rstrip() + "\n"


def _sources(message: Message) -> list[str]:
    if not message.citations:
        return []
    lines = [
        f"[{citation.number}] {citation.title}"
        + ("" if citation.page_start is None else f", page {citation.page_start}")
        + f", characters {citation.char_start}–{citation.char_end} (document {citation.document_id})"
        for citation in message.citations
    ]
    return ["Sources:", "", *(f"- {line}" for line in lines), ""]
