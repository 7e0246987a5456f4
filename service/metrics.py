"""Prometheus metrics: what an operator would ask of requests, ingestion, search and the queue."""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

REQUESTS = Counter("docsearch_http_requests", "Requests by route and status.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "docsearch_http_request_seconds", "Time to answer, by route.", ["method", "route"]
)
DOCUMENTS_INGESTED = Counter("docsearch_documents_ingested", "Finished ingestions by outcome.", ["outcome"])
CHUNKS_STORED = Counter("docsearch_chunks_stored", "Chunks stored.")
INGEST_SECONDS = Histogram(
    "docsearch_ingest_seconds",
    "Time from a claimed document to its end.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900),
)
SEARCH_SECONDS = Histogram(
    "docsearch_search_seconds",
    "Time of a search by part.",
    ["part"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
SEARCHES = Counter("docsearch_searches", "Searches by mode and plan.", ["mode", "plan"])
UNFINISHED = Gauge("docsearch_documents_unfinished", "Documents queued or processing.", ["status"])
WEBHOOK_ATTEMPTS = Counter(
    "docsearch_webhook_attempts", "Attempts to deliver an event, by verdict.", ["verdict"]
)
WEBHOOKS_PENDING = Gauge(
    "docsearch_webhook_deliveries_pending",
    "Events on their way to a webhook, by when: due or later.",
    ["when"],
)
WEBHOOK_OLDEST_SECONDS = Gauge(
    "docsearch_webhook_oldest_pending_seconds", "Age of the oldest event that is on its way to a webhook."
)
WEBHOOK_SECONDS = Histogram(
    "docsearch_webhook_seconds",
    "Time until a webhook's receiver answered.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
WORKFLOW_RUNS = Counter(
    "docsearch_workflow_runs", "Runs of workflows that ended here, by status.", ["status"]
)
WORKFLOW_NODE_SECONDS = Histogram(
    "docsearch_workflow_node_seconds",
    "Time of a node's turn, by its type.",
    ["type"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300),
)
WORKFLOW_RUNS_UNFINISHED = Gauge(
    "docsearch_workflow_runs_unfinished",
    "Runs that have not ended, by state: queued, active, waiting or abandoned.",
    ["state"],
)
WORKFLOW_SCHEDULE_LATE_SECONDS = Gauge(
    "docsearch_workflow_schedule_late_seconds", "How long the schedule that is due longest has been due."
)
POOL_IDLE = Gauge("docsearch_database_connections_idle", "Open connections that nobody uses.")
POOL_SIZE = Gauge("docsearch_database_connections", "Open connections.")

__all__ = [
    "CHUNKS_STORED",
    "DOCUMENTS_INGESTED",
    "INGEST_SECONDS",
    "POOL_IDLE",
    "POOL_SIZE",
    "REGISTRY",
    "REQUESTS",
    "REQUEST_SECONDS",
    "SEARCHES",
    "SEARCH_SECONDS",
    "UNFINISHED",
    "WEBHOOKS_PENDING",
    "WEBHOOK_ATTEMPTS",
    "WEBHOOK_OLDEST_SECONDS",
    "WEBHOOK_SECONDS",
    "WORKFLOW_NODE_SECONDS",
    "WORKFLOW_RUNS",
    "WORKFLOW_RUNS_UNFINISHED",
    "WORKFLOW_SCHEDULE_LATE_SECONDS",
]
