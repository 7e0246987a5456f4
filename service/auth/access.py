"""Who may do what, in two tables: the scope that each route needs of a key, and the role that each act needs in a team.

The guard, the documents and the tests read these; migration 0007 says the same of rows, and a test compares them.
"""

from collections.abc import Mapping
from enum import StrEnum

SCOPES: Mapping[str, str] = {
    "documents:read": "List and read documents.",
    "documents:write": "Upload, change and delete documents.",
    "search": "Search.",
    "conversations:read": "Read conversations.",
    "conversations:write": "Ask, and hold conversations.",
    "workflows:read": "Read workflows and their executions.",
    "workflows:write": "Change workflows.",
    "workflows:run": "Run workflows.",
    "account:read": "Read the account and its plan.",
    "account:write": "Change and delete the account.",
    "keys": "Make, list and revoke API keys, of no more scopes than one's own.",
    "teams:read": "Read teams, their members and their audit log.",
    "teams:write": "Make and change teams, members and invitations.",
    "webhooks:read": "Read webhooks and their deliveries.",
    "webhooks:write": "Make and change webhooks.",
    "notifications": "Read notifications and mark them read.",
    "usage:read": "Read usage.",
    "admin": "All of these.",
}
"""What a key may be allowed. A person who is signed in may all of it."""

PUBLIC = None
"""A route that is open to everybody."""

