"""Fields of channels."""

from typing import Any

from flask import current_app
from marshmallow import ValidationError

from omnidesk.egress import ForbiddenUrl, Rules, check_url
from omnidesk.egress.urls import MAX_URL_LENGTH
from omnidesk.http.fields import TextField

VARIABLE = r"CHANNEL_[A-Z0-9_]{1,100}"
VARIABLE_FORM = "CHANNEL_ and then capital letters, digits and _"
URL = "an address that begins with https:// or http://"


class UrlField(TextField):
    """A URL that requests may go to; it is loaded before a transaction begins, as it may wait."""

    def __init__(self, *, pattern: str = r"https?://\S+", form: str = URL, **kwargs: Any) -> None:
        super().__init__(pattern=pattern, form=form, max_length=MAX_URL_LENGTH, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, *args, **kwargs)
        try:
            check_url(url, Rules.of(current_app.config))
        except ForbiddenUrl as error:
            raise ValidationError(str(error)) from None
        return url


class BaseUrlField(UrlField):
    """A URL that paths are added to, loaded without a slash at its end."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(pattern=r"https?://[^\s?]+", form=f"{URL}, without a query", **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, *args, **kwargs).rstrip("/")


class SecretField(TextField):
    """The name of the environment variable that has a secret."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            pattern=VARIABLE, form=VARIABLE_FORM, max_length=108, allow_none=True, **kwargs
        )
