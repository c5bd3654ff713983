"""communities.yaml against Propexo's lists, over HTTP to the sandbox; and the routing report."""

from collections.abc import Callable

from tests.adapter_process import Running

# --- what is configured


# --- check


# --- pull


# --- pages and the rate


def test_both_commands_work_beside_adapter_run(start: Callable[..., Running]) -> None:
    running = start()
    checked = running.adapter("communities", "check")
    assert (checked.returncode, checked.stderr) == (
        0,
        "PROPEXO_TOKEN is not set: these are the sandbox's lists\n",
    ), checked.stdout
    assert "elm-row:" in running.adapter("communities", "pull").stdout


# --- the routing report
