"""What is in deploy/: checked by the tools that read it, and against the settings that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnidesk.changes.schemas import MAX_WAIT
from tests.conftest import KEY
from tests.postgres import free_port
from tests.servers import BIN, NGINX, ROOT, environ
from tests.test_docs import in_first_column, read
from tests.test_nginx import certify

DEPLOY = ROOT / "deploy"
SERVICES = sorted(DEPLOY.glob("*.service"))
UNITS = [*SERVICES, *sorted(DEPLOY.glob("*.timer"))]
MAX_EXPOSURE = 20  # in tenths, of `systemd-analyze security`: from 0, safe, to 100
# Settings that other programs know.
OTHERS = {"DESK_HOST", "PATH", "POSTGRES_PASSWORD", "POSTGRES_USER", "PYTHONDONTWRITEBYTECODE"}

with_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


def run(*command: Any, **kwargs: Any) -> str:
    """Return what a command has printed; raise AssertionError if it fails."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, check=False, timeout=60, **pipes, **kwargs)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def ids(path: Path) -> str:
    """Return the name of a file."""
    return path.name


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=ids)
def test_systemd_understands_each_unit(unit: Path, tmp_path: Path) -> None:
    for each in UNITS:  # a timer needs its service
        text = each.read_text().replace("/opt/omnidesk/.venv/bin", str(BIN))
        (tmp_path / each.name).write_text(text)

    assert run("systemd-analyze", "verify", tmp_path / unit.name) == ""


@with_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=ids)
def test_no_unit_can_do_more_than_it_needs(unit: Path) -> None:
    run("systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", unit)


def test_all_units_are_confined_alike() -> None:
    confined = {unit.read_text().partition("CapabilityBoundingSet=")[2] for unit in SERVICES}

    assert len({text.partition("\n\n[Install]")[0].strip() for text in confined}) == 1
    assert all(confined)


def test_what_takes_long_is_not_ended() -> None:
    for unit in SERVICES:
        assert "TimeoutStartSec=infinity" in unit.read_text().splitlines(), unit


def compose() -> Any:
    """Return the services of the compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_every_setting_that_is_set_exists() -> None:
    known = set(re.findall(r"""env\.\w+\(\s*"([A-Z_]+)\"""", read("config.py"))) | OTHERS
    units = "\n".join(unit.read_text() for unit in SERVICES)
    image = (DEPLOY / "Containerfile").read_text()

    used = set(re.findall(r"^Environment=([A-Z_]+)=", units, re.MULTILINE))
    used |= set(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", image, re.MULTILINE))
    used |= {name for service in compose().values() for name in service.get("environment", {})}

    assert {"BACKUP_DIR", "DATABASE_URL", "OMNIDESK_ENV", "SECRET_KEY"} <= used
    assert used <= known


def test_every_command_that_is_run_exists() -> None:
    known = set(re.findall("^`([a-z-]+)[^`]*`", in_first_column("README.md"), re.MULTILINE))
    units = "\n".join(unit.read_text() for unit in SERVICES)

    run_by_units = set(re.findall(r"flask --app wsgi ([a-z-]+)", units))

    run_by_compose = {compose()[name]["command"][-1] for name in ("init-db", "worker")}

    assert run_by_units == {"backup", "init-db", "prune", "worker"}
    assert run_by_units | run_by_compose <= known


@pytest.mark.parametrize("page", ["README.md", "docs/operations/postgresql.md"])
def test_the_role_that_is_made_may_do_what_a_backup_needs(page: str) -> None:
    assert "sudo -u postgres createuser --createdb omnidesk\n" in read(page)


def test_commands_know_the_proxies_that_the_unit_trusts() -> None:
    (trusted,) = re.findall(
        "^Environment=(TRUSTED_PROXIES=.*)$", read("deploy/omnidesk.service"), re.MULTILINE
    )

    assert rf"\n{trusted}\n" in read("README.md"), "they read no unit, but /etc/omnidesk.env"


def test_the_containerfile_has_no_known_mistakes() -> None:
    assert run(BIN / "hadolint", DEPLOY / "Containerfile") == ""


def test_the_compose_file_has_the_form_of_one() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")

    run(BIN / "check-jsonschema", *schema, DEPLOY / "compose.yaml")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with what the Containerfile copies, but for the packages."""
    copied = re.findall(
        r"^COPY ([^-].*) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE
    )
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert f"!{name}" in allowed
        copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_image_has_all_that_the_server_needs(image: Path) -> None:
    (image / "data").mkdir()
    settings = {"SECRET_KEY": KEY, "DATABASE_URL": f"sqlite:///{image}/data/desk.db"}

    for command in (
        ["flask", "--app", "wsgi", "init-db"],
        ["gunicorn", "--check-config", "wsgi:app"],
    ):
        run(BIN / command[0], *command[1:], env=environ(settings), cwd=image)

    assert not (image / "instance").exists(), "the root of the image is read-only"


def test_the_command_of_nginx_makes_a_site_that_nginx_understands(tmp_path: Path) -> None:
    shell, option, script = compose()["nginx"]["command"]
    for inside, here in (
        ("/etc/nginx/omnidesk.conf", str(DEPLOY / "nginx.conf")),
        ("/etc/nginx/conf.d/omnidesk.conf", str(tmp_path / "site.conf")),
        ('&& exec nginx -g "daemon off;"', ""),
        ("$$", "$"),
    ):
        assert inside in script
        script = script.replace(inside, here)
    run(shell, option, script, env={"PATH": "/usr/bin:/bin", "DESK_HOST": "help.example.org"})

    site = (tmp_path / "site.conf").read_text()
    assert "desk.example.com" not in site
    assert re.findall("server (unix:[^;]+);", site)[0] in compose()["omnidesk"]["command"]
    check_site(site.replace("/etc/letsencrypt/live/help.example.org", str(tmp_path)), tmp_path)


def check_site(site: str, folder: Path) -> None:
    """Let nginx check a site, which binds its ports for it; raise AssertionError."""
    certify(folder)
    site = re.sub(r"\n *listen \[::\].*", "", site)
    site = re.sub(r"listen \d+", lambda _: f"listen 127.0.0.1:{free_port()}", site)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, site=site))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    run(program, "-t", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log")


def test_who_waits_for_changes_is_answered_before_nginx_and_gunicorn_give_up() -> None:
    nginx = re.findall(r"proxy_read_timeout (\d+)s;", read("deploy/nginx.conf"))
    gunicorn = re.findall(r"^\w*timeout = (\d+)$", read("gunicorn.conf.py"), re.MULTILINE)

    assert len(nginx) + len(gunicorn) == 3
    assert min(map(int, nginx + gunicorn)) >= MAX_WAIT + 5
