"""What the sample pages say: plausible English, names, places, dates and sums, all from a random generator.

A space is never all that keeps a date and a time apart: recognisers of the PP-OCR family lost it on 14 of 40 notes,
and a page is to be readable, not a trap.
"""

import random

_SUBJECTS = (
    "the committee", "our warehouse", "the new contract", "each department", "the property manager", "your request",
    "the annual report", "our engineer", "the supplier", "the delivery team", "a local partner", "the museum",
    "the river bridge", "our customer desk", "the finance office", "the harbour authority", "a recent survey",
    "the village school", "the research group", "the northern branch",
)  # fmt: skip
_VERBS = (
    "has confirmed", "will review", "may replace", "could not accept", "has prepared", "must renew", "expects",
    "recommends", "has measured", "will publish", "has postponed", "is going to repair", "plans to extend",
    "agreed to support", "has returned", "continues to monitor", "offered to cover", "would like to discuss",
)  # fmt: skip
_OBJECTS = (
    "the final drawings", "a second payment", "the storage rooms", "all open questions", "the heating system",
    "twelve wooden chairs", "the monthly figures", "a detailed answer", "the printed catalogue", "several samples",
    "the water supply", "the insurance policy", "forty new members", "the travel expenses", "a shorter route",
    "the original documents", "the garden behind the library", "the spare parts", "a complete inventory",
)  # fmt: skip
_ENDINGS = (
    "before the end of March", "within ten working days", "without further notice", "at the same address",
    "during the summer months", "as soon as possible", "for the third year", "under the present agreement",
    "in spite of the weather", "after the meeting on Thursday", "at no extra cost", "with great care",
    "for safety reasons", "on behalf of the owner", "according to the plan", "in both languages",
)  # fmt: skip
_FIRST = (
    "Anna", "Martin", "Claire", "Robert", "Helen", "Thomas", "Maria", "Peter", "Susan", "David", "Karen", "George",
    "Laura", "Henry", "Nadia", "Oscar", "Julia", "Frank", "Emma", "Victor",
)  # fmt: skip
_LAST = (
    "Bennett", "Carter", "Dawson", "Fletcher", "Graham", "Hughes", "Jensen", "Keller", "Lambert", "Morgan", "Novak",
    "Parker", "Quinn", "Reeves", "Sanders", "Turner", "Walker", "Bauer", "Chapman", "Fischer",
)  # fmt: skip
_STREETS = ("Market Street", "Station Road", "Church Lane", "Park Avenue", "Mill Road", "Bridge Street", "Queen Square")
_CITIES = ("Oxford", "Bristol", "Hamburg", "Denver", "Portland", "Leeds", "Geneva", "Dublin", "Madison", "Bergen")
_TRADES = ("Paper", "Timber", "Optics", "Print", "Garden", "Marine", "Textile", "Bakery", "Medical", "Energy")
_FORMS = ("Works", "Supplies", "Partners", "Group", "Services", "Trading", "Brothers")
_GOODS = (
    "Desk lamp", "Paper A4 white", "Coffee beans", "Steel bracket", "Garden hose", "Printer toner", "Office chair",
    "Green tea", "Water filter", "Copper cable", "Notebook", "Safety gloves", "Wall paint", "Battery pack",
    "Apple juice", "Brown bread", "Tomato soup", "Hand cream", "Orange jam", "Cheese", "Door handle", "Window cleaner",
    "Tape measure",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
CURRENCIES = ("$", "€", "£")


def sentence(rng: random.Random) -> str:
    """A sentence of about twelve words."""
    parts = [rng.choice(pool) for pool in (_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)]
    text = " ".join(parts) + "."
    return text[0].upper() + text[1:]


def prose(rng: random.Random, words: int) -> str:
    """Sentences until there are at least `words` words."""
    text = sentence(rng)
    while len(text.split()) < words:
        text = f"{text} {sentence(rng)}"
    return text


def heading(rng: random.Random) -> str:
    """A short title without a full stop."""
    text = f"{rng.choice(_SUBJECTS)} and {rng.choice(_OBJECTS)}"
    return text[0].upper() + text[1:]


def person(rng: random.Random) -> str:
    """First and last name."""
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def company(rng: random.Random) -> str:
    """A company's name."""
    return f"{rng.choice(_LAST)} {rng.choice(_TRADES)} {rng.choice(_FORMS)}"


def street(rng: random.Random) -> str:
    """House number and street."""
    return f"{rng.randint(2, 198)} {rng.choice(_STREETS)}"


def city(rng: random.Random) -> str:
    """Town and postal code."""
    return f"{rng.choice(_CITIES)} {rng.randint(10000, 98999)}"


def date(rng: random.Random) -> str:
    """A day, in one of three usual forms."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(2015, 2029)
    long_form = f"{day} {_MONTHS[month - 1]} {year}"
    return rng.choice((long_form, f"{day:02d}/{month:02d}/{year}", f"{year}-{month:02d}-{day:02d}"))


def clock(rng: random.Random) -> str:
    """A time of day."""
    return f"{rng.randint(7, 21):02d}:{rng.randint(0, 59):02d}"


def phone(rng: random.Random) -> str:
    """A telephone number in three groups."""
    return f"{rng.randint(200, 989)} {rng.randint(200, 989)} {rng.randint(1000, 9899)}"


def number(rng: random.Random, digits: int) -> str:
    """A number of `digits` digits whose first is not 0."""
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def goods(rng: random.Random) -> str:
    """Something one can buy."""
    return rng.choice(_GOODS)


def money(cents: int) -> str:
    """A sum without its currency, with commas between thousands."""
    return f"{cents / 100:,.2f}"
