"""Define named sequences, which reproduce bugs, and generate random sequences."""

import random
from collections.abc import Callable, Mapping, Sequence

from tools.people.steps import (
    ANN,
    BO,
    CARL,
    DANA,
    DEATHS,
    EVE,
    FAULTS,
    FINN,
    GIA,
    HAL,
    HARBOR,
    KEYED,
    MAPLE,
    SOURCES,
    Ask,
    Cancel,
    CancelInKnock,
    Discard,
    Dismiss,
    Fault,
    Meanwhile,
    Obey,
    Person,
    Play,
    Release,
    Repeat,
    Step,
    Wait,
)

NAMED: Mapping[str, Play] = {
    # K1: several requests with the same key.
    "K1 moved there and back": (
        Ask(ANN, "A", "crm"), Wait(), Ask(ANN, "B", "crm"), Wait(), Ask(ANN, "A", "crm"),
    ),
    "K1 moved back, with the sender's time": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "B"), Wait(), Ask(ANN, "A"),
    ),
    "K1 moved back, the same bytes under a new delivery ID": (
        Ask(ANN, "A", "calendar"), Wait(), Ask(ANN, "B", "calendar"), Wait(),
        Ask(ANN, "A", "calendar"),
    ),
    "K1 moved back through a form, byte for byte": (
        Ask(ANN, "A", "form"), Wait(), Ask(ANN, "B", "form"), Wait(), Ask(ANN, "A", "form"),
    ),
    "K1 booked, canceled, uncanceled": (
        Ask(ANN, "A"), Wait(), Cancel(ANN), Wait(), Ask(ANN, "A"),
    ),
    "K1 canceled before it was sent, uncanceled": (Ask(ANN, "A"), Cancel(ANN), Ask(ANN, "A")),
    "K1 booked, canceled by a user, uncanceled": (
        Ask(ANN, "A"), Wait(), Cancel(ANN), Obey(ANN), Ask(ANN, "A"),
    ),
    "K1 failed and requested again": (
        Fault("job fails"), Ask(ANN, "A", "calendar"), Wait(), Ask(ANN, "A", "calendar"),
    ),
    "K1 a late retry undoes nothing newer": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "B"), Wait(), Repeat(1),
    ),
    "K1 a late retry of a sender without IDs": (
        Ask(ANN, "A", "crm"), Wait(), Ask(ANN, "B", "crm"), Wait(), Repeat(1),
    ),
    "K1 there and back and there again": (
        Ask(ANN, "A", "crm"), Wait(), Ask(ANN, "B", "crm"), Wait(), Ask(ANN, "A", "crm"), Wait(),
        Ask(ANN, "B", "crm"),
    ),
    "K1 canceled, and another tour requested under the same key": (
        Ask(ANN, "A", "calendar"), Wait(), Cancel(ANN, "calendar"), Ask(ANN, "B", "calendar"),
    ),
    "K1 moved before it was sent, then canceled": (
        Ask(ANN, "A", "crm"), Wait(), Ask(ANN, "B", "crm"), Cancel(ANN, "crm"),
    ),
    "K1 an old cancellation is delivered again": (
        Ask(ANN, "A"), Cancel(ANN), Ask(ANN, "B"), Wait(), Repeat(2),
    ),
    "K1 discarded by a user, then requested again": (
        Fault("400"), Ask(ANN, "A"), Wait(), Discard(ANN), Ask(ANN, "A"),
    ),
    # K2: several people with the same key.
    "K2 the first waits": (
        Fault("400"), Ask(ANN, "A", key="shared"), Wait(), Ask(BO, "B", key="shared"),
    ),
    "K2 the first is pending": (Ask(ANN, "A", key="shared"), Ask(BO, "B", key="shared")),
    "K2 the first is booked": (
        Ask(ANN, "A", key="shared"), Wait(), Ask(BO, "A", key="shared"),
    ),
    "K2 a family whose contact is not read": (
        Ask(GIA, "A", "crm", key="shared", contact="none"), Ask(HAL, "B", "crm", key="shared"),
        Wait(), Ask(GIA, "C", "crm", key="shared"),
    ),
    "K2 the first moves": (
        Ask(ANN, "A", key="shared"), Wait(), Ask(BO, "B", key="shared"), Wait(),
        Ask(ANN, "C", key="shared"),
    ),
    # K3: several people with the same contact.
    "K3 one office's address": (
        Ask(CARL, "A", "form"), Wait(), Ask(DANA, "B", "form"),
    ),
    "K3 one office's address, the same hour": (
        Ask(CARL, "A", "form"), Wait(), Ask(DANA, "A", "form"),
    ),
    "K3 one couple's phone": (Ask(EVE, "A"), Ask(FINN, "B", "calendar")),
    "K3 brother and sister": (Ask(GIA, "A"), Wait(), Ask(HAL, "B")),
    "K3 one of them without the phone": (
        Ask(EVE, "A", "form"), Wait(), Ask(FINN, "B"), Wait(), Ask(EVE, "C", "form"),
    ),
    "K3 a user has one of them sent": (
        Ask(CARL, "A"), Wait(), Ask(DANA, "B"), Wait(), Release(DANA),
    ),
    # V1 to V9: bugs found by an audit with injected faults.
    "V1 the original is canceled, its duplicate remains": (
        Fault("503"), Ask(ANN, "A"), Wait(0), Ask(ANN, "A", "form"), Cancel(ANN, late=1.5),
    ),
    "V1 the original is discarded, its duplicate remains": (
        Ask(ANN, "A"), Ask(ANN, "A", "form"), Fault("400"), Wait(), Discard(ANN),
    ),
    "V2 there and back, the middle one late": (
        Ask(ANN, "A", "portal"), Wait(), Ask(ANN, "A", "calendar"), Wait(),
        Ask(ANN, "B", "portal", late=40, key="new"),
    ),
    "V4 the tour that stands is requested while another one fails": (
        Ask(ANN, "A"), Wait(), Fault("503"), Ask(ANN, "B", "calendar"),
        Meanwhile(Ask(ANN, "A", "form")), Wait(),
    ),
    "V5 an unknown one finds another's tour": (
        Fault("500, not carried out"), Ask(ANN, "A"), Wait(), Ask(ANN, "B", "calendar"), Wait(5),
        Ask(ANN, "A", "form"), Wait(5),
    ),
    "V5 an unknown one finds the tour of somebody with the same address": (
        Ask(DANA, "B", "crm"), Wait(5), Fault("the worker dies before it"), Ask(CARL, "B", "crm"),
        Release(CARL),
    ),
    "V7 an older one is carried out late": (
        Fault("time-out, carried out 90 s later"), Ask(ANN, "A"), Wait(), Ask(ANN, "B"), Wait(),
    ),
    "V7 carried out after both were booked": (
        Fault("time-out, carried out 15 min later"), Ask(ANN, "A"), Wait(), Ask(ANN, "B"), Wait(),
    ),
    "V9 two requests within one second": (Ask(ANN, "B", late=0.1), Ask(ANN, "A", late=1.9)),
    "a cancellation that comes before its booking": (Cancel(ANN), Ask(ANN, "A", late=60)),
    "a duplicate whose original is canceled by a user": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "A", "form"), Wait(), Cancel(ANN), Wait(), Obey(ANN),
    ),
    "a cancellation with only the key, after another source asked": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "A", "calendar"), Wait(), Cancel(ANN, bare=True), Wait(),
        Obey(ANN),
    ),
    "a cancellation with only the key, before another source asks": (
        Ask(ANN, "A"), Wait(), Cancel(ANN, bare=True), Wait(), Ask(ANN, "A", "calendar"), Wait(),
        Obey(ANN),
    ),
    "a cancellation with only the key of a tour that is being moved": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "B", "calendar"), Cancel(ANN, bare=True), Wait(),
    ),
    "a chain of contacts": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "B", key="new", contact="home"), Wait(),
        Ask(ANN, "A", key="new", contact="email"),
    ),
    "email, phone, both, and one canceled": (
        Ask(ANN, "A", "crm", contact="email"), Wait(), Ask(ANN, "B", contact="phone"), Wait(),
        Ask(ANN, "C", "calendar"), Wait(), Release(ANN), Wait(), Cancel(ANN),
    ),
    "a duplicate is canceled by a user, and requested again": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "A", "calendar"), Wait(), Cancel(ANN, "calendar"), Wait(),
        Obey(ANN), Ask(ANN, "A", "calendar", key="new"),
    ),
    "a duplicate's cancellation is dismissed, and it is requested again": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "A", "calendar"), Wait(), Cancel(ANN, "calendar"), Wait(),
        Dismiss(ANN), Ask(ANN, "A", "calendar", key="new"),
    ),
    "a cancellation arrives after it was taken back": (
        Ask(ANN, "A", late=60), Wait(), Ask(ANN, "A"), Cancel(ANN, late=45),
    ),
    "a cancellation is discarded before its booking": (
        Cancel(ANN, "crm"), Obey(ANN), Ask(ANN, "A", "crm"),
    ),
    "a cancellation is taken back, byte for byte": (
        Ask(ANN, "A", "crm"), Wait(), Cancel(ANN, "crm"), Wait(), Ask(ANN, "A", "crm"),
    ),
    "moved to another community": (
        Ask(ANN, "A"), Wait(), Ask(ANN, "B", place=HARBOR), Wait(), Ask(ANN, "C", place=HARBOR),
    ),
    "moved to another community before it was sent": (
        Ask(ANN, "A"), Ask(ANN, "B", place=HARBOR), Wait(),
    ),
    "failed, and moved to another community": (
        Fault("400"), Ask(ANN, "A"), Wait(), Ask(ANN, "A", place=HARBOR), Wait(), Ask(ANN, "A"),
    ),
    "moved to another community while Propexo is down": (
        Fault("503"), Ask(ANN, "A"), Wait(0), Ask(ANN, "B", place=HARBOR), Wait(), Cancel(ANN),
    ),
    "an older version at another community is released": (
        Cancel(ANN, "calendar"), Ask(ANN, "C", "calendar", place=HARBOR), Ask(ANN, "A", "form"),
        Ask(ANN, "A", "calendar"), Release(ANN),
    ),
    "an old message is repeated after its lead moved to another community": (
        Ask(ANN, "C", "crm"), Ask(ANN, "A", "crm", place=HARBOR), Ask(ANN, "C", "crm", key="new"),
        Repeat(1),
    ),
    "only the phone while a request with only the email is in flight": (
        Ask(ANN, "B", "calendar"), Wait(),
        Meanwhile(Ask(ANN, "A", "crm", contact="phone", key="new")),
        Ask(ANN, "A", "crm", contact="email"),
    ),
    "only the email while a job with only the phone never ends": (
        Ask(ANN, "B"), Wait(1200), Fault("job stays pending, not carried out"),
        Ask(ANN, "A", "calendar", contact="phone"),
        Meanwhile(Ask(ANN, "A", "calendar", late=1.5, key="new", contact="email")),
    ),
    "canceled, and requested again with another address": (
        Ask(ANN, "A", "calendar", contact="home"), Wait(), Cancel(ANN, "calendar", bare=True),
        Wait(), Ask(ANN, "A", "calendar"),
    ),
    "failed at one community, and another tour at the other": (
        Ask(ANN, "A", place=HARBOR), Meanwhile(Ask(ANN, "B", "crm", key="shared")), Fault("400"),
        Wait(3), Ask(ANN, "C", late=45),
    ),
    "three requests, of which the last one shares nothing with the second": (
        Ask(ANN, "A", "crm"), Wait(), Ask(ANN, "B", "crm", contact="email"),
        Ask(ANN, "A", contact="home"),
    ),
    "there and back, and the job of the last one never ends": (
        Ask(ANN, "A", "calendar"), Wait(), Ask(ANN, "C", "calendar"), Wait(),
        Fault("job stays pending"), Ask(ANN, "A", "calendar"), Wait(1200),
    ),
    "canceled after a move to another community, and the first tour requested again": (
        Ask(ANN, "B"), Ask(ANN, "C", place=HARBOR), Wait(3), Cancel(ANN), Ask(ANN, "B", "form"),
    ),
    "a request that was merged with a held one is another person's": (
        Cancel(FINN, "crm"), Ask(EVE, "A", "crm"), Ask(FINN, "C", "crm"), Ask(EVE, "B", "crm"),
        Repeat(1), Ask(FINN, "C", "crm"),
    ),
    "canceled by a user while it is unknown, and carried out late": (
        Fault("time-out, carried out 15 min later"), Ask(ANN, "A", "crm"),
        Meanwhile(Cancel(ANN, "crm")), Wait(120), Obey(ANN),
    ),
    "merged after a cancellation, then moved to another community": (
        Ask(ANN, "A"), Wait(), Cancel(ANN, bare=True), Ask(ANN, "A", "crm"),
        Ask(ANN, "B", "crm", place=HARBOR),
    ),
    "a repeat is released": (
        Ask(HAL, "B", "crm"), Ask(HAL, "A", "calendar"), Repeat(1), Release(HAL),
    ),
}  # fmt: skip

