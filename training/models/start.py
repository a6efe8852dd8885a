"""What a run begins with that goes on from another model (fine-tuning)."""

from dataclasses import dataclass

from torch import Tensor, nn

from training.config import RecipeError
from training.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Start:
    """Weights, and the vocabulary that they were trained with."""

    weights: dict[str, Tensor]
    vocabulary: Vocabulary
    place: str
    """Where they are from, for messages."""

    def give(self, model: nn.Module) -> None:
        """Set the weights of `model`; RecipeError where the recipe asks for another model."""
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise RecipeError(f"[model] and labels have to be those of {self.place}: {first}") from None
