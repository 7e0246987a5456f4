"""Stopping: whoever keeps a request open does not keep the process."""

import socket
from pathlib import Path

from tests.running import Service, run_service


def test_an_upload_that_stalls_does_not_hold_a_shutdown_up(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as stalled:
        with run_service(database_url, tmp_path, worker=False) as service:
            with service.client() as client:
                assert client.post("/v1/documents", json={"title": "t", "content": "c"}).status_code == 202
            stalled.settimeout(20)
            stalled.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
            stalled.sendall(_half_an_upload(service))
            assert stalled.recv(100).startswith(b"HTTP/1.1 100")  # the body is being read
            pool = service.runtime.pool
        assert pool.is_closing()


def _half_an_upload(service: Service) -> bytes:
    head = [
        "POST /v1/documents HTTP/1.1",
        "Host: docsearch",
        f"Authorization: Bearer {service.key}",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 100000",
        "Expect: 100-continue",
    ]
    part = ["--b", 'Content-Disposition: form-data; name="file"; filename="x.txt"', "", "half"]
    return "\r\n".join([*head, "", *part]).encode()
