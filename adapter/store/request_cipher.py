"""Encrypt and decrypt stored requests. Only this module knows the storage format."""

import functools
import hashlib
import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from adapter.exceptions import KeyMissing
from adapter.settings import ENCRYPTION_OFF

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

#: A row, by column name.
Row = dict[str, Any]

#: Columns that are encrypted together with the body. Events have a query, rejections a URL.
COLUMNS = ("headers", "query", "url", "fetched")


class RequestCipher:
    """Encrypts stored requests with the newest key and decrypts them with any configured key."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """Set the encryption keys in the order of ADAPTER_ENCRYPTION_KEYS, newest first."""
        #: ID of the key that encrypts, or None to store rows unencrypted.
        self.key_id = key_id(keys[0]) if keys and keys[0] != ENCRYPTION_OFF else None
        self._keys = [key for key in keys if key != ENCRYPTION_OFF]
        #: IDs of the keys for decryption.
        self.key_ids = [key_id(key) for key in self._keys]

    def sealed(self, row: Row, *, readable: Collection[str] = ()) -> Row:
        """Return a row whose request is encrypted, or the row unchanged if no key is configured."""
        if self.key_id is None:
            return row | {"encryption_key": None}
        columns = {name: row[name] for name in COLUMNS if name in row}
        columns["body"] = "" if row["body"] is not None else None
        secret = json.dumps(columns).encode() + b"\n" + (row["body"] or b"")
        return {
            **row,
            **dict.fromkeys(columns, ""),
            "headers": {name: text for name, text in row["headers"].items() if name in readable},
            "body": self._fernet.encrypt(secret),
            "encryption_key": self.key_id,
        }

    def opened(self, row: Row) -> Row:
        """Return a stored row, decrypted. Raise KeyMissing if its key is not configured."""
        if row["encryption_key"] is None:
            return row
        from cryptography.fernet import InvalidToken

        try:
            secret = self._fernet.decrypt(row["body"])
        except (InvalidToken, ValueError):  # ValueError if no key is set
            raise KeyMissing(row["id"], row["encryption_key"]) from None
        head, _, body = secret.partition(b"\n")
        columns: Row = json.loads(head)
        return row | columns | {"body": body if columns["body"] is not None else None}

    @functools.cached_property
    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # most installations have no keys

        return MultiFernet([Fernet(key) for key in self._keys])


def key_id(key: str) -> str:
    """Return a short ID that identifies an encryption key without revealing it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]
