"""Turn signed lead webhooks into tour appointments in Knock."""

__version__ = "0.2.0"
