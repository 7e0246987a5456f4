"""Somebody with something in every table, alone and in teams, to be deleted."""

import uuid
from dataclasses import dataclass
from typing import Any

from tests.running import Service
from tests.service.accounts.conftest import fetch

PERSONAL = "The personal boiler is serviced every October."
SHARED = "The shared boiler is serviced every November."
ALONE = "The lonely boiler is serviced every December."


@dataclass(frozen=True)
class World:
    ann: str
    key: str
    bob: str
    bobs_key: str
    shared: str
    """Ann and Bob own it, Bob for longer."""
    alone: str
    """Ann is its only member."""
    left: str
    """Ann has left it, and something of hers is still there."""


def make_team(server: Service, name: str, **roles: str) -> str:
    """Return a new team of the people given by id, in the order in which they joined."""
    [team] = fetch(server, 'INSERT INTO "Team" ("name", "slug") VALUES ($1, $1) RETURNING "id"', name)
    for after_s, (user_id, role) in enumerate(roles.items()):
        fetch(
            server,
            """
            INSERT INTO "TeamMember" ("teamId", "userId", "role", "joinedAt")
            VALUES ($1, $2, $3::"TeamRole", now() + make_interval(secs => $4))
            """,
            team["id"],
            user_id,
            role,
            float(after_s),
        )
    return str(team["id"])


def new_person(server: Service, email: str) -> tuple[str, str]:
    """Return id and key of a new person."""
    key = server.new_user(email)
    [row] = fetch(server, 'SELECT "id" FROM "User" WHERE "email" = $1', email)
    return row["id"], key


def upload(server: Service, key: str, content: str, **fields: Any) -> str:
    body = {"title": content.split(" is ")[0], "content": content} | fields
    with server.client(key) as client:
        reply = client.post(
            "/v1/documents?wait=30", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}
        )
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def make_world(server: Service) -> World:
    bob, bobs_key = new_person(server, "bob@example.com")
    ann, key = new_person(server, "ann@example.com")
    shared = make_team(server, "shared", **{bob: "OWNER", ann: "OWNER"})
    alone = make_team(server, "alone", **{ann: "OWNER"})
    left = make_team(server, "left", **{bob: "OWNER"})
    upload(server, key, PERSONAL)
    upload(server, key, SHARED, team_id=shared)
    upload(server, key, ALONE, team_id=alone)
    names = {"ann": ann, "bob": bob, "shared": shared, "alone": alone, "left": left}
    for statement in _ROWS.split(";\n"):
        sql = statement
        for name, value in names.items():
            sql = sql.replace(f"<{name}>", value)
        fetch(server, sql)
    return World(ann, key, bob, bobs_key, shared, alone, left)


