"""The shell blocks of docs/api/hooks.md work as printed, with real curl and openssl."""

import re
import subprocess
from pathlib import Path
from typing import Any

from omnidesk.sample_data import demo
from tests.conftest import Caller, make_user
from tests.servers import gunicorn
from tests.test_docs import read

PAGE = "docs/api/hooks.md"


def test_every_block_works_as_printed(
    app: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    demo.add()
    admin = Caller(app, make_user("tester", role="admin"))
    exported = dict(re.findall("^export ([A-Z_]+)=(.*)$", read(PAGE), re.MULTILINE))
    with gunicorn(environment | exported, tmp_path) as server:
        said = []
        for block in re.findall("```sh\n(.*?)```", read(PAGE), re.DOTALL):
            script = block.replace("http://localhost:8000", server)
            script = script.replace("curl ", "curl -sS --fail ").replace(
                "<admin's token>", admin.token
            )
            env = {**exported, "PATH": "/usr/bin:/bin"}
            done = subprocess.run(
                ["bash", "-ec", script], env=env, capture_output=True, check=False
            )
            assert done.returncode == 0, (block, done.stderr)
            said.append(done.stdout)

    assert len(exported) == 4
    assert said[1:] == [b"1158201444", b"", b"", b"", b"[]"]
    rows = admin.get("/api/conversations?include=client,last_message").json
    clients = {row["channel"]: row["client"]["full_name"] for row in rows}
    assert {name: clients[name] for name in clients if name.startswith("shop-")} == {
        "shop-whatsapp": "Sheena Nelson",
        "shop-telegram": "Ada Lovelace",
        "shop-app": "Ada Lovelace",
    }
