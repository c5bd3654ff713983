"""Provide ``signature:`` presets for known senders, as in ``preset: typeform``.

Each link points to the vendor's documentation, or is None if the vendor has published none.
"""

# ruff: noqa: S106 - "secret_encoding" is an encoding, not a secret.

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """A known sender's signature settings, with a link to its documentation and a note."""

    block: Mapping[str, object]
    link: str | None
    note: str


def _hmac(header: str | list[str], **more: object) -> dict[str, object]:
    return {"scheme": "hmac", "header": header, **more}


def _stripe_style(header: str, version: str, **more: object) -> dict[str, object]:
    """Build a signature block for headers like Stripe's (``t=…,v1=…``, with a hex HMAC)."""
    form = f"t={{timestamp}},{version}={{signature}}"
    return _hmac(header, format=form, separator=",", signed="{timestamp}.{body}", **more)


def _standard(family: str) -> dict[str, object]:
    """Build a signature block for Standard Webhooks, with headers that start with ``family``."""
    return _hmac(
        f"{family}-signature",
        format="v1,{signature}",
        separator=" ",
        encoding="base64",
        signed=f"{{header:{family}-id}}.{{timestamp}}.{{body}}",
        timestamp={"header": f"{family}-timestamp"},
        secret_encoding="base64",
        secret_prefix="whsec_",
    )


def _sendgrid() -> dict[str, object]:
    return {
        "scheme": "public_key",
        "algorithm": "ecdsa-p256",
        "header": "X-Twilio-Email-Event-Webhook-Signature",
        "signed": "{timestamp}{body}",
        "timestamp": {"header": "X-Twilio-Email-Event-Webhook-Timestamp"},
    }


def _token(place: str, name: str, prefix: str | None = None) -> dict[str, object]:
    block: dict[str, object] = {"scheme": "token", "in": place, "name": name}
    return block | ({"prefix": prefix} if prefix else {})


_SPEC = "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"
_HUBSPOT = "https://developers.hubspot.com/docs/apps/"
_HUBSPOT_NEW = f"{_HUBSPOT}developer-platform/build-apps/authentication/request-validation"
_HUBSPOT_OLD = f"{_HUBSPOT}legacy-apps/authentication/validating-requests"
_VAPI = "https://docs.vapi.ai/server-url/server-authentication"
_FORMSTACK = "https://developers.formstack.com/docs/webhook-setup"

