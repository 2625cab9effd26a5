"""Phone numbers in E.164, by which clients who write on a channel are recognised.

Only this module imports phonenumbers, which takes 1 MB: the worker can do without.
"""

import phonenumbers

from omnidesk.db.folding import digits


def e164(phone: str | None) -> str | None:
    """Return a phone number in its one form of E.164, such as `+576015550155`, or None.

    A number has one if it begins with a plus and the code of a country. One with an extension has
    none: others share it.
    """
    try:
        number = phonenumbers.parse(phone or "", None)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def e164_keys(number: str) -> list[str]:
    """Return the `phone_key` of each usual way to write a number in E.164.

    These have what is dialled within the country, such as `+44 (0)20` for `+4420`, `+7 8 495` for
    `+7495`, and `+54 11 15` for `+54911`. Other numbers can have the same.
    """
    parsed = phonenumbers.parse(number, None)
    code = parsed.country_code or 0
    region = phonenumbers.region_code_for_country_code(code)
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""
    whole = phonenumbers.national_significant_number(parsed)
    form = phonenumbers.PhoneNumberFormat.NATIONAL
    dialled = digits(phonenumbers.format_number(parsed, form))
    ways = (whole, f"0{whole}", prefix + whole, dialled, dialled.removeprefix(prefix))
    return [*dict.fromkeys(f"{code}{way}" for way in ways)]
