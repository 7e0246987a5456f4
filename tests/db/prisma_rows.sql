-- Rows as the web application writes them: ids and times from the client, all kinds of values, some of them odd.
INSERT INTO "User" ("id", "clerkId", "email", "firstName", "username", "subscriptionTier", "stripeCustomerId",
                    "subscriptionEndsAt", "workflowsUsed", "storageUsed", "createdAt", "updatedAt", "lastLoginAt")
VALUES ('6f9619ff-8b86-4d01-b42d-00cf4fc964ff', 'user_2abc', 'ana@example.com', 'Ána', 'ana', 'PRO', 'cus_1',
        '2031-01-01 00:00:00.001', 3, 2147483647, '2024-02-29 23:59:59.999', '2024-03-01 00:00:00.5', NULL),
       ('u2', 'user_2def', 'bo@example.com', NULL, NULL, 'FREE', NULL, NULL, 0, 0, '2024-01-01', '2024-01-01',
        '2024-05-05 05:05:05.055');
INSERT INTO "Team" ("id", "name", "slug", "subscriptionTier", "updatedAt") VALUES ('t1', 'Ops', 'ops', 'ENTERPRISE', '2024-01-02');
INSERT INTO "TeamMember" ("id", "teamId", "userId", "role") VALUES ('m1', 't1', 'u2', 'OWNER');
INSERT INTO "ApiKey" ("id", "userId", "name", "key", "scopes", "expiresAt")
VALUES ('k1', 'u2', 'ci', 'ciphertext==', ARRAY['read', 'write'], '2030-01-01'), ('k2', 'u2', 'old', 'other==', NULL, NULL);
INSERT INTO "Notification" ("id", "userId", "type", "title", "message", "data")
VALUES ('n1', 'u2', 'TEAM_INVITE', 'Hi', E'line\nline', '{"a": [1, 2.50, null]}');
INSERT INTO "UsageLog" ("id", "userId", "resourceType", "resourceId", "action", "metadata")
VALUES ('l1', 'u2', 'document', 'd1', 'create', '{"bytes": 12}');
INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "settings", "status", "tags", "userId", "teamId", "updatedAt")
VALUES ('w1', 'Mail', '[{"id": "node-1"}]', '[]', '{}', 'ACTIVE', ARRAY['a', 'ü', ''], 'u2', 't1', '2024-01-03'),
       ('w2', '', '[]', '[]', NULL, 'DRAFT', NULL, '6f9619ff-8b86-4d01-b42d-00cf4fc964ff', NULL, '2024-01-03');
INSERT INTO "WorkflowVersion" ("id", "workflowId", "version", "nodes", "connections") VALUES ('v1', 'w1', 1, '[]', '[]');
INSERT INTO "WorkflowExecution" ("id", "workflowId", "userId", "status", "duration", "logs", "triggeredBy")
VALUES ('e1', 'w1', 'u2', 'TIMEOUT', 12, ARRAY['{"at": 1}', '"text"']::jsonb[], 'webhook');
INSERT INTO "WorkflowTrigger" ("id", "workflowId", "type", "config", "updatedAt") VALUES ('g1', 'w1', 'WEBHOOK', '{}', '2024-01-04');
INSERT INTO "WorkflowSchedule" ("id", "workflowId", "cronExpression", "updatedAt") VALUES ('s1', 'w1', '0 * * * *', '2024-01-04');
INSERT INTO "AIModel" ("id", "name", "provider", "modelId", "config", "totalCost", "updatedAt")
VALUES ('a1', 'Gemini 1.5 Flash', 'GEMINI', 'gemini-1.5-flash', '{"apiKey": "encrypted"}', 0.1, '2024-01-05');
INSERT INTO "AIConversation" ("id", "userId", "modelId", "messages", "cost", "updatedAt")
VALUES ('c1', 'u2', 'a1', ARRAY['{"role": "user", "content": "Hello, how are you?"}']::jsonb[], 1e-7, '2024-01-05');
INSERT INTO "Document" ("id", "userId", "title", "content", "metadata", "embedding", "sourceType", "sourceUrl", "updatedAt")
SELECT 'd' || n, 'u2', 'Title ' || n, repeat('word ', n), jsonb_build_object('n', n),
       ('[' || n || repeat(',0.25', 1535) || ']')::vector, 'url', 'https://example.com/' || n, '2024-01-06'
FROM generate_series(1, 40) AS n;
INSERT INTO "Document" ("id", "userId", "title", "content", "updatedAt") VALUES ('d0', 'nobody', '', '', '2024-01-06');
INSERT INTO "Template" ("id", "name", "description", "category", "tags", "nodes", "connections", "rating", "authorId", "authorName", "updatedAt")
VALUES ('p1', 'AI Content Generator', 'Generate blog posts with AI', 'Marketing', ARRAY['ai'], '{}', '{}', 4.5, 'system', 'AutomateAI', '2024-01-07');
INSERT INTO "Webhook" ("id", "userId", "url", "secret", "events", "updatedAt")
VALUES ('h1', 'u2', 'https://example.com/hook', 'whsec', ARRAY['workflow.success'], '2024-01-08');
