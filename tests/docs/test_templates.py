"""docs/templates.md lists the templates that come along."""

from service.templates.seeds import seeded_templates
from tests.docs.markdown import ROOT, table_rows


def test_the_templates_that_come_along_are_those_of_the_page() -> None:
    rows = [row.split("|") for row in table_rows(ROOT / "docs" / "templates.md", "template")]
    listed = sorted((row[1].strip().strip("`"), row[2].strip(), row[4].strip()) for row in rows)
    assert listed == sorted(
        (one.name, one.category, "yes" if any(node["type"] == "ai" for node in one.nodes) else "no")
        for one in seeded_templates()
    )
