"""Who the sessions of this server belong to, and which models they are of: counted, not searched for."""

from collections.abc import Iterator

from service.registry import Served


class Census:
    """Every session in memory, by owner and by model version."""

    def __init__(self) -> None:
        self._of_owner: dict[str, dict[str, None]] = {}
        self._of_model: dict[int, int] = {}
        self._models: dict[int, Served] = {}

    def add(self, session_id: str, owner: str, served: Served) -> None:
        self._of_owner.setdefault(owner, {})[session_id] = None
        key = id(served)
        self._models[key] = served
        self._of_model[key] = self._of_model.get(key, 0) + 1

    def remove(self, session_id: str, owner: str, served: Served) -> None:
        of_owner, key = self._of_owner[owner], id(served)
        del of_owner[session_id]
        if not of_owner:
            del self._of_owner[owner]
        self._of_model[key] -= 1
        if not self._of_model[key]:
            del self._of_model[key], self._models[key]

    def num_of_owner(self, owner: str) -> int:
        return len(self._of_owner.get(owner, ()))

    def num_of_model(self, served: Served) -> int:
        return self._of_model.get(id(served), 0)

    def of_owner(self, owner: str) -> Iterator[str]:
        """Ids of the owner's sessions, newest first; not to be changed meanwhile."""
        return reversed(self._of_owner.get(owner, {}))

    def model(self, key: int) -> Served:
        """The model version with this key, which is its `id`."""
        return self._models[key]
