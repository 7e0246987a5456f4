"""docs/operations.md has every metric, with the labels and the meaning that the code has."""

from prometheus_client.metrics import MetricWrapperBase

from service import metrics
from tests.docs.markdown import ROOT, table_rows

# The name that Prometheus stores a kind under: what one types into a query.
_SUFFIX = {"counter": "_total", "histogram": "_bucket", "gauge": ""}


def _row(metric: MetricWrapperBase) -> str:
    described = next(iter(metric.collect()))
    labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
    return f"| `{described.name}{_SUFFIX[described.type]}` | {labels} | {described.documentation} |"


def test_metrics_table_is_what_the_code_counts() -> None:
    ours = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    assert table_rows(ROOT / "docs" / "operations.md", "metric") == [_row(metric) for metric in ours]
