"""Which of n8n's node types become which of ours."""

from collections.abc import Mapping

from service.workflows.n8n import conditions, fields, flow, models, requests, triggers
from service.workflows.n8n.flow import Converter

CONVERTERS: Mapping[str, Converter] = {
    "manualTrigger": triggers.manual,
    "start": triggers.manual,
    "executeWorkflowTrigger": triggers.called,
    "errorTrigger": triggers.called,
    "webhook": triggers.webhook,
    "scheduleTrigger": triggers.schedule,
    "cron": triggers.cron,
    "httpRequest": requests.http_request,
    "set": fields.set_fields,
    "if": conditions.if_node,
    "filter": conditions.filter_node,
    "switch": conditions.switch_node,
    "openAi": models.open_ai,
    "chainLlm": models.chain,
    "agent": models.chain,
    **flow.FLOW,
}

DRAWN_ONLY = frozenset({"stickyNote"})
"""Notes on the canvas."""
