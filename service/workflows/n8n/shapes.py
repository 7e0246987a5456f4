"""Where n8n's items have their fields in other places than ours: what each node of a workflow gives."""

from collections.abc import Mapping, Sequence

from service.workflows.n8n.connections import Link
from service.workflows.n8n.expressions import Shape

_GIVEN: Mapping[str, Shape] = {
    "webhook": "webhook",
    "httpRequest": "http",
    "openAi": "model",
    "chainLlm": "model",
    "agent": "model",
}
_PASS_ON = frozenset(
    {"if", "filter", "switch", "noOp", "wait", "splitInBatches", "merge", "respondToWebhook"}
)
"""Whose items are those that came in."""
_SAYS_NOTHING = frozenset({"manualTrigger", "start", "scheduleTrigger", "cron"})
"""Triggers whose items have no body: beside a webhook, what follows them is written for the webhook's."""


def shapes_of(kinds: Mapping[str, str], links: Sequence[Link]) -> dict[str, Shape]:
    """Return what each node gives, by its name; plain where it passes on items of several kinds."""
    hooked = {link.target for link in links if link.kind == "main" and kinds.get(link.source) == "webhook"}
    beside = {link.source for link in links if link.kind == "main" and link.target in hooked}
    given: dict[str, set[Shape]] = {
        name: set()
        if kind in _PASS_ON
        else {"webhook" if kind in _SAYS_NOTHING and name in beside else _GIVEN.get(kind, "plain")}
        for name, kind in kinds.items()
    }
    flows = [
        (link.source, link.target)
        for link in links
        if link.kind == "main" and link.source in kinds and kinds.get(link.target) in _PASS_ON
    ]
    grows = True
    while grows:
        grows = False
        for source, target in flows:
            if not given[source] <= given[target]:
                given[target] |= given[source]
                grows = True
    return {name: next(iter(shapes)) if len(shapes) == 1 else "plain" for name, shapes in given.items()}
