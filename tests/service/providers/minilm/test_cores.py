"""A container's quota counts, not the machine it runs on."""

from pathlib import Path

import pytest

from service.providers.minilm import cores


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000", None),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 0),
        ("nonsense", None),
    ],
)
def test_a_quota_is_read(tmp_path: Path, content: str, expected: int | None):
    path = tmp_path / "cpu.max"
    path.write_text(content)
    assert cores.read_quota(path) == expected


def test_no_quota_where_there_are_no_containers(tmp_path: Path):
    assert cores.read_quota(tmp_path / "absent") is None


def test_there_is_always_a_core_to_use():
    assert cores.usable_cores() >= 1
