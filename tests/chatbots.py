"""Define the gallery's chatbots: their samples and documented response formats."""

import json
import xml.etree.ElementTree as ET
from typing import Any

from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.mapping.webhook_outcome import Outcome
from tests.harness import load_cached
from tests.paths import GALLERY
from tests.schemas import matches_schema

SOURCES = load_cached(GALLERY)


BOTS = sorted(name for name, one in SOURCES.items() if "wait" in (one.respond or {}))


#: The response if a guest card exists in Knock.
IN_TOUCH = "Thank you. Our team has your details and will be in touch."


SENTENCE = {"type": "string", "pattern": r"\A[^\r\n]+\Z"}


WORD = {"enum": [str(outcome) for outcome in Outcome]}


def exact_object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def non_empty_array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXTS = exact_object(text=exact_object(text=non_empty_array(SENTENCE)))


SCHEMAS = {
    # https://docs.cloud.google.com/dialogflow/es/docs/reference/rest/v2/WebhookResponse
    "dialogflow-es": exact_object(
        fulfillmentText=SENTENCE, fulfillmentMessages=non_empty_array(TEXTS)
    ),
    # https://docs.cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookResponse
    "dialogflow-cx": exact_object(
        fulfillment_response=exact_object(
            messages=non_empty_array(TEXTS), merge_behavior={"const": "REPLACE"}
        ),
        session_info=exact_object(parameters=exact_object(tour_status=WORD)),
    ),
    # https://docs.vapi.ai/tools/custom-tools: the id of the call, a result on one line
    "vapi": exact_object(
        results=non_empty_array(
            exact_object(toolCallId={"type": "string", "pattern": r"\Atoolu_"}, result=SENTENCE)
        )
    ),
    # https://docs.retellai.com/build/single-multi-prompt/custom-function: any JSON object
    "retell": exact_object(result=SENTENCE, status=WORD),
    # https://elevenlabs.io/docs/agents-platform/customization/tools/server-tools: any JSON
    "elevenlabs-tool": exact_object(result=SENTENCE, status=WORD),
    # https://docs.aws.amazon.com/lexv2/latest/dg/lambda-response-format.html
    "lex-v2": exact_object(
        sessionState=exact_object(
            dialogAction=exact_object(type={"const": "Close"}),
            intent=exact_object(
                name={"const": "BookTour"}, state={"enum": ["Fulfilled", "Failed"]}
            ),
        ),
        messages=non_empty_array(
            exact_object(contentType={"const": "PlainText"}, content=SENTENCE)
        ),
    ),
    # https://docs.aws.amazon.com/lex/latest/dg/lambda-input-response-format.html
    "lex-v1": exact_object(
        dialogAction=exact_object(
            type={"const": "Close"},
            fulfillmentState={"enum": ["Fulfilled", "Failed"]},
            message=exact_object(contentType={"const": "PlainText"}, content=SENTENCE),
        )
    ),
    # https://manychat.github.io/dynamic_block_docs/
    "manychat": exact_object(
        version={"const": "v2"},
        content=exact_object(
            messages=non_empty_array(exact_object(type={"const": "text"}, text=SENTENCE)),
            actions={
                "type": "array",
                "items": exact_object(
                    action={"const": "set_field_value"},
                    field_name={"type": "string"},
                    value=WORD,
                ),
            },
            quick_replies={"type": "array"},
        ),
    ),
}


def is_twiml(body: str) -> bool:
    """Return True for a TwiML Response that contains only Messages.

    https://www.twilio.com/docs/messaging/twiml
    """
    root = ET.fromstring(body)
    texts = [child.text or "" for child in root]
    return root.tag == "Response" and all(child.tag == "Message" for child in root) and all(texts)


def matches_documented_format(name: str, body: str) -> bool:
    return (
        is_twiml(body) if name == "twilio-sms" else matches_schema(json.loads(body), SCHEMAS[name])
    )


#: A body, its content type and the query.
SampleRequest = tuple[bytes, str, str]


def first_test_request(source: Source) -> SampleRequest:
    """Return the request from the mapping's first test."""
    test = source.sections["tests"][0]
    file = GALLERY / test["payload"]
    return file.read_bytes(), content_type_of(file, file.read_bytes()), test.get("query", "")
