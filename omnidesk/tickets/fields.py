"""The fields of tags."""

from typing import Any

from omnidesk.db.folding import MAX_TAG_SENT, fold_tag
from omnidesk.http.fields import TextField

# Letters and digits of any script, which a portable pattern cannot name, and _ . : -
TAG = r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa9][^\x00-,/;-@\x5b-^`\x7b-\xa9]*"
FORM = "letters, digits, and _ . : - but not at the beginning"
MAX_TAGS_SOUGHT = 10  # that a ticket has at once


class TagField(TextField):
    """A tag, loaded in the form that is stored."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(pattern=TAG, form=FORM, max_length=MAX_TAG_SENT, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        folded = fold_tag(super()._deserialize(value, *args, **kwargs))
        if folded is None:
            raise self.make_error("pattern", form=FORM)
        return folded


class TagsField(TextField):
    """Tags, separated by commas, loaded as a tuple."""

    default_error_messages = {"many": "At most {limit} tags."}

    def __init__(self, **kwargs: Any) -> None:
        self.tag = TagField()
        length = MAX_TAGS_SOUGHT * MAX_TAG_SENT
        super().__init__(pattern=f"{TAG}(,{TAG})*", form=FORM, max_length=length, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        tags = tuple(dict.fromkeys(self.tag.deserialize(tag) for tag in text.split(",")))
        if len(tags) > MAX_TAGS_SOUGHT:
            raise self.make_error("many", limit=MAX_TAGS_SOUGHT)
        return tags
