"""Text that every format can hold: no control characters, no lone surrogates, one line."""

import re

# What XML 1.0 cannot hold even escaped, plus the C1 controls that it discourages and the non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def clean(text: str) -> str:
    """Make one line of a text: white space runs become one space, what no format can hold becomes U+FFFD.

    All formats clean alike, so that they agree with each other word by word.
    """
    return " ".join(_FORBIDDEN.sub("\ufffd", text).split())
