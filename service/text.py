"""Text that people send, as PostgreSQL and a list can hold it."""

from http import HTTPStatus

from ingest.parse.clean import clean_text
from service.errors import Problem


def one_line(text: str, field: str, *, max_length: int | None = None) -> str:
    """Return one line without control characters. Raises Problem 422 where nothing is left of it, or too much.

    Cleaning can add characters: a ligature becomes its letters.
    """
    line = " ".join(clean_text(text).split())
    if max_length is not None and len(line) > max_length:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: is longer than {max_length} characters.")
    if not line:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: has no printable character.")
    return line
