"""The upload's request body, which its signature cannot say."""

from dataclasses import dataclass, field

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema


def _request_body() -> RequestBody:
    form = Schema(
        type=OpenAPIType.OBJECT,
        required=["file", "purpose"],
        properties={
            "file": Schema(
                type=OpenAPIType.STRING,
                content_media_type="application/octet-stream",
                description="In one of the formats that POST /v1/documents takes.",
            ),
            "purpose": Schema(type=OpenAPIType.STRING, enum=["assistants", "user_data"]),
            "expires_after[anchor]": Schema(type=OpenAPIType.STRING, enum=["created_at"]),
            "expires_after[seconds]": Schema(
                type=OpenAPIType.INTEGER,
                minimum=3600,
                maximum=2592000,
                description="With the anchor: after how many seconds the file is deleted.",
            ),
        },
        additional_properties=False,
    )
    return RequestBody(required=True, content={"multipart/form-data": OpenAPIMediaType(schema=form)})


@dataclass
class FileOperation(Operation):
    request_body: RequestBody | None = field(default_factory=_request_body)

    def __post_init__(self) -> None:
        self.request_body = _request_body()
