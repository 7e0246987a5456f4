"""Text that people send, as PostgreSQL and a list can hold it."""

from http import HTTPStatus

from ingest.parse.clean import clean_text
from service.errors import Problem


def one_line(text: str, field: str) -> str:
    """Return one line without control characters. Raises Problem 422 where nothing is left of it."""
    line = " ".join(clean_text(text).split())
    if not line:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: has no printable character.")
    return line
