"""Is there anything in the documents that could answer? Decided before a model is asked, from the best hit's score.

A hit's score is made to be comparable between queries (search/fuse.py, Legs.trust): it is high only where the words or
the meaning of the question are really there. Where the best one is below the threshold, the answer says that nothing
was found; a model would have been given passages about something else, and would have made an answer of them.
"""

from collections.abc import Sequence

from search.cite import Hit

MIN_SCORE = 0.46
"""Where 825 questions of three collections (XQuAD, SciFact, Cranfield) and 1,650 of the others' put to each are told
apart best: 98 % are answered, 97 % declined. What it does on collections that had no part in the choice is in
benchmarks/RESULTS.md. It is the bundled embedder's: one whose cosines of unrelated texts lie higher needs a higher one
(ANSWER_MIN_SCORE)."""

NOTHING_FOUND = "I found nothing in the documents that answers this."


def has_evidence(hits: Sequence[Hit], min_score: float = MIN_SCORE) -> bool:
    return bool(hits) and hits[0].score >= min_score
