"""The worker is lean: it imports no routes, schemas or documentation."""

import subprocess
import sys

from tests.servers import ROOT, environ

TOO_MUCH = (
    "omnidesk.http",
    "omnidesk.application",
    "flask_smorest",
    "apispec",
    "limits",
    "gunicorn",
)
PROGRAM = f"""
import sys
import omnidesk.worker.__main__
print(*sorted(set({TOO_MUCH}) & set(sys.modules)))
"""


def test_the_worker_imports_nothing_of_http() -> None:
    command = [sys.executable, "-c", PROGRAM]

    done = subprocess.run(
        command, cwd=ROOT, env=environ({}), capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
