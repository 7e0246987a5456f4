"""The upload's request body, which its signature cannot say: a file as multipart, or a text as JSON."""

from dataclasses import dataclass, field

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from ingest.parse.sniff import SUPPORTED_MEDIA_TYPES

_TITLE = Schema(
    type=OpenAPIType.STRING, min_length=1, max_length=500, description="Unset: found in the file."
)
_SOURCE_URL = Schema(
    type=OpenAPIType.STRING,
    min_length=1,
    max_length=2048,
    description="Where it came from, for your own use.",
)
_TEAM = Schema(type=OpenAPIType.STRING, description="The team it belongs to; unset: you.")


def _request_body() -> RequestBody:
    formats = ", ".join(sorted(ext for exts in SUPPORTED_MEDIA_TYPES.values() for ext in exts))
    file = Schema(
        type=OpenAPIType.STRING,
        content_media_type="application/octet-stream",
        description=f"The document: {formats}.",
    )
    form = Schema(
        type=OpenAPIType.OBJECT,
        required=["file"],
        properties={
            "file": file,
            "title": _TITLE,
            "metadata": Schema(
                type=OpenAPIType.STRING, description="A JSON object that searches can filter on."
            ),
            "team_id": _TEAM,
            "source_url": _SOURCE_URL,
        },
        additional_properties=False,
    )
    text = Schema(
        type=OpenAPIType.OBJECT,
        required=["title", "content"],
        properties={
            "title": Schema(type=OpenAPIType.STRING, min_length=1, max_length=500),
            "content": Schema(type=OpenAPIType.STRING, min_length=1),
            "metadata": Schema(
                one_of=[
                    Schema(type=OpenAPIType.OBJECT, additional_properties=True),
                    Schema(type=OpenAPIType.NULL),
                ]
            ),
            "team_id": _TEAM,
            "source_url": _SOURCE_URL,
        },
        additional_properties=False,
    )
    url = Schema(
        type=OpenAPIType.OBJECT,
        required=["url"],
        properties={
            "url": Schema(
                type=OpenAPIType.STRING, min_length=1, max_length=2048, description="Public, http or https."
            ),
            "title": Schema(one_of=[_TITLE, Schema(type=OpenAPIType.NULL)]),
            "metadata": text.properties["metadata"] if text.properties else Schema(),
            "team_id": _TEAM,
        },
        additional_properties=False,
    )
    return RequestBody(
        required=True,
        content={
            "multipart/form-data": OpenAPIMediaType(schema=form),
            "application/json": OpenAPIMediaType(schema=Schema(one_of=[text, url])),
        },
    )


@dataclass
class UploadOperation(Operation):
    request_body: RequestBody | None = field(default_factory=_request_body)

    def __post_init__(self) -> None:
        self.request_body = _request_body()
