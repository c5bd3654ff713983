"""The gallery's chatbots: their samples, and the shape of the answer that each documents."""

import json
import xml.etree.ElementTree as ET
from typing import Any

from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.mapping.webhook_outcome import Outcome
from tests.harness import loaded
from tests.paths import GALLERY
from tests.schemas import fits

SOURCES = loaded(GALLERY)


BOTS = sorted(name for name, one in SOURCES.items() if "wait" in (one.respond or {}))


#: What is said where a guest card stands in Knock.
IN_TOUCH = "Thank you. Our team has your details and will be in touch."


SENTENCE = {"type": "string", "pattern": r"\A[^\r\n]+\Z"}


WORD = {"enum": [str(outcome) for outcome in Outcome]}


def only(**properties: Any) -> dict[str, Any]:
    """An object of exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXTS = only(text=only(text=some(SENTENCE)))


SCHEMAS = {
    # https://docs.cloud.google.com/dialogflow/es/docs/reference/rest/v2/WebhookResponse
    "dialogflow-es": only(fulfillmentText=SENTENCE, fulfillmentMessages=some(TEXTS)),
    # https://docs.cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookResponse
    "dialogflow-cx": only(
        fulfillment_response=only(messages=some(TEXTS), merge_behavior={"const": "REPLACE"}),
        session_info=only(parameters=only(tour_status=WORD)),
    ),
    # https://docs.vapi.ai/tools/custom-tools: the id of the call, a result on one line
    "vapi": only(
        results=some(only(toolCallId={"type": "string", "pattern": r"\Atoolu_"}, result=SENTENCE))
    ),
    # https://docs.retellai.com/build/single-multi-prompt/custom-function: any JSON object
    "retell": only(result=SENTENCE, status=WORD),
    # https://elevenlabs.io/docs/agents-platform/customization/tools/server-tools: any JSON
    "elevenlabs-tool": only(result=SENTENCE, status=WORD),
    # https://docs.aws.amazon.com/lexv2/latest/dg/lambda-response-format.html
    "lex-v2": only(
        sessionState=only(
            dialogAction=only(type={"const": "Close"}),
            intent=only(name={"const": "BookTour"}, state={"enum": ["Fulfilled", "Failed"]}),
        ),
        messages=some(only(contentType={"const": "PlainText"}, content=SENTENCE)),
    ),
    # https://docs.aws.amazon.com/lex/latest/dg/lambda-input-response-format.html
    "lex-v1": only(
        dialogAction=only(
            type={"const": "Close"},
            fulfillmentState={"enum": ["Fulfilled", "Failed"]},
            message=only(contentType={"const": "PlainText"}, content=SENTENCE),
        )
    ),
    # https://manychat.github.io/dynamic_block_docs/
    "manychat": only(
        version={"const": "v2"},
        content=only(
            messages=some(only(type={"const": "text"}, text=SENTENCE)),
            actions={
                "type": "array",
                "items": only(
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
    """https://www.twilio.com/docs/messaging/twiml: a Response with Messages, or with nothing."""
    root = ET.fromstring(body)
    texts = [child.text or "" for child in root]
    return root.tag == "Response" and all(child.tag == "Message" for child in root) and all(texts)


def is_understood(name: str, body: str) -> bool:
    return is_twiml(body) if name == "twilio-sms" else fits(json.loads(body), SCHEMAS[name])


#: A body, its content type and the query.
Body = tuple[bytes, str, str]


def sample_of(source: Source) -> Body:
    """What the mapping's first test sends."""
    test = source.sections["tests"][0]
    file = GALLERY / test["payload"]
    return file.read_bytes(), content_type_of(file, file.read_bytes()), test.get("query", "")
