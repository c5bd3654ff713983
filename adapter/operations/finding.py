"""Define findings of ``adapter doctor``, and run its checks in parallel."""

import concurrent.futures
import dataclasses
import enum
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

log = logging.getLogger(__name__)


class Status(enum.StrEnum):
    """The severity of a finding."""

    OK = "ok"
    #: It works, but it may stop working, or it is not as safe as it could be.
    WARNING = "warning"
    #: Leads are lost, late or refused, or a process does not start.
    FAULT = "fault"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was found, and how to fix it."""

    #: The check that found it.
    area: str
    status: Status
    text: str
    #: What to do. Empty if it is ok.
    fix: str = ""


#: Findings of one check, in order. Whatever it found before it failed or took too long is kept.
Check = Callable[[], Iterable[Finding]]

#: The checks of what a user configures.
CONFIGURATION: Final = ("settings", "mappings")


def ok(area: str, text: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(area, Status.OK, text)


def warning(area: str, text: str, fix: str) -> Finding:
    """Return a finding about a minor problem, which needs attention soon."""
    return Finding(area, Status.WARNING, text, fix)


def fault(area: str, text: str, fix: str) -> Finding:
    """Return a finding about a serious problem, which needs attention now."""
    return Finding(area, Status.FAULT, text, fix)


def run_checks(checks: Mapping[str, Check], seconds: float) -> list[Finding]:
    """Run all checks in parallel, and return their findings in the order of the checks.

    A check that fails or takes longer than this many seconds is itself a fault. It does not affect
    the others.
    """
    runs = {area: _Run(area, check) for area, check in checks.items()}
    concurrent.futures.wait([one.done for one in runs.values()], timeout=seconds)
    return [finding for one in runs.values() for finding in one.findings(seconds)]


class _Run:
    """A check that runs in a daemon thread."""

    def __init__(self, area: str, check: Check) -> None:
        self._area, self._check = area, check
        self._findings: list[Finding] = []
        self._is_reported = False
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        threading.Thread(target=self._run, name=area, daemon=True).start()

    def _run(self) -> None:
        try:
            for finding in self._check():
                self._findings.append(finding)
        except Exception as exc:
            if self._is_reported:
                return  # too late: the result is that there was none
            log.exception("check_failed", extra={"check": self._area})
            text = f"the check failed unexpectedly: {type(exc).__name__}"
            self._findings.append(fault(self._area, text, "report this bug and attach the log"))
        self.done.set_result(None)

    def findings(self, seconds: float) -> list[Finding]:
        """Return all findings so far, and a fault if the check has not finished."""
        self._is_reported = True
        if self.done.done():
            return list(self._findings)
        text = f"the check did not finish within {seconds:g} seconds"
        late = fault(self._area, text, "look for a slow network or server, and try again")
        return [*self._findings, late]


def exit_code(findings: Iterable[Finding], wrong_configuration: int) -> int:
    """Return the exit code: 0 without faults, ``wrong_configuration`` or 1 otherwise."""
    areas = {one.area for one in findings if one.status is Status.FAULT}
    if not areas:
        return 0
    return wrong_configuration if areas <= set(CONFIGURATION) else 1
