"""What the OpenAPI document says that signatures cannot."""

from http import HTTPStatus

from litestar.openapi.datastructures import ResponseSpec

from service.schemas import ProblemBody

_MEANING = {
    400: "The request does not have the documented form.",
    401: "The API key is missing, unknown, revoked or expired.",
    402: "A plan or a budget allows no more: what, how much is used, limit, resets_at.",
    403: "The key lacks the scope, or the role in the team is too small.",
    404: "Absent, or somebody else's.",
    409: "Something stands against it: a name that is taken, a state it is not in, an Idempotency-Key used before.",
    413: "Larger than MAX_UPLOAD_BYTES.",
    415: "Not a format that can be read.",
    422: "Well-formed, but unusable.",
    429: "Too many requests of this person or key; Retry-After says when to come back.",
    503: "The database or the embedding provider is away; Retry-After says when to come back.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the problem replies of a route; those of every closed route come along."""
    return only_problems(400, 401, 403, 429, 503, *statuses)


def only_problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the problem replies of a route that is open to everybody."""
    return {
        status: ResponseSpec(
            data_container=ProblemBody,
            generate_examples=False,
            description=_MEANING.get(status, HTTPStatus(status).phrase),
            media_type="application/problem+json",
        )
        for status in sorted(set(statuses))
    }
