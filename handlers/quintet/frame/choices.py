"""What a request asks for in headers of its own: stages that its pages are read without. Knows no server."""

from collections.abc import Mapping

from quintet.errors import Code, Failure
from quintet.frame.chain import Chain, HasOptionalStages
from quintet.frame.frames import DPI_HEADER, LEAVE_OUT_HEADER, PAGES_HEADER

# Names of stages that are left out.
Choice = frozenset[str]
EVERYTHING: Choice = frozenset()
# Headers that begin like this are ours.
_OURS = "x-quintet-"
_KNOWN = (LEAVE_OUT_HEADER, PAGES_HEADER, DPI_HEADER)


class Choices:
    """A chain, and the same without the stages that requests have left out, by these.

    Attributes:
        stages: what may be left out; nothing where the chain has no such stages.
    """

    def __init__(self, chain: Chain) -> None:
        self._whole = chain if isinstance(chain, HasOptionalStages) else None
        self.stages = tuple(self._whole.optional_stages) if self._whole else ()
        self._chains = {EVERYTHING: chain}

    def asked_for(self, headers: Mapping[str, str]) -> Choice | Failure:
        """What a request leaves out by its headers, whose names are in lower case; INVALID_PARAMETER if it cannot.

        A header of ours that is unknown is refused: what it asks for would not be done.
        """
        known = [name.lower() for name in _KNOWN]
        if unknown := [name for name in headers if name.startswith(_OURS) and name not in known]:
            return refused(f"the header {unknown[0]} is unknown; known are {', '.join(_KNOWN)}")
        names = [name.strip() for name in headers.get(LEAVE_OUT_HEADER.lower(), "").split(",")]
        asked = frozenset(filter(None, names))
        if wrong := sorted(asked - set(self.stages)):
            return refused(f"{wrong[0]!r} cannot be left out; {', '.join(self.stages) or 'nothing'} can be")
        return asked

    def chain(self, choice: Choice) -> Chain:
        """The chain that reads what was asked for like this."""
        if choice not in self._chains and self._whole:
            self._chains[choice] = self._whole.without(choice)
        return self._chains[choice]

    def head(self, choice: Choice) -> dict[str, str]:
        """What its results begin with."""
        chain = self.chain(choice)
        return {"schema": chain.schema, "model": chain.fingerprint}


def refused(message: str) -> Failure:
    """What a request with a wrong header gets."""
    return Failure(Code.INVALID_PARAMETER, message[:300])
