"""Sign console users in: names, passwords, and lockout after failed attempts."""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Final

from werkzeug.security import check_password_hash, generate_password_hash

from adapter import signatures
from adapter.exceptions import NotPossible, SignInRefused
from adapter.models import Clock
from adapter.settings import ROLES, Settings, is_user_name
from adapter.store import SIGN_IN_WINDOW, Database, User
from adapter.store.fingerprints import lock_key
from adapter.webhooks.client_ip import rate_limit_key

#: Lockout limits: one name from one address, any name from one address, and one name.
MAX_FAILURES_OF_BOTH: Final = 5
MAX_FAILURES_OF_ADDRESS: Final = 20
MAX_FAILURES_OF_NAME: Final = 50
MIN_PASSWORD_LENGTH: Final = 10
#: Longer ones are not hashed, because hashing is slow by design.
MAX_PASSWORD_LENGTH: Final = 200

#: The user of requests from this machine while no user exists.
LOCAL: Final = User(name="local", role="operate", password="")


class SignIn:
    """Check and change the users of the database and the settings."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def users(self) -> dict[str, User]:
        """Return all console users; ADAPTER_USERS takes precedence over the database."""
        with self._store.transaction() as tx:
            stored = {user.name: user for user in tx.users.all()}
        configured = {
            name: User(name=name, role=role, password=password)
            for name, (role, password) in self._settings.users.items()
        }
        return stored | configured

    def sign_in(self, name: str, password: str, client: str | None) -> User:
        """Return the user. Raise :class:`SignInRefused`, the same for a wrong name or password.

        Without ``client``, the IP address, only the name is counted.
        """
        now, limits = self._clock(), self._limits(name, client)
        failure_ids = self._record_failure(limits, now)
        user = self.users().get(name)
        is_right = check_password_hash(
            user.password if user else _dummy_hash(), password[:MAX_PASSWORD_LENGTH]
        )
        if user is None or not is_right:
            raise SignInRefused("Wrong name or password.")
        # Failures of the name alone stay, so that other clients' guesses still count.
        own = [key.hex() for key, limit in limits.items() if limit == MAX_FAILURES_OF_BOTH]
        with self._store.transaction() as tx:
            tx.users.delete_failures(own, failure_ids)
            tx.audit.record("signed_in", by=user.name, at=now)
        return user

    def _record_failure(self, limits: Mapping[bytes, int], now: dt.datetime) -> Sequence[int]:
        """Record a failure in advance so that concurrent attempts all count. Return its IDs.

        Raise :class:`SignInRefused` if a limit is reached.
        """
        names = {key.hex(): limit for key, limit in limits.items()}
        with self._store.transaction() as tx:
            tx.lock_keys([lock_key(key) for key in limits])
            failures = tx.users.failures([*names], now - SIGN_IN_WINDOW)
            if any(failures.get(key, 0) >= limit for key, limit in names.items()):
                raise SignInRefused("Too many attempts. Try again in 15 minutes.")
            return tx.users.record_failure([*names], now=now)

    def mark_of(self, user: User) -> str:
        """Return a session's mark of the user, which changes with the password."""
        key = self._store.hash_key()
        return signatures.keyed_hash(key, b"session\0" + user.password.encode()).hex()[:32]

    def session_key(self) -> bytes:
        """Return this installation's key that signs sessions."""
        return signatures.keyed_hash(self._store.hash_key(), b"console sessions")

    def add(self, name: str, password: str, role: str, *, by: str) -> None:
        """Add a user. Raise :class:`NotPossible` with the reason."""
        user, now = new_user(name, password, role), self._clock()
        with self._store.transaction() as tx:
            tx.users.add(user, now=now)
            tx.audit.record("user_added", by=by, at=now, detail=f"{name} {role}")

    def remove(self, name: str, *, by: str) -> bool:
        """Remove a user. Return False if no user has that name."""
        with self._store.transaction() as tx:
            role = tx.users.remove(name)
            if role is not None:
                tx.audit.record("user_removed", by=by, at=self._clock(), detail=f"{name} {role}")
        return role is not None

    def _limits(self, name: str, client: str | None) -> Mapping[bytes, int]:
        """Return the keyed hashes that failures are counted under, with their limits."""
        texts = {f"name\0{name}": MAX_FAILURES_OF_NAME}
        if client is not None:
            address = rate_limit_key(client)
            texts[f"both\0{name}\0{address}"] = MAX_FAILURES_OF_BOTH
            texts[f"address\0{address}"] = MAX_FAILURES_OF_ADDRESS
        key = self._store.hash_key()
        return {
            signatures.keyed_hash(key, text.encode("utf-8", "replace"))[:16]: limit
            for text, limit in texts.items()
        }


def new_user(name: str, password: str, role: str) -> User:
    """Return a user with a hashed password. Raise :class:`NotPossible` with the reason."""
    if not is_user_name(name):
        raise NotPossible("a name may have letters, digits, '.', '_' and '-', at most 60")
    if role not in ROLES:
        raise NotPossible("the role must be one of " + ", ".join(ROLES))
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise NotPossible(
            f"a password must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
        )
    return User(name=name, role=role, password=generate_password_hash(password))


@functools.cache
def _dummy_hash() -> str:
    """Return a hash to check for unknown names, so that they take as long."""
    return generate_password_hash("nobody")
