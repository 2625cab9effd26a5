"""The front end of docs/live.md stays current."""

import re
import subprocess
from pathlib import Path
from typing import Any

from omnidesk.sample_data import demo
from tests.conftest import Caller, make_user, on_sqlite
from tests.servers import ROOT, environ

SHOW = """
const [desk, old] = process.argv.slice(2);
const token = tokenOf(desk, { access_token: old, expires_in: 0 });
if ((await token()) === old) throw new Error("The token was not exchanged");
let shown = 0;
await stayCurrent(desk, token, "/api/tickets?status=abierto", "ticket,client", (rows) => {
  console.log(rows.map((row) => row.subject).join());
  return ++shown < 2;
});
"""


@on_sqlite
def test_the_front_end_shows_what_others_change(server: str, app: Any, tmp_path: Path) -> None:
    demo.add()
    agent = Caller(app, make_user("tester"))
    (script,) = re.findall("```js\n(.*?)```", (ROOT / "docs/live.md").read_text(), re.DOTALL)
    program = tmp_path / "front_end.mjs"
    program.write_text(script + SHOW)

    with subprocess.Popen(
        ["node", program, server, agent.token],
        env=environ({"HOME": str(tmp_path)}),
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        first = running.stdout.readline()
        made = {"client_id": 55, "subject": "From somebody else"}
        agent.post("/api/clients", json={"full_name": "No ticket of this one"})
        agent.post("/api/tickets", json=made)
        second = running.stdout.readline()

    assert running.returncode == 0
    assert "From somebody else" not in first
    assert "From somebody else" in second
