"""Who may look at leads and mend them: names, passwords, and what happens after wrong ones."""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Final

from werkzeug.security import check_password_hash, generate_password_hash

from adapter import signatures
from adapter.bookings.fingerprints import lock_key
from adapter.exceptions import NotPossible, SignInRefused
from adapter.models import Clock
from adapter.settings import ROLES, Settings, is_user_name
from adapter.store import SIGN_IN_WINDOW, Database, User
from adapter.webhooks.client_ip import rate_limit_key

#: So many failures lock: of one name from one address, from one address, of one name.
MOST_OF_BOTH: Final = 5
MOST_OF_ADDRESS: Final = 20
MOST_OF_NAME: Final = 50
SHORTEST_PASSWORD: Final = 10
#: A longer one is not hashed: hashing is slow on purpose.
LONGEST_PASSWORD: Final = 200

#: Somebody on this machine, where nobody was given a name.
LOCAL: Final = User(name="local", role="operate", password="")


class SignIn:
    """Names and passwords, over one store and the settings."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def users(self) -> dict[str, User]:
        """Everybody who may sign in; the environment's word goes before the database's."""
        with self._store.transaction() as tx:
            found = {user.name: user for user in tx.users.all()}
        given = {
            name: User(name=name, role=role, password=password)
            for name, (role, password) in self._settings.users.items()
        }
        return found | given

    def sign_in(self, name: str, password: str, client: str | None) -> User:
        """Whoever proves to be ``name``. Raises :class:`SignInRefused`, with one same sentence.

        ``client`` is an address, or None where it says nothing: then only the name counts.
        """
        now, whos = self._clock(), self._whos(name, client)
        noted = self._note_try(whos, now)
        user = self.users().get(name)
        is_right = check_password_hash(
            user.password if user else _nobody(), password[:LONGEST_PASSWORD]
        )
        if user is None or not is_right:
            raise SignInRefused("This name and password do not belong together.")
        # Those of the name alone stay: whoever else guesses at it goes on being counted.
        own = [who.hex() for who, most in whos.items() if most == MOST_OF_BOTH]
        with self._store.transaction() as tx:
            tx.users.delete_failures(own, noted)
            tx.audit.record("signed_in", by=user.name, at=now)
        return user

    def _note_try(self, whos: Mapping[bytes, int], now: dt.datetime) -> Sequence[int]:
        """Counts, and notes a failure before the password is looked at: tries at once all count.

        The numbers of the notes, to be taken back. Raises :class:`SignInRefused` where it locks.
        """
        names = {who.hex(): most for who, most in whos.items()}
        with self._store.transaction() as tx:
            tx.lock_keys([lock_key(who) for who in whos])
            failures = tx.users.failures([*names], now - SIGN_IN_WINDOW)
            if any(failures.get(who, 0) >= most for who, most in names.items()):
                raise SignInRefused("Too many tries. Wait a quarter of an hour.")
            return tx.users.record_failure([*names], now=now)

    def mark_of(self, user: User) -> str:
        """What a session keeps of a user: it is another one after the password has changed."""
        key = self._store.hash_key()
        return signatures.keyed_hash(key, b"session\0" + user.password.encode()).hex()[:32]

    def session_key(self) -> bytes:
        """The key that signs sessions: one for the installation, known to the database only."""
        return signatures.keyed_hash(self._store.hash_key(), b"console sessions")

    def add(self, name: str, password: str, role: str, *, by: str) -> None:
        """Lets somebody sign in. Raises :class:`NotPossible` with the reason."""
        user, now = new_user(name, password, role), self._clock()
        with self._store.transaction() as tx:
            tx.users.add(user, now=now)
            tx.audit.record("user_added", by=by, at=now, detail=f"{name} {role}")

    def remove(self, name: str, *, by: str) -> bool:
        """Lets somebody sign in no more; False where nobody of that name was added."""
        with self._store.transaction() as tx:
            role = tx.users.remove(name)
            if role is not None:
                tx.audit.record("user_removed", by=by, at=self._clock(), detail=f"{name} {role}")
        return role is not None

    def _whos(self, name: str, client: str | None) -> Mapping[bytes, int]:
        """What failures are counted under, as keyed hashes, and how many of them lock."""
        texts = {f"name\0{name}": MOST_OF_NAME}
        if client is not None:
            address = rate_limit_key(client)
            texts[f"both\0{name}\0{address}"] = MOST_OF_BOTH
            texts[f"address\0{address}"] = MOST_OF_ADDRESS
        key = self._store.hash_key()
        return {
            signatures.keyed_hash(key, text.encode("utf-8", "replace"))[:16]: most
            for text, most in texts.items()
        }


def new_user(name: str, password: str, role: str) -> User:
    """Somebody with a hashed password. Raises :class:`NotPossible` with the reason."""
    if not is_user_name(name):
        raise NotPossible("a name is letters, digits, '.', '_' and '-', at most 60")
    if role not in ROLES:
        raise NotPossible("a role is one of " + ", ".join(ROLES))
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise NotPossible(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return User(name=name, role=role, password=generate_password_hash(password))


@functools.cache
def _nobody() -> str:
    """Checked where there is nobody of that name, so that it takes as long."""
    return generate_password_hash("nobody")
