"""The shell blocks of docs/api/hooks.md work as printed, with real curl and openssl."""

import re
import subprocess

from tests.conftest import Caller
from tests.hooks import SECRETS, make_channel
from tests.test_docs import read

ENVIRONMENT = {
    "VERIFY_TOKEN": "TEST_VERIFY_TOKEN",
    "APP_SECRET": "TEST_APP_SECRET",
    "WEBHOOK_SECRET": "TEST_WEBHOOK_SECRET",
    "SIGNING_SECRET": "TEST_SIGNING_SECRET",
}


def test_every_block_works_as_printed(server: str, admin: Caller) -> None:
    for channel_type in ("whatsapp", "telegram", "webhook"):
        make_channel(channel_type)
    blocks = re.findall("```sh\n(.*?)```", read("docs/api/hooks.md"), re.DOTALL)
    known = {name: SECRETS[ours] for name, ours in ENVIRONMENT.items()}
    env = {**known, "ADMINS_TOKEN": admin.token, "PATH": "/usr/bin:/bin"}

    said = []
    for block in blocks:
        script = block.replace("http://localhost:8000", server).replace("curl ", "curl -sS --fail ")
        done = subprocess.run(["bash", "-ec", script], env=env, capture_output=True, check=False)
        assert done.returncode == 0, (block, done.stderr)
        said.append(done.stdout)

    assert said == [b"1158201444", b"", b"", b"", b"[]"]
    rows = admin.get("/api/conversations?include=client,last_message").json
    assert {row["channel"]: row["client"]["full_name"] for row in rows} == {
        "whatsapp": "Sheena Nelson",
        "telegram": "Ada Lovelace",
        "webhook": "Ada Lovelace",
    }
