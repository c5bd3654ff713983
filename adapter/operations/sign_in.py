"""Sign in console users with passwords or one-time links, and limit failed attempts."""

import datetime as dt
import functools
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from werkzeug.security import check_password_hash, generate_password_hash

from adapter import signatures
from adapter.exceptions import NotPossible, SignInRefused
from adapter.models import LOCAL_USER, Clock
from adapter.settings import ROLES, Settings, is_user_name
from adapter.store import SIGN_IN_WINDOW, Database, Transaction, User
from adapter.store.fingerprints import lock_key
from adapter.webhooks.client_ip import rate_limit_key

#: Number of failures that lock a name for an address or a known browser, and that lock an address
#: for all names.
MAX_FAILURES_OF_BOTH: Final = 5
MAX_FAILURES_OF_ADDRESS: Final = 20
#: After this many failures for a name, each new address has one attempt, and a hidden address has
#: none.
MAX_FAILURES_OF_NAME: Final = 50
MIN_PASSWORD_LENGTH: Final = 10
#: Longer passwords are rejected without hashing, because hashing is slow by design.
MAX_PASSWORD_LENGTH: Final = 200

#: The role of users who may change things.
EDITOR: Final = "operate"


class SignIn:
    """Signs in console users, and adds, changes and removes them."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    def users(self) -> dict[str, User]:
        """Return all console users, keyed by name. ADAPTER_USERS overrides the database.

        The local user is included only if there is no other user.
        """
        with self._store.transaction() as tx:
            stored = {user.name: user for user in tx.users.all()}
        configured = {
            name: User(name=name, role=role, password=password)
            for name, (role, password) in self._settings.users.items()
        }
        local = {LOCAL_USER: stored.pop(LOCAL_USER)} if LOCAL_USER in stored else {}
        return stored | configured or local

    def sign_in(self, name: str, password: str, client: str | None, browser: str = "") -> User:
        """Verify a password and return the user. Raise :class:`SignInRefused` if it is incorrect.

        Failures are counted by name and by ``client``, the IP address, if it is known. A
        ``browser`` that this user has signed in with before is counted separately, so that no one
        else can lock it out.
        """
        user, now = self.users().get(name), self._clock()
        is_known = user is not None and secrets.compare_digest(
            browser.encode(), self.browser_mark(user).encode()
        )
        texts = {f"browser\0{name}": MAX_FAILURES_OF_BOTH} if is_known else _counted(name, client)
        limits = self._limits(texts)
        failure_ids = self._record_failure(limits, now)
        is_right = check_password_hash(
            user.password if user else _dummy_hash(), password[:MAX_PASSWORD_LENGTH]
        )
        if user is None or not is_right:
            raise SignInRefused("Wrong name or password.")
        # Failures counted by name alone are kept, so that other clients' guesses still count.
        own = [key.hex() for key, limit in limits.items() if limit == MAX_FAILURES_OF_BOTH]
        with self._store.transaction() as tx:
            tx.users.delete_failures(own, failure_ids)
            tx.audit.record("signed_in", by=user.name, at=now)
        return user

    def _record_failure(self, limits: Mapping[bytes, int], now: dt.datetime) -> Sequence[int]:
        """Record a failed sign-in before checking the password, so that parallel attempts count.

        Return the new rows' IDs. Raise :class:`SignInRefused` if a limit is reached.
        """
        names = {key.hex(): limit for key, limit in limits.items()}
        with self._store.transaction() as tx:
            tx.lock_keys([lock_key(key) for key in limits])
            failures = tx.users.failures([*names], now - SIGN_IN_WINDOW)
            if _is_locked({limit: failures.get(key, 0) for key, limit in names.items()}):
                raise SignInRefused("Too many attempts. Try again in 15 minutes.")
            return tx.users.record_failure([*names], now=now)

    def new_link(self) -> str | None:
        """Create a one-time link for the local user. Return its key, or None if users exist.

        This invalidates the previous link and ends the session that it started.
        """
        if self.users().keys() - {LOCAL_USER}:
            return None
        key = secrets.token_urlsafe(24)
        user = _local_user(self._link_hash(key))
        with self._store.transaction() as tx:
            tx.users.add(user, now=self._clock())
        return key

    def open_link(self, key: str) -> User:
        """Use a one-time link and return the local user. Raise SignInRefused if it is invalid."""
        user, now = _local_user(secrets.token_urlsafe(24)), self._clock()
        link = self._link_hash(key)
        with self._store.transaction() as tx:
            tx.lock_keys([lock_key(bytes.fromhex(link))])
            links = [one.password for one in tx.users.all() if one.name == LOCAL_USER]
            if not secrets.compare_digest("".join(links), link):
                raise SignInRefused("This link was already used, or a newer one replaced it.")
            tx.users.add(user, now=now)
            tx.audit.record("signed_in", by=user.name, at=now)
        return user

    def _link_hash(self, key: str) -> str:
        return self._hash(f"link\0{key}").hex()

    def _hash(self, text: str) -> bytes:
        return signatures.keyed_hash(self._store.hash_key(), text.encode("utf-8", "replace"))

    def unlock(self, *, by: str) -> None:
        """Delete all records of failed sign-ins so that no user is locked out."""
        now = self._clock()
        with self._store.transaction() as tx:
            tx.users.delete_old_failures(now + SIGN_IN_WINDOW)
            tx.audit.record("unlocked", by=by, at=now)

    def mark_of(self, user: User) -> str:
        """Return a hash of the password. Sessions become invalid when the password changes."""
        return self._hash(f"session\0{user.password}").hex()[:32]

    def browser_mark(self, user: User) -> str:
        """Return the cookie value for a browser that the user has signed in with."""
        return self._hash(f"browser\0{user.name}\0{user.password}").hex()[:32]

    def session_key(self) -> bytes:
        """Return the secret key that signs console sessions."""
        return self._hash("console sessions")

    def add(self, name: str, password: str, role: str, *, by: str) -> None:
        """Add a console user. Raise :class:`NotPossible` if a value is invalid.

        The first user must be able to edit, because otherwise no user could add another one.
        """
        user, now = new_user(name, password, role), self._clock()
        with self._store.transaction() as tx:
            if role != EDITOR and not self._has_editor(tx):
                raise NotPossible("No one can edit yet. Choose “Can edit” for the first person.")
            tx.users.add(user, now=now)
            # This also prevents its session from becoming valid again if all users are removed.
            tx.users.remove(LOCAL_USER)
            tx.audit.record("user_added", by=by, at=now, detail=f"{name} {role}")

    def set_role(self, name: str, role: str, *, by: str) -> None:
        """Change a user's role.

        Raise NotPossible if the user is not in the database or is the last user who can edit.
        """
        if role not in ROLES:
            raise NotPossible("the role must be one of " + ", ".join(ROLES))
        now = self._clock()
        with self._store.transaction() as tx:
            if role != EDITOR:
                self._require_another_editor(tx, name)
            if not tx.users.change_role(name, role):
                raise NotPossible(f"there is no user {name} in the database")
            tx.audit.record("role_changed", by=by, at=now, detail=f"{name} {role}")

    def change_password(self, user: User, old: str, new: str) -> None:
        """Change a user's own password. Raise NotPossible if the old password is incorrect.

        Failures are counted and recorded, because a stranger may use a browser that was left open.
        """
        limits = self._limits({f"password\0{user.name}": MAX_FAILURES_OF_BOTH})
        now = self._clock()
        try:
            failure_ids = self._record_failure(limits, now)
        except SignInRefused as exc:
            raise NotPossible(str(exc)) from exc
        if not check_password_hash(user.password, old[:MAX_PASSWORD_LENGTH]):
            with self._store.transaction() as tx:
                tx.audit.record("password_refused", by=user.name, at=now)
            raise NotPossible("Your current password is wrong.")
        with self._store.transaction() as tx:
            tx.users.delete_failures([key.hex() for key in limits], failure_ids)
        self._replace_password(user, new, "password_changed", by=user.name)

    def set_password(self, user: User, new: str, *, by: str) -> None:
        """Set another user's password. Raise NotPossible if the user was changed in between."""
        self._replace_password(user, new, "password_set", by=by)

    def _replace_password(self, user: User, new: str, action: str, *, by: str) -> None:
        changed, now = new_user(user.name, new, user.role), self._clock()
        with self._store.transaction() as tx:
            # Hashing takes a while. In the meantime, the user may have been removed.
            if not tx.users.change_password(user.name, user.password, changed.password):
                raise NotPossible("This account was changed in the meantime. Try again.")
            detail = user.name if by != user.name else ""
            tx.audit.record(action, by=by, at=now, detail=detail)

    def remove(self, name: str, *, by: str, keeps_editor: bool = False) -> bool:
        """Remove a console user. Return False if the user does not exist.

        With ``keeps_editor``, raise NotPossible if the user is the last user who can edit.
        """
        with self._store.transaction() as tx:
            if keeps_editor:
                self._require_another_editor(tx, name)
            role = tx.users.remove(name)
            if role is not None:
                tx.audit.record("user_removed", by=by, at=self._clock(), detail=f"{name} {role}")
        return role is not None

    def _require_another_editor(self, tx: Transaction, name: str) -> None:
        """Raise NotPossible if a user is the last user who can edit."""
        if not self._has_editor(tx, besides=name):
            raise NotPossible(f"{name} is the last person who can edit. Add another one first.")

    def _has_editor(self, tx: Transaction, *, besides: str = LOCAL_USER) -> bool:
        """Return True if any user except ``besides`` and the one-time link's user can edit.

        The lock prevents two editors from removing each other at the same moment.
        """
        tx.lock_keys([lock_key(self._hash("editors")[:16])])
        roles = {user.name: user.role for user in tx.users.all()}
        roles |= {known: role for known, (role, _) in self._settings.users.items()}
        return any(
            role == EDITOR and one not in (besides, LOCAL_USER) for one, role in roles.items()
        )

    def _limits(self, texts: Mapping[str, int]) -> Mapping[bytes, int]:
        """Return the limits on failed sign-ins, with hashed keys."""
        return {self._hash(text)[:16]: limit for text, limit in texts.items()}


