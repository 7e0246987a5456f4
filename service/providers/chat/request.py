"""What the providers' requests have in common: turns that alternate, and parameters that not every model takes."""

import re
from collections.abc import Collection, Sequence

from search.answer.model import ChatMessage

_UNSUPPORTED = re.compile(
    r"unsupported|not (be )?(support|permit|allow|enabled|recogni|valid|specified)|unknown|unrecogni|unexpected"
    r"|extra (inputs|fields)|deprecated|additional propert|does not",
    re.IGNORECASE,
)
_BEGINNING = "(The beginning of the conversation is left out.)"


class OptionalParameters:
    """Parameters that a model has turned out not to take, and that it is not sent again."""

    def __init__(self) -> None:
        self.left_out: frozenset[str] = frozenset()

    def learn(self, status: int, words: str, sent: Collection[str]) -> bool:
        """Return whether the refusal names a parameter as unknown that can be left out: then ask once more."""
        if status not in (400, 422) or not _UNSUPPORTED.search(words):
            return False
        named = {name for name in sent if _names(name, words)} - self.left_out
        self.left_out |= named
        return bool(named)


def _names(parameter: str, words: str) -> bool:
    # Gemini: "Penalty is not enabled for this model". Others give the name as it is sent.
    pattern = r"\bpenalty" if parameter.endswith("_penalty") else rf"\b{parameter}\b"
    return re.search(pattern, words, re.IGNORECASE) is not None or parameter in words


def system_text(messages: Sequence[ChatMessage]) -> str:
    """Return what all system messages say, for interfaces that keep it apart from the conversation."""
    parts = (message.content for message in messages if message.role == "system")
    return "\n\n".join(part for part in parts if part.strip())


def alternating(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the conversation as user and assistant in turns, beginning with the user; blank messages left out."""
    turns: list[ChatMessage] = []
    for message in messages:
        if message.role == "system" or not message.content.strip():
            continue
        if turns and turns[-1].role == message.role:
            turns[-1] = ChatMessage(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    if turns and turns[0].role == "assistant":
        turns.insert(0, ChatMessage("user", _BEGINNING))
    return turns
