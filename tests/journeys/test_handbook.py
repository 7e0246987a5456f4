"""A newcomer asks the shipped handbook: the right passage is among the first three, for every question."""

from service.handbook import handbook_files
from tests.handbook_questions import HANDBOOK_QUESTIONS, HandbookQuestion
from tests.running import Service


def test_handbook_answers_its_questions(server: Service) -> None:
    with server.client() as client:
        names = {}
        for path in handbook_files():
            files = {"file": (path.name, path.read_bytes())}
            reply = client.post("/v1/documents", params={"wait": 30}, files=files).raise_for_status().json()
            assert reply["status"] == "ready", (path.name, reply["error"])
            names[reply["id"]] = path.name
        missed = {}
        for question in HANDBOOK_QUESTIONS:
            body = {"query": question.question, "top_k": 3}
            hits = client.post("/v1/search", json=body).raise_for_status().json()["hits"]
            if not any(_is_right(question, names[hit["document_id"]], hit) for hit in hits):
                missed[question.question] = [(names[hit["document_id"]], hit["text"][:80]) for hit in hits]
    assert missed == {}


def _is_right(question: HandbookQuestion, filename: str, hit: dict[str, object]) -> bool:
    text = " ".join(str(hit["text"]).split())
    if filename != question.filename or question.phrase not in text:
        return False
    if question.page is None:
        return hit["page_start"] is None
    return int(str(hit["page_start"])) <= question.page <= int(str(hit["page_end"]))