ROUTES: Mapping[str, str | None] = {
    "POST /v1/documents": "documents:write",
    "GET /v1/documents": "documents:read",
    "GET /v1/documents/{document_id}": "documents:read",
    "PATCH /v1/documents/{document_id}": "documents:write",
    "DELETE /v1/documents/{document_id}": "documents:write",
    "POST /v1/documents/{document_id}/retry": "documents:write",
    "GET /v1/documents/{document_id}/content": "documents:read",
    "GET /v1/documents/{document_id}/text": "documents:read",
    "GET /v1/documents/{document_id}/chunks": "documents:read",
    "GET /v1/documents/{document_id}/events": "documents:read",
    "POST /v1/search": "search",
    "POST /v1/answers": "search",
    "GET /v1/models": "conversations:read",
    "GET /v1/models/{model_name}": "conversations:read",
    "POST /v1/embeddings": "search",
    "POST /v1/chat/completions": "conversations:write",
    "POST /v1/responses": "conversations:write",
    "POST /v1/conversations": "conversations:write",
    "GET /v1/conversations": "conversations:read",
    "GET /v1/conversations/{conversation_id}": "conversations:read",
    "GET /v1/conversations/{conversation_id}/export": "conversations:read",
    "PATCH /v1/conversations/{conversation_id}": "conversations:write",
    "DELETE /v1/conversations/{conversation_id}": "conversations:write",
    "POST /v1/conversations/{conversation_id}/messages": "conversations:write",
    "POST /v1/conversations/{conversation_id}/messages/{message_id}/regenerate": "conversations:write",
    "POST /v1/conversations/{conversation_id}/messages/{message_id}/stop": "conversations:write",
    "GET /v1/conversations/{conversation_id}/messages/{message_id}/events": "conversations:read",
    "GET /v1/ai/models": "conversations:read",
    "GET /v1/ai/models/{model_id}": "conversations:read",
    # And the person an administrator.
    "POST /v1/ai/models": "admin",
    "PATCH /v1/ai/models/{model_id}": "admin",
    "DELETE /v1/ai/models/{model_id}": "admin",
    "POST /v1/ai/models/{model_id}/test": "admin",
    # What its tools do needs the scopes of the routes that they call.
    "POST /mcp": "search",
    "POST /dify/retrieval": "search",
    "GET /v1/users/me": "account:read",
    "PATCH /v1/users/me": "account:write",
    "DELETE /v1/users/me": "account:write",
    "POST /v1/api-keys": "keys",
    "GET /v1/api-keys": "keys",
    "GET /v1/api-keys/{key_id}": "keys",
    "PATCH /v1/api-keys/{key_id}": "keys",
    "DELETE /v1/api-keys/{key_id}": "keys",
    "POST /v1/teams": "teams:write",
    "GET /v1/teams": "teams:read",
    "GET /v1/teams/{team_id}": "teams:read",
    "PATCH /v1/teams/{team_id}": "teams:write",
    "DELETE /v1/teams/{team_id}": "teams:write",
    "GET /v1/teams/{team_id}/members": "teams:read",
    "PATCH /v1/teams/{team_id}/members/{user_id}": "teams:write",
    "DELETE /v1/teams/{team_id}/members/{user_id}": "teams:write",
    "POST /v1/teams/{team_id}/transfer": "teams:write",
    "POST /v1/teams/{team_id}/invitations": "teams:write",
    "GET /v1/teams/{team_id}/invitations": "teams:read",
    "DELETE /v1/teams/{team_id}/invitations/{invitation_id}": "teams:write",
    "GET /v1/teams/{team_id}/audit": "teams:read",
    "GET /v1/invitations": "teams:read",
    "POST /v1/invitations/{invitation_id}/accept": "teams:write",
    "POST /v1/invitations/{invitation_id}/decline": "teams:write",
    "GET /v1/notifications": "notifications",
    "GET /v1/notifications/unread-count": "notifications",
    "GET /v1/notifications/events": "notifications",
    "POST /v1/notifications/read-all": "notifications",
    "POST /v1/notifications/{notification_id}/read": "notifications",
    "DELETE /v1/notifications/{notification_id}": "notifications",
    "GET /v1/usage": "usage:read",
    "GET /v1/plan": "account:read",
    "GET /v1/budgets": "usage:read",
    # Or a key could raise what was set for it.
    "PUT /v1/budgets/{kind}/{subject_id}": "admin",
    "DELETE /v1/budgets/{kind}/{subject_id}": "admin",
    "POST /v1/webhooks": "webhooks:write",
    "GET /v1/webhooks": "webhooks:read",
    "GET /v1/webhooks/{webhook_id}": "webhooks:read",
    "PATCH /v1/webhooks/{webhook_id}": "webhooks:write",
    "DELETE /v1/webhooks/{webhook_id}": "webhooks:write",
    "POST /v1/webhooks/{webhook_id}/rotate-secret": "webhooks:write",
    "POST /v1/webhooks/{webhook_id}/test": "webhooks:write",
    "GET /v1/webhooks/{webhook_id}/deliveries": "webhooks:read",
    "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}": "webhooks:read",
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": "webhooks:write",
    "GET /v1/templates": "workflows:read",
    "GET /v1/templates/{template_id}": "workflows:read",
    "POST /v1/templates": "workflows:write",
    "PATCH /v1/templates/{template_id}": "workflows:write",
    "DELETE /v1/templates/{template_id}": "workflows:write",
    "POST /v1/templates/{template_id}/clone": "workflows:write",
    "PUT /v1/templates/{template_id}/rating": "workflows:write",
    "DELETE /v1/templates/{template_id}/rating": "workflows:write",
    # As OpenAI's clients call them.
    "POST /v1/files": "documents:write",
    "GET /v1/files": "documents:read",
    "GET /v1/files/{file_id}": "documents:read",
    "GET /v1/files/{file_id}/content": "documents:read",
    "DELETE /v1/files/{file_id}": "documents:write",
    "POST /v1/vector_stores": "documents:write",
    "GET /v1/vector_stores": "documents:read",
    "GET /v1/vector_stores/{vector_store_id}": "documents:read",
    "POST /v1/vector_stores/{vector_store_id}": "documents:write",
    "DELETE /v1/vector_stores/{vector_store_id}": "documents:write",
    "POST /v1/vector_stores/{vector_store_id}/search": "search",
    "POST /v1/vector_stores/{vector_store_id}/files": "documents:write",
    "GET /v1/vector_stores/{vector_store_id}/files": "documents:read",
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}": "documents:read",
    "POST /v1/vector_stores/{vector_store_id}/files/{file_id}": "documents:write",
    "DELETE /v1/vector_stores/{vector_store_id}/files/{file_id}": "documents:write",
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}/content": "documents:read",
    "POST /v1/vector_stores/{vector_store_id}/file_batches": "documents:write",
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": "documents:read",
    "POST /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": "documents:write",
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": "documents:read",
    # Signed by their senders, and checked by their handlers.
    "POST /v1/clerk/webhook": PUBLIC,
    "POST /v1/stripe/webhook": PUBLIC,
    # Nothing of anybody's.
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /": PUBLIC,
    "GET /console/{name}": PUBLIC,
    "GET /schema": PUBLIC,
    "GET /schema/openapi.json": PUBLIC,
    "GET /schema/{path}": PUBLIC,
}
"""Method and path → the scope that a key needs. A route without a row is not served."""


class Role(StrEnum):
    """In falling order; each may what the next one may."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) <= order.index(other)


PERMISSIONS: Mapping[str, Role] = {
    "team:read": Role.VIEWER,
    "documents:read": Role.VIEWER,
    "search": Role.VIEWER,
    "conversations:read": Role.VIEWER,
    "workflows:read": Role.VIEWER,
    "documents:write": Role.MEMBER,
    "conversations:write": Role.MEMBER,
    "workflows:write": Role.MEMBER,
    "workflows:run": Role.MEMBER,
    "team:update": Role.ADMIN,
    "members:manage": Role.ADMIN,
    "webhooks:manage": Role.ADMIN,
    "usage:read": Role.ADMIN,
    "owners:manage": Role.OWNER,
    "audit:read": Role.OWNER,
    "billing:manage": Role.OWNER,
    "team:delete": Role.OWNER,
}
"""Act → the least role in the team that may do it."""