#: The number of participants is small, so that their requests interact.
CASTS = ((ANN,), (ANN,), (ANN, BO), (CARL, DANA), (EVE, FINN), (GIA, HAL))
#: The participants if the sources give everybody the same key.
CASTS_OF_ONE_KEY = ((ANN, BO, EVE), (CARL, DANA, BO), (GIA, HAL), (EVE, FINN, ANN))
#: How often each kind of key occurs, usually and if the sources give everybody the same key.
KEYS = ("same",) * 8 + ("new", "shared")
ONE_KEY = ("shared",) * 9 + ("same",)
LATES = (0.0, 0.0, 0.0, 1.5, 45.0, 300.0)
USER_ACTS = (Discard, Release, CancelInKnock, Obey, Dismiss)
WAITS = (0.0, 3.0, 30.0, 30.0, 120.0, 1200.0)


class Draw:
    """Draws random sequences from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._cast: Sequence[Person] = ()
        self._sources: Sequence[str] = ()
        self._keys: Sequence[str] = KEYS
        #: The probability of each kind of step.
        self._kinds: Mapping[Callable[[], Step], int] = {
            self._ask: 8,
            lambda: Wait(self._rng.choice(WAITS)): 6,
            lambda: self._cancel(self._rng.choice(LATES)): 2,
            lambda: Repeat(self._rng.randint(1, 6)): 2,
            lambda: Fault(self._rng.choice((*FAULTS, *DEATHS))): 3,
            lambda: Meanwhile(self._ask()): 1,
            lambda: Meanwhile(self._cancel()): 1,
            lambda: self._rng.choice(USER_ACTS)(self._who()): 2,
        }

    def sequence(self) -> Play:
        """Return the next sequence, with few people and sources so that their requests interact."""
        self._keys = self._rng.choice((KEYS,) * 4 + (ONE_KEY,))
        self._cast = self._rng.choice(CASTS_OF_ONE_KEY if self._keys is ONE_KEY else CASTS)
        self._sources = self._rng.sample(tuple(SOURCES), self._rng.choice((1, 1, 2, 2, 3)))
        kinds, weights = tuple(self._kinds), tuple(self._kinds.values())
        length = self._rng.randint(2, 12)
        return tuple(kind() for kind in self._rng.choices(kinds, weights, k=length))

    def _ask(self) -> Ask:
        return Ask(
            self._who(),
            self._rng.choice("AABC"),
            self._rng.choice(self._sources),
            self._rng.choice(LATES),
            self._rng.choice(self._keys),
            self._rng.choice(("all",) * 8 + ("home", "email", "phone", "none")),
            self._rng.choice((MAPLE,) * 9 + (HARBOR,)),
        )

    def _cancel(self, late: float = 0.0) -> Cancel:
        return Cancel(self._who(), self._keyed(), late, bare=self._rng.random() < 0.3)

    def _who(self) -> Person:
        return self._rng.choice(self._cast)

    def _keyed(self) -> str:
        """Return a random source that supports cancellation."""
        return self._rng.choice([name for name in self._sources if name in KEYED] or KEYED)