# As the slices and the web application write them; ids are put in by name.
_ROWS = """
INSERT INTO "Notification" ("userId", "type", "title", "message") VALUES ('<ann>', 'SYSTEM', 'Hello', 'Welcome');
INSERT INTO "Notification" ("userId", "type", "title", "message", "data")
VALUES ('<bob>', 'TEAM_INVITE', 'ann@example.com has joined', 'See <ann>', '{"user_id": "<ann>"}');
INSERT INTO "UsageLog" ("userId", "resourceType", "action") VALUES ('<ann>', 'search', 'query');
INSERT INTO "UsageLog" ("userId", "resourceType", "action", "teamId", "keyId", "tokens")
SELECT '<ann>', 'search', 'query', '<shared>', "id", 7 FROM "ApiKey" WHERE "userId" = '<ann>';
INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId") VALUES ('own', 'Own', '[]', '[]', '<ann>');
INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId", "teamId")
VALUES ('teams', 'Team''s', '[]', '[]', '<ann>', '<shared>'), ('lone', 'Lone', '[]', '[]', '<ann>', '<alone>'),
       ('left', 'Left', '[]', '[]', '<ann>', '<left>');
INSERT INTO "WorkflowVersion" ("workflowId", "version", "nodes", "connections") VALUES ('own', 1, '[]', '[]');
INSERT INTO "WorkflowTrigger" ("workflowId", "type", "config") VALUES ('own', 'MANUAL', '{}');
INSERT INTO "WorkflowSchedule" ("workflowId", "cronExpression") VALUES ('own', '0 * * * *');
INSERT INTO "WorkflowExecution" ("workflowId", "userId") VALUES ('own', '<ann>'), ('teams', '<ann>'), ('lone', '<ann>');
INSERT INTO workflow_run (execution_id, workflow_id, space_id, version, root_id, time_left_s, plan)
SELECT e."id", w."id", COALESCE(w."teamId", w."userId"), 1, e."id", 60, '{"trigger": {"user_id": "<ann>"}}'
FROM "WorkflowExecution" e JOIN "Workflow" w ON w."id" = e."workflowId" WHERE w."id" <> 'teams';
INSERT INTO workflow_run (execution_id, workflow_id, space_id, version, root_id, time_left_s)
SELECT "id", 'teams', '<shared>', 1, "id", 60 FROM "WorkflowExecution" WHERE "workflowId" = 'teams';
INSERT INTO credential (user_id, team_id, name, kind, sealed)
VALUES ('<ann>', NULL, 'own', 'bearer', 's'), ('<ann>', '<shared>', 'shared', 'bearer', 's'),
       ('<ann>', '<alone>', 'alone', 'bearer', 's'), ('<ann>', '<left>', 'left', 'bearer', 's');
INSERT INTO "AIModel" ("id", "name", "provider", "modelId", "config") VALUES ('model', 'M', 'OPENAI', 'm', '{}');
INSERT INTO "AIConversation" ("userId", "modelId", "title", "teamId")
VALUES ('<ann>', 'model', 'own', NULL), ('<ann>', 'model', 'teams', '<shared>'),
       ('<ann>', 'model', 'lone', '<alone>');
INSERT INTO conversation_turn (id, conversation_id, question_id, user_id, model_id)
SELECT gen_random_uuid(), "id", gen_random_uuid(), '<ann>', 'model' FROM "AIConversation" WHERE "userId" = '<ann>';
INSERT INTO "Template"
    ("name", "description", "category", "nodes", "connections", "authorId", "authorName", "isPublished")
VALUES ('Public', '', 'x', '[]', '[]', '<ann>', 'Ann Lee', true),
       ('Draft', '', 'x', '[]', '[]', '<ann>', 'Ann Lee', false);
INSERT INTO template_rating (template_id, user_id, stars)
SELECT t."id", rated.by, rated.stars
FROM "Template" t, (VALUES ('<ann>', 5), ('<bob>', 2)) AS rated (by, stars) WHERE t."isPublished";
INSERT INTO "Webhook" ("id", "userId", "url", "secret", "teamId")
VALUES ('hook-own', '<ann>', 'https://a.example.com', 's', NULL),
       ('hook-team', '<ann>', 'https://b.example.com', 's', '<shared>');
INSERT INTO collection (id, user_id, team_id)
VALUES ('vs_' || md5('own'), '<ann>', NULL), ('vs_' || md5('shared'), '<ann>', '<shared>'),
       ('vs_' || md5('alone'), '<ann>', '<alone>'), ('vs_' || md5('left'), '<ann>', '<left>');
INSERT INTO collection_document (collection_id, space_id, document_id)
SELECT c.id, c.space_id, d."id" FROM collection c JOIN "Document" d ON d."spaceId" = c.space_id;
INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body)
VALUES ('hook-own', 'e1', 'document.ready', '{}'),
       ('hook-team', 'e2', 'team.member_added', '{"user_id": "<ann>", "email": "ann@example.com"}');
INSERT INTO team_invitation (team_id, email, role, invited_by)
VALUES ('<shared>', 'cid@example.com', 'MEMBER', '<ann>'), ('<left>', 'Ann@Example.com', 'MEMBER', '<bob>');
INSERT INTO stripe_subscription (id, customer_id, user_id) VALUES ('sub_1', 'cus_1', '<ann>');
INSERT INTO rate_limit (subject, window_s, started_at, requests) VALUES ('user:<ann>', 60, now(), 1);
INSERT INTO rate_limit (subject, window_s, started_at, requests)
SELECT 'key:' || "id", 60, now(), 1 FROM "ApiKey" WHERE "userId" = '<ann>'
"""
