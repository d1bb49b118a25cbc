"""What a chain's outcomes must be: one a body, the same whatever their neighbours, failures with a code."""

import json
import re

from quintet.authoring.checks.bodies import bad_bodies
from quintet.authoring.checks.comparison import difference
from quintet.authoring.checks.subject import BATCH, BrokenPromiseError, Subject, outcomes_of, shuffled
from quintet.errors import Failure
from quintet.frame.chain import Chain, Outcome


def is_a_chain(subject: Subject) -> str:
    """It has what the frame asks for, and its results are plain JSON."""
    chain = subject.chain
    missing = [name for name in ("settings", "sources") if not hasattr(subject.chain_class, name)]
    if missing or not isinstance(chain, Chain):
        missing += [name for name in vars(Chain) if not name.startswith("_") and not hasattr(chain, name)]
        raise BrokenPromiseError(f"it has no {', '.join(missing)}: see quintet.frame.chain")
    if not re.fullmatch(r"[^\s/]+/\d+", chain.schema):
        raise BrokenPromiseError(f"schema is {chain.schema!r}; allowed is a name and a version, such as mine.photo/1")
    results = [outcome for outcome in subject.alone if not isinstance(outcome, Failure)]
    if not results:
        raise BrokenPromiseError(f"no body has a result, the first says {subject.alone[0]}: give others with --bodies")
    for result in results:
        if not isinstance(result, dict) or json.loads(json.dumps(result)) != result:
            raise BrokenPromiseError(f"a result is no plain JSON object: {result!r:.200}")
    return f"{chain.schema}, {len(results)} of {len(subject.bodies)} bodies have results"


def one_outcome_a_body(subject: Subject) -> str:
    """As many outcomes as bodies, each that of its body."""
    for count in (0, 1, len(subject.bodies)):
        outcomes_of(subject.chain, subject.bodies[:count])
    _must_differ(subject)
    outcomes = outcomes_of(subject.chain, subject.bodies)
    for place, outcome in enumerate(outcomes):
        if difference(outcome, subject.alone[place]):
            others = [n for n, alone in enumerate(subject.alone) if not difference(outcome, alone)]
            if others:
                raise BrokenPromiseError(f"outcome {place} is that of body {others[0]}")
    return f"0, 1 and {len(subject.bodies)} bodies"


def a_batch_is_its_bodies_alone(subject: Subject) -> str:
    """A batch of 64 says what 64 batches of one say."""
    outcomes = outcomes_of(subject.chain, subject.batch)
    alone = [subject.alone[place % len(subject.bodies)] for place in range(BATCH)]
    _must_agree(outcomes, alone, f"in a batch of {BATCH} and alone")
    return f"{BATCH} bodies, {len(subject.bodies)} different ones"


def order_does_not_matter(subject: Subject) -> str:
    """A shuffled batch says the same of each body."""
    order = shuffled(len(subject.bodies))
    straight = outcomes_of(subject.chain, subject.bodies)
    mixed = outcomes_of(subject.chain, [subject.bodies[place] for place in order])
    _must_agree(mixed, [straight[place] for place in order], "shuffled and not")
    return f"{len(order)} bodies shuffled"


def a_bad_body_hurts_nobody(subject: Subject) -> str:
    """A bad body is a failure with a code, and its neighbours are what they are without it."""
    first, last = subject.bodies[0], subject.bodies[-1]
    codes = []
    for kind, bad in bad_bodies(first).items():
        outcomes = outcomes_of(subject.chain, [first, bad, last])
        if not isinstance(outcomes[1], Failure) or not outcomes[1].code or not outcomes[1].message:
            raise BrokenPromiseError(f"{kind} gives {outcomes[1]!r:.100}, not a Failure with a code and a message")
        _must_agree([outcomes[0], outcomes[2]], [subject.alone[0], subject.alone[-1]], f"beside {kind} and alone")
        codes.append(str(outcomes[1].code))
    return ", ".join(codes)


def _must_differ(subject: Subject) -> None:
    first, *others = subject.alone
    if not any(difference(first, other) for other in others):
        raise BrokenPromiseError("all bodies have the same outcome, which shows nothing: give others with --bodies")


def _must_agree(outcomes: list[Outcome], expected: list[Outcome], words: str) -> None:
    for place, pair in enumerate(zip(outcomes, expected, strict=True)):
        if found := difference(*pair):
            raise BrokenPromiseError(f"body {place} differs {words}: {found}")
