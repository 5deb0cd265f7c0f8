"""Models on the Hugging Face Hub: `HubModel` has the three methods that its users know. See docs/hub.md.

A folder needs none of this: `emgpose.load_model(folder)` reads what `save_pretrained` wrote.
"""

from typing import TYPE_CHECKING, Any

from emgpose.hub.extra import require_hub
from emgpose.hub.fetching import fetch_model
from emgpose.hub.recipe import read_recipe
from emgpose.hub.scores import HubScores, read_scores

if TYPE_CHECKING:
    from emgpose.hub.hub_model import HubModel

__all__ = ["HubModel", "HubScores", "fetch_model", "read_recipe", "read_scores"]


def __getattr__(name: str) -> Any:
    # Its base class comes from the extra, so that it is made at first use.
    if name != "HubModel":
        raise AttributeError(f"module 'emgpose.hub' has no attribute '{name}'; it offers {', '.join(__all__)}")
    require_hub()
    from emgpose.hub.hub_model import HubModel

    return HubModel
