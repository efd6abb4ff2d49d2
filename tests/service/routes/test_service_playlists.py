"""Uploads that name other files or addresses are refused, and neither is touched."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from routes_help import error_of

from playlists import PLAYLISTS, names_of, trap


@pytest.mark.parametrize("verb", ["classify", "localize", "search"])
def test_uploads_that_name_other_files(client: TestClient, tmp_path: Path, verb: str) -> None:
    with trap(tmp_path) as set_trap:
        for kind, write in PLAYLISTS.items():
            path = tmp_path / names_of(kind)[-1]
            write(path, set_trap)
            for name in names_of(kind):
                answer = client.post(
                    f"/api/{verb}",
                    files={"file": (name, path.read_bytes())},
                    data={} if verb == "search" else {"labels": "a"},
                )
                assert error_of(answer, 415).startswith(name)
                assert set_trap.touched() == [], name
