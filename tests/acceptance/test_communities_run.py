"""Test the commands that compare communities.yaml with the sandbox's lists over HTTP."""

from collections.abc import Callable

from tests.adapter_process import AdapterProcess

# --- what is configured


# --- check


# --- pull


# --- pages and the rate


def test_both_commands_work_beside_adapter_run(start: Callable[..., AdapterProcess]) -> None:
    running = start()
    checked = running.run_command("communities", "check")
    assert (checked.returncode, checked.stderr) == (
        0,
        "PROPEXO_TOKEN is not set: these are the sandbox's lists\n",
    ), checked.stdout
    assert "elm-row:" in running.run_command("communities", "pull").stdout


# --- the routing report
