"""What all pieces of the settings obey."""

from pydantic import BaseModel, ConfigDict


class Piece(BaseModel):
    """Frozen; an unknown key is an error; no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
