"""Workflows that n8n exported."""

from service.workflows.n8n.reading import Converted, convert_workflow, is_n8n

__all__ = ["Converted", "convert_workflow", "is_n8n"]
