"""The command line as a process: start-up, interruption, and what it starts itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_steps import run_json, run_ok

PROJECT = Path(__file__).resolve().parents[2]
POLYBOT = (sys.executable, "-c", "from polybot.cli import main; main()")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("POLYBOT_")},
    "PYTHONPATH": str(PROJECT),
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_interrupt_is_quiet_and_ends_with_130() -> None:
    """Ctrl-C at a question leaves no traceback behind."""
    run_ok("halt", "a reason to resume")
    process = subprocess.Popen(
        [*POLYBOT, "resume", "because"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stderr is not None
    asked = process.stderr.read(8)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, asked + rest
    assert b"Traceback" not in asked + rest


def test_help_imports_nothing_heavy() -> None:
    """The start of every command stays light."""
    code = (
        "import sys\nfrom polybot.cli import app\n"
        "heavy = {'prefect', 'sqlalchemy', 'ccxt', 'pandas', 'aiohttp', 'pydantic', 'rich.table'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["status", "trades", "halt", "reduce", "resume", "doctor", "sandbox", "demo", "up", "version"],
)
def test_every_command_explains_itself(command: str) -> None:
    """Help works without settings, ledger or network."""
    assert "Usage" in run_ok(command, "--help")


def test_versions_are_one_document() -> None:
    """Support questions start with these."""
    assert set(run_json("version")) == {"polybot", "python", "prefect"}


@pytest.mark.parametrize("command", ["demo", "up"])
def test_stack_commands_pass_their_options_on(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The deployment gets the options, its exit code is ours, and --home reaches its processes."""
    folder = tmp_path / "somewhere"
    package = folder / "deployments"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / f"{command}.py").write_text(
        "import json, os\n"
        "def run(**options):\n"
        "    home = os.environ.get('POLYBOT_HOME')\n"
        "    print(json.dumps({'home': home, **options}, default=str))\n"
        "    return 7\n"
    )
    done = subprocess.run(
        [*POLYBOT, "--home", "there", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**ENVIRONMENT, "PYTHONPATH": f"{folder}:{PROJECT}"},
    )
    assert done.returncode == 7, done.stderr
    options = json.loads(done.stdout)
    assert options["home"] == "there"
    expected = {
        "demo": {
            "windows": 8,
            "seed": 7,
            "replay": None,
            "keep": False,
            "as_json": False,
            "port": None,
        },
        "up": {"sandbox": False, "live": False, "port": 4200},
    }[command]
    assert {name: options[name] for name in expected} == expected


def test_sandbox_answers_the_doctor_and_stops_on_interrupt() -> None:
    """The venue on this machine runs, passes the doctor's endpoint checks, and ends quietly."""
    sandbox = subprocess.Popen(
        [*POLYBOT, "sandbox", "--port", "0", "--stepped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        assert sandbox.stdout is not None
        url = json.loads(sandbox.stdout.readline())["url"]
        doctor = subprocess.run(
            [*POLYBOT, "--mode", "sandbox", "doctor", "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**ENVIRONMENT, "POLYBOT_SANDBOX__URL": url},
        )
        checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
        for name in ("market discovery", "order book and clock", "market data"):
            assert checks[name]["passed"], checks[name]
        sandbox.send_signal(signal.SIGINT)
        _, errors = sandbox.communicate(timeout=30)
        assert (sandbox.returncode, errors) == (0, "")
    finally:
        sandbox.kill()
        sandbox.wait()
