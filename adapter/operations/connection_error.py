"""Explain why a connection to another server failed."""

import smtplib
import ssl
import urllib.error


def connection_error(exc: Exception) -> str:
    """Return the reason for a failed connection, without personal data or secrets."""
    cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return "it did not respond in time"
    if isinstance(cause, smtplib.SMTPResponseException):
        return f"SMTP {cause.smtp_code}"
    if isinstance(cause, smtplib.SMTPNotSupportedError):
        return str(cause).rstrip(".")  # a fixed text, such as "STARTTLS extension not supported"
    if isinstance(cause, smtplib.SMTPServerDisconnected):
        return "it closed the connection"
    if isinstance(cause, UnicodeError):
        return "its URL, user or password contains characters that cannot be sent"
    return str(getattr(cause, "strerror", None) or type(cause).__name__)
