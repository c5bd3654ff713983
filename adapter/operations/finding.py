"""Run the checks of ``adapter doctor`` in parallel, and collect their findings."""

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
    #: Everything works, but it may stop working or is not as safe as it could be.
    WARNING = "warning"
    #: Leads are lost, late or rejected, or a process does not start.
    FAULT = "fault"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, and how to fix a problem."""

    #: The area that was checked.
    area: str
    status: Status
    text: str
    #: How to fix the problem, or "" if there is none.
    fix: str = ""


#: A check, which yields its findings in order. Findings from before a failure or timeout are kept.
Check = Callable[[], Iterable[Finding]]

#: The areas that a user configures.
CONFIGURATION: Final = ("settings", "mappings")


def ok(area: str, text: str) -> Finding:
    """Return a finding that reports no problem."""
    return Finding(area, Status.OK, text)


def warning(area: str, text: str, fix: str) -> Finding:
    """Return a finding about a minor problem that needs attention soon."""
    return Finding(area, Status.WARNING, text, fix)


def fault(area: str, text: str, fix: str) -> Finding:
    """Return a finding about a serious problem that needs attention now."""
    return Finding(area, Status.FAULT, text, fix)


def run_checks(checks: Mapping[str, Check], seconds: float) -> list[Finding]:
    """Run all checks in parallel. Return their findings in the order of the checks.

    A check that fails or takes longer than ``seconds`` is itself a fault. It does not affect the
    others.
    """
    runs = {area: _Run(area, check) for area, check in checks.items()}
    concurrent.futures.wait([one.done for one in runs.values()], timeout=seconds)
    return [finding for one in runs.values() for finding in one.findings(seconds)]


class _Run:
    """A check that is running in a daemon thread."""

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
                return  # too late: the timeout has already been reported
            log.exception("check_failed", extra={"check": self._area})
            text = f"the check failed unexpectedly: {type(exc).__name__}"
            self._findings.append(fault(self._area, text, "report this bug and attach the log"))
        self.done.set_result(None)

    def findings(self, seconds: float) -> list[Finding]:
        """Return the findings so far. Add a fault if the check has not finished."""
        self._is_reported = True
        if self.done.done():
            return list(self._findings)
        text = f"the check did not finish within {seconds:g} seconds"
        late = fault(self._area, text, "look for a slow network or server, and try again")
        return [*self._findings, late]


def exit_code(findings: Iterable[Finding], wrong_configuration: int) -> int:
    """Return the exit code of ``adapter doctor``, which is 0 if there are no faults.

    It is ``wrong_configuration`` if all faults are in the settings or mappings, and otherwise 1.
    """
    areas = {one.area for one in findings if one.status is Status.FAULT}
    if not areas:
        return 0
    return wrong_configuration if areas <= set(CONFIGURATION) else 1
