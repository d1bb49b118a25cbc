"""Ray's actor that remembers which items were begun alone: a process that dies tells nobody what it was at."""

import ray


@ray.remote
class Witness:
    """Lives beside the process that talks to Ray, so that no item takes it along."""

    def __init__(self) -> None:
        self._begun: dict[str, bool] = {}

    def begin(self, page_id: str) -> None:
        """Remember that an item is begun."""
        self._begun[page_id] = False

    def stall(self, page_id: str) -> None:
        """Remember that it took too long, and that its process ends itself."""
        self._begun[page_id] = True

    def begun(self) -> dict[str, bool]:
        """The items, and whether they took too long."""
        return self._begun