PRESETS: Mapping[str, Preset] = {
    "standard-webhooks": Preset(
        _standard("webhook"),
        _SPEC,
        "Use this preset for any sender that follows the Standard Webhooks specification.",
    ),
    "standard-webhooks-v1a": Preset(
        {
            "scheme": "public_key",
            "algorithm": "ed25519",
            "header": "webhook-signature",
            "format": "v1a,{signature}",
            "separator": " ",
            "signed": "{header:webhook-id}.{timestamp}.{body}",
            "timestamp": {"header": "webhook-timestamp"},
            "secret_prefix": "whpk_",
        },
        _SPEC,
        "Use this preset for Standard Webhooks with a public key. As the secret, use the key that "
        "starts with `whpk_`.",
    ),
    "svix": Preset(
        _standard("svix"),
        "https://docs.svix.com/receiving/verifying-payloads/how-manual",
        "Use this preset for senders that deliver through Svix (Standard Webhooks with Svix's "
        "header names).",
    ),
    "stripe": Preset(
        _stripe_style("Stripe-Signature", "v1"),
        "https://docs.stripe.com/webhooks/signature",
        "Stripe's secret includes the `whsec_` prefix.",
    ),
    "calendly": Preset(
        _stripe_style("Calendly-Webhook-Signature", "v1", timestamp={"tolerance": 180}),
        "https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures",
        "Calendly signs webhooks only if the subscription has a signing key.",
    ),
    "elevenlabs": Preset(
        _stripe_style("ElevenLabs-Signature", "v0", timestamp={"tolerance": 1800}),
        "https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks",
        "ElevenLabs signs post-call webhooks. The tolerance is 30 minutes, as in ElevenLabs' "
        "own libraries.",
    ),
    "retell": Preset(
        _hmac(
            "X-Retell-Signature",
            format="v={timestamp},d={signature}",
            signed="{body}{timestamp}",
            timestamp={"unit": "ms"},
        ),
        "https://docs.retellai.com/features/secure-webhook",
        "For Retell voice agents, the secret is the API key with the webhook badge.",
    ),
    "slack": Preset(
        _hmac(
            "X-Slack-Signature",
            format="v0={signature}",
            signed="v0:{timestamp}:{body}",
            timestamp={"header": "X-Slack-Request-Timestamp"},
        ),
        "https://docs.slack.dev/authentication/verifying-requests-from-slack/",
        "Add `handshake: slack` so that Slack can verify the URL.",
    ),
    "zoom": Preset(
        _hmac(
            "x-zm-signature",
            format="v0={signature}",
            signed="v0:{timestamp}:{body}",
            timestamp={"header": "x-zm-request-timestamp"},
        ),
        "https://developers.zoom.us/docs/api/webhooks/",
        "For Zoom, the secret is the app's secret token. Also add `handshake: zoom`.",
    ),
    "webflow": Preset(
        _hmac(
            "x-webflow-signature",
            signed="{timestamp}:{body}",
            timestamp={"header": "x-webflow-timestamp", "unit": "ms"},
        ),
        "https://developers.webflow.com/data/changelog/webhook-signatures",
        "Webflow signs form webhooks only if they were created through the API.",
    ),
    "zendesk": Preset(
        _hmac(
            "X-Zendesk-Webhook-Signature",
            encoding="base64",
            signed="{timestamp}{body}",
            timestamp={"header": "X-Zendesk-Webhook-Signature-Timestamp", "unit": "iso8601"},
        ),
        "https://developer.zendesk.com/documentation/webhooks/verifying/",
        "Zendesk's secret looks like base64, but the adapter uses it without decoding.",
    ),
    "hubspot-v3": Preset(
        _hmac(
            "X-HubSpot-Signature-v3",
            encoding="base64",
            signed="{method}{url}{body}{timestamp}",
            timestamp={"header": "X-HubSpot-Request-Timestamp", "unit": "ms"},
        ),
        _HUBSPOT_NEW,
        "HubSpot signs the URL, so `ADAPTER_PUBLIC_URL` must be the URL that HubSpot calls.",
    ),
    "hubspot-v2": Preset(
        {
            "scheme": "hash",
            "header": "X-HubSpot-Signature",
            "signed": "{secret}{method}{url}{body}",
        },
        _HUBSPOT_OLD,
        "This preset checks HubSpot's older hash. Prefer `hubspot-v3`, which HubSpot sends in the "
        "same request.",
    ),
    "hubspot-v1": Preset(
        {"scheme": "hash", "header": "X-HubSpot-Signature", "signed": "{secret}{body}"},
        _HUBSPOT_OLD,
        "This preset checks HubSpot's oldest hash, which allows length extension attacks. Prefer "
        "hubspot-v3.",
    ),
    "github": Preset(
        _hmac("X-Hub-Signature-256", format="sha256={signature}"),
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        "GitHub signs each webhook with the webhook's secret.",
    ),
    "meta": Preset(
        _hmac("X-Hub-Signature-256", format="sha256={signature}"),
        None,
        "For Meta lead ads, the secret is the app secret. Also add `handshake: meta`.",
    ),
    "sendgrid": Preset(
        _sendgrid(),
        "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/"
        "getting-started-event-webhook-security-features",
        "For SendGrid's event webhook, the secret is the verification key in SendGrid's settings.",
    ),
    "sendgrid-inbound-parse": Preset(
        _sendgrid(),
        "https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/"
        "securing-your-parse-webhooks",
        "For SendGrid Inbound Parse with a security policy, the secret is the policy's public key.",
    ),
    "gohighlevel": Preset(
        {"scheme": "public_key", "algorithm": "ed25519", "header": "X-GHL-Signature"},
        "https://marketplace.gohighlevel.com/docs/webhook/WebhookIntegrationGuide",
        "For HighLevel's app webhooks, the secret is the Ed25519 public key in HighLevel's guide.",
    ),
    "formstack": Preset(
        _hmac("X-FS-Signature", format="sha256={signature}"),
        _FORMSTACK,
        "Formstack signs webhooks only if the form's webhook has an HMAC key.",
    ),
    "intercom": Preset(
        _hmac("X-Hub-Signature", format="sha1={signature}", algorithm="sha1"),
        None,
        "Intercom signs with SHA-1. The secret is the app's client secret.",
    ),
    "typeform": Preset(
        _hmac("Typeform-Signature", format="sha256={signature}", encoding="base64"),
        "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
        "Typeform's digest after `sha256=` is base64, not hex.",
    ),
    "shopify": Preset(
        _hmac(["X-Shopify-Hmac-Sha256", "Shopify-Hmac-Sha256"], encoding="base64"),
        "https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
        "Shopify signs webhooks under its old or its new header name.",
    ),
    "acuity": Preset(
        _hmac("X-Acuity-Signature", encoding="base64"),
        "https://developers.acuityscheduling.com/docs/webhooks",
        "For Acuity Scheduling, the secret is the API key.",
    ),
    "tally": Preset(
        _hmac("Tally-Signature", encoding="base64"),
        "https://developers.tally.so/api-reference/endpoint/webhooks/post",
        "Tally signs webhooks only if the webhook has a signing secret.",
    ),
    "cal-com": Preset(
        _hmac("X-Cal-Signature-256"),
        "https://cal.com/docs/developing/guides/automation/webhooks",
        "Cal.com signs webhooks only if the webhook has a secret.",
    ),
    "propexo": Preset(
        _hmac("propexo-signature"),
        "https://docs.propexo.com/how-it-works/webhooks/signed-payloads",
        "Use this preset for Propexo's own webhooks about failed writes.",
    ),
    "vapi-hmac": Preset(
        _hmac("x-vapi-signature"),
        _VAPI,
        "For Vapi with an HMAC credential, set `header` and `signed` as in Vapi's settings.",
    ),
    "squarespace": Preset(
        _hmac("Squarespace-Signature", secret_encoding="hex"),
        "https://developers.squarespace.com/webhooks/verifying-notifications",
        "Squarespace's secret is hex-encoded.",
    ),
    "formsort": Preset(
        _hmac("X-Formsort-Signature", encoding="base64url"),
        "https://docs.formsort.com/handling-data/getting-data-out/signed-requests",
        "Formsort's digest is base64url without padding.",
    ),
    "convoy-sha512": Preset(
        _hmac("X-Convoy-Signature", algorithm="sha512", encoding="base64"),
        "https://www.getconvoy.io/docs/product-manual/signatures",
        "Use this preset for Convoy projects with SHA-512 and base64.",
    ),
    "twilio": Preset(
        _hmac("X-Twilio-Signature", algorithm="sha1", encoding="base64", signed="{url}{form}"),
        "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
        "Twilio signs either the URL and the form fields, or the URL with a hash of the body.",
    ),
    "rfc4231-sha256": Preset(
        _hmac("X-Sig", secret_encoding="hex"),
        "https://www.rfc-editor.org/rfc/rfc4231",
        "This preset checks a plain HMAC-SHA256 in hex, with a hex-encoded secret.",
    ),
    "rfc4231-sha512": Preset(
        _hmac("X-Sig", algorithm="sha512", secret_encoding="hex"),
        "https://www.rfc-editor.org/rfc/rfc4231",
        "This preset checks a plain HMAC-SHA512 in hex, with a hex-encoded secret.",
    ),
    "rfc2202-sha1": Preset(
        _hmac("X-Sig", algorithm="sha1", secret_encoding="hex"),
        "https://www.rfc-editor.org/rfc/rfc2202",
        "This preset checks a plain HMAC-SHA1 in hex, with a hex-encoded secret.",
    ),
    "wufoo": Preset(
        _token("form", "HandshakeKey"),
        "http://help.wufoo.com/articles/en_US/SurveyMonkeyArticleType/Webhooks",
        "Wufoo sends the handshake key in a form field.",
    ),
    "formstack-handshake": Preset(
        _token("form", "HandshakeKey"),
        _FORMSTACK,
        "Without an HMAC key, Formstack sends a shared key in a form field.",
    ),
    "jotform": Preset(
        _token("query", "token"),
        None,
        "Jotform does not sign webhooks. Add `?token=…` to the webhook URL.",
    ),
    "zillow": Preset(
        _token("query", "token"),
        None,
        "Zillow Rentals does not document a signature. Add `?token=…` to the webhook URL.",
    ),
    "elementor": Preset(
        _token("query", "token"),
        None,
        "Elementor does not sign forms. Add `?token=…` to the webhook URL.",
    ),
    "google-forms": Preset(
        _token("header", "Authorization", "Bearer "),
        None,
        "For Google Forms, have the Apps Script send `Authorization: Bearer …`.",
    ),
    "gravity-forms": Preset(
        _token("header", "Authorization", "Bearer "),
        "https://docs.gravityforms.com/webhooks-feed-meta",
        "In Gravity Forms, add the request header `Authorization: Bearer …` to the feed.",
    ),
    "zoopla": Preset(
        _token("header", "Authorization"),
        None,
        "Zoopla sends only the key in the `Authorization` header, without `Bearer`.",
    ),
    "fillout": Preset(
        _token("header", "X-Webhook-Token"),
        None,
        "Fillout does not sign webhooks. Add the custom header `X-Webhook-Token`.",
    ),
    "botpress": Preset(
        _token("header", "x-bp-secret"),
        "https://botpress.com/docs/integrations/integration-guides/webhook/",
        "Use this preset for Botpress's webhook integration.",
    ),
    "vapi": Preset(
        _token("header", "X-Vapi-Secret"),
        _VAPI,
        "Use this preset for Vapi with a secret in a header.",
    ),
    "livechat": Preset(
        _token("json", "secret_key"),
        "https://platform.text.com/docs/management/webhooks",
        "LiveChat sends the secret in the JSON body.",
    ),
    "dialogflow": Preset(
        {"scheme": "basic", "username": "test"},
        "https://docs.cloud.google.com/dialogflow/docs/fulfillment-how",
        "For Dialogflow fulfillment with a username and password, override `username`.",
    ),
    "dialogflow-aladdin": Preset(
        {"scheme": "basic", "username": "Aladdin"},
        "https://www.rfc-editor.org/rfc/rfc7617",
        "This preset is the example from the HTTP Basic specification.",
    ),
}
