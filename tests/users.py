"""Create console users with passwords that are fast to check."""

from werkzeug.security import generate_password_hash

from adapter.store import User

PASSWORD = "correct horse battery"


def user(name: str, role: str = "operate", password: str = PASSWORD) -> User:
    """Return a user with a fast password hash. The sign-in tests use the real hash."""
    quick = generate_password_hash(password, method="pbkdf2:sha256:1")
    return User(name=name, role=role, password=quick)
