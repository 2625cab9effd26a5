"""The errors of WhatsApp's Cloud API.

Meta's page "WhatsApp error codes" lists codes, titles and statuses of HTTP, and asks to decide by
`code`. Throttling was 400 there once and is 429 now, so both occur.
"""

from typing import Any

from tests.providers.habits import Habit, Reply, answer

# code: (status of HTTP, title, details)
ERRORS = {
    0: (401, "AuthException", "The access token is invalid"),
    1: (400, "API Unknown", "Invalid request or possible server error"),
    2: (503, "API Service", "Temporary due to downtime or due to being overloaded"),
    4: (429, "Application request limit reached", "The app has reached its rate limit"),
    10: (403, "Permission Denied", "Permission is either not granted or has been removed"),
    100: (400, "Invalid parameter", "The request has an unsupported or misspelled parameter"),
    190: (401, "Invalid OAuth access token", "The access token has expired"),
    368: (403, "Temporarily blocked for policies violations", "The account is restricted"),
    80007: (429, "Rate limit issues", "The account has reached its rate limit"),
    130429: (429, "Rate limit hit", "Cloud API message throughput has been reached"),
    131000: (500, "Something went wrong", "Message failed to send due to an unknown error"),
    131005: (403, "Access denied", "Permission is either not granted or has been removed"),
    131008: (400, "Required parameter is missing", "The request is missing a parameter"),
    131009: (400, "Parameter value is not valid", "A value in the request is not valid"),
    131016: (503, "Service unavailable", "A service is temporarily unavailable"),
    131021: (400, "Recipient cannot be sender", "Sender and recipient number is the same"),
    131026: (400, "Message undeliverable", "Message Undeliverable"),
    131031: (403, "Account has been locked", "The account is disabled"),
    131042: (400, "Business eligibility payment issue", "There is a problem with payment"),
    131047: (400, "Re-engagement message", "More than 24 hours have passed since the last reply"),
    131048: (429, "Spam rate limit hit", "Too many previous messages were flagged as spam"),
    131051: (400, "Unsupported message type", "Message type is not supported"),
    131052: (400, "Media download error", "Unable to download the media sent by the user"),
    131053: (400, "Media upload error", "Unable to upload the media used in the message"),
    131056: (429, "(Business Account, Consumer Account) pair rate limit hit", "Too many messages"),
    131057: (500, "Account in maintenance mode", "Business Account is in maintenance mode"),
    131062: (400, "BSUID recipients are not supported for this message", "Use a phone number"),
    133004: (503, "Server Temporarily Unavailable", "Server is temporarily unavailable"),
    133010: (400, "Phone number not registered", "The number is not registered"),
}


def refusal(code: int, details: str = "", status: int = 0, **more: Any) -> Reply:
    """Return the answer with an error of the table, with more keys such as `error_subcode`."""
    usual, title, text = ERRORS[code]
    error: dict[str, Any] = {"message": f"(#{code}) {title}", "type": "OAuthException"}
    error |= {"code": code, **more}
    error["error_data"] = {"messaging_product": "whatsapp", "details": details or text}
    error["fbtrace_id"] = "Az8or2yhqkZfEZ-_4Qn_Bam"
    return Reply(status or usual, {"error": error})


def error(code: int, status: int = 0, delay: float = 0.0, **headers: str) -> Habit:
    """Return the habit that answers with an error, and with headers such as `Retry_After`."""
    reply = refusal(code, status=status)
    return answer(reply.status, reply.body, delay, **headers)


def in_status(code: int) -> dict[str, Any]:
    """Return an error as the status `failed` and the message `unsupported` have it."""
    _, title, details = ERRORS[code]
    href = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
    found = {"code": code, "title": title, "message": title}
    return found | {"error_data": {"details": details}, "href": href}
