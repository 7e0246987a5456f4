"""Long conversations are condensed within a budget, not refused, and nothing is summarised twice."""

import pytest

from search.answer.history import Summary, condense
from search.answer.model import ChatMessage, ModelFailed
from search.answer.rewrite import combine_with_last, leans_on_history
from tests.search.answer.scripted import ScriptedModel


def talk(turns: int) -> list[ChatMessage]:
    return [
        message
        for turn in range(turns)
        for message in (
            ChatMessage("user", f"question {turn} is it"),
            ChatMessage("assistant", f"answer {turn} it is"),
        )
    ]


def words(text: str) -> int:
    return len(text.split())


async def test_a_short_history_is_kept_as_it_is() -> None:
    condensed = await condense(talk(3), None, budget_tokens=100, count_tokens=words, model=None)
    assert condensed.messages == talk(3)
    assert condensed.summary is None


async def test_what_does_not_fit_is_summarised_and_the_newest_stays_whole() -> None:
    model = ScriptedModel([["They spoke of questions."]])
    history = talk(20)
    condensed = await condense(history, None, budget_tokens=80, count_tokens=words, model=model)
    assert condensed.summary is not None
    assert "They spoke of questions." in condensed.messages[0].content
    assert condensed.messages[2:] == history[condensed.summary.covers :]
    assert sum(words(message.content) for message in condensed.messages) <= 80
    assert "question 0" in model.told[0][1].content


async def test_a_summary_is_taken_up_again_and_only_the_rest_is_added() -> None:
    model = ScriptedModel([["Newer summary."]])
    history, known = talk(20), Summary("Older summary.", covers=20)
    condensed = await condense(history, known, budget_tokens=200, count_tokens=words, model=model)
    assert condensed.summary == known
    assert not model.told
    condensed = await condense(talk(60), known, budget_tokens=80, count_tokens=words, model=model)
    assert "Older summary." in model.told[0][1].content
    assert "question 0" not in model.told[0][1].content
    assert condensed.summary is not None
    assert condensed.summary.text == "Newer summary."


@pytest.mark.parametrize("model", [None, ScriptedModel([[ModelFailed("no", code="quota")]])])
async def test_without_a_summary_the_oldest_is_left_out(model: ScriptedModel | None) -> None:
    history = talk(20)
    condensed = await condense(history, None, budget_tokens=80, count_tokens=words, model=model)
    assert condensed.summary is None
    assert condensed.messages
    assert condensed.messages == history[-len(condensed.messages) :]
    assert condensed.messages[0].role == "user"


async def test_a_summary_of_more_than_there_is_is_not_believed() -> None:
    condensed = await condense(
        talk(1), Summary("Of another talk.", covers=9), budget_tokens=99, count_tokens=words, model=None
    )
    assert condensed.messages == talk(1)


@pytest.mark.parametrize(
    "question", ["And in winter?", "Does it rain there?", "Why?", "Wie lange dauert dies?", "et lui ?"]
)
def test_a_question_that_leans_on_the_last_is_searched_with_it(question: str) -> None:
    assert leans_on_history(question)
    history = [ChatMessage("user", "How long is the notice?"), ChatMessage("assistant", "Three months.")]
    assert combine_with_last(question, history) == f"How long is the notice?\n{question}"


@pytest.mark.parametrize(
    "question",
    ["How many days of paid holiday do employees get?", "Wie viele Urlaubstage haben neue Mitarbeiter?"],
)
def test_a_question_that_stands_alone_is_searched_alone(question: str) -> None:
    assert combine_with_last(question, [ChatMessage("user", "How long is the notice?")]) == question
