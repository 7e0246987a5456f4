"""The documents' tables of scopes and roles are the access table's."""

import re

from service.auth.access import PERMISSIONS, SCOPES
from tests.docs.markdown import ROOT, table_rows


def test_scopes_are_those_of_the_access_table() -> None:
    rows = table_rows(ROOT / "docs" / "http.md", "scope")
    assert rows == [f"| `{name}` | {meaning} |" for name, meaning in SCOPES.items()]


def test_least_roles_are_those_of_the_access_table() -> None:
    rows = table_rows(ROOT / "docs" / "teams.md", "act")
    found = [tuple(re.findall(r"`([^`]+)`", row)) for row in rows]
    assert found == [(name, role.value) for name, role in PERMISSIONS.items()]
