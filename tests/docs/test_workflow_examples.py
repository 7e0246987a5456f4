"""What the pages on workflows show is run as it stands, page by page, against a service with its worker."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, shell_lines
from tests.running import run_service

# A reply of 400 or more fails the example. Addresses of webhooks begin with what the service takes to be its own.
_CURL = """
set -euo pipefail
curl() { command curl --fail-with-body --max-time 60 "$@" | sed "s#$OUTSIDE#$API#g" && echo; }
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("page", ["executions", "triggers", "credentials"])
def test_examples_with_curl_work(database_url: str, tmp_path: Path, page: str) -> None:
    lines = [
        line for line in shell_lines(ROOT / "docs" / f"{page}.md") if line.startswith(("curl ", "export "))
    ]
    with run_service(database_url, tmp_path / ".docsearch") as service:
        names = f"API={service.url} OUTSIDE={service.settings.outside_url} KEY={service.key}"
        script = f"{names}\n{_CURL}\n" + "\n".join(lines)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
