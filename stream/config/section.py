"""What every section of the settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen; unknown names are refused; the docstring under a field says its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