def _counted(name: str, client: str | None) -> Mapping[str, int]:
    """Return the keys and limits for counting failed sign-ins from an unknown browser."""
    texts = {f"name\0{name}": MAX_FAILURES_OF_NAME}
    if client is not None:
        address = rate_limit_key(client)
        texts[f"both\0{name}\0{address}"] = MAX_FAILURES_OF_BOTH
        texts[f"address\0{address}"] = MAX_FAILURES_OF_ADDRESS
    return texts


def _is_locked(failures: Mapping[int, int]) -> bool:
    """Return True if there have been too many failed sign-ins to allow another attempt.

    A name that many addresses try is not locked, but each new address has only one attempt.
    """
    counted = dict(failures)
    is_attacked = counted.pop(MAX_FAILURES_OF_NAME, 0) >= MAX_FAILURES_OF_NAME
    if is_attacked:
        return not counted or any(counted.values())
    return any(count >= limit for limit, count in counted.items())


def _local_user(password: str) -> User:
    return User(name=LOCAL_USER, role="operate", password=password)


def new_user(name: str, password: str, role: str) -> User:
    """Create a user with a hashed password. Raise :class:`NotPossible` if a value is invalid."""
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
    """Return a password hash for unknown users, so that every check takes the same time."""
    return generate_password_hash("nobody")
