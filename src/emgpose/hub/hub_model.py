"""A model with the methods of huggingface_hub's mixin: `from_pretrained`, `save_pretrained`, `push_to_hub`.

The mixin's own saving removes config.json before it writes, and its own loading reads a configuration of any size and
falls back to pickles. So both are ours, under the same names and arguments; uploading is the mixin's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelHubMixin

from emgpose.atomic import write_text_atomically
from emgpose.checkpoints import CARD_FILE, load_model, save_model
from emgpose.errors import ConfigError
from emgpose.hub.card import card_text
from emgpose.hub.extra import hub_errors
from emgpose.hub.fetching import fetch_model, require_small
from emgpose.hub.scores import HubScores
from emgpose.models import EmgModel


class HubModel(ModelHubMixin, library_name="emgpose"):
    """A model to be put on the Hub, or that came from there.

    Parameters
    ----------
    model : EmgModel
    scores : sequence of HubScores
        For the card; from `emgpose.hub.read_scores`.
    recipe : mapping of str to str, optional
        Settings of its training, for the card; from `emgpose.hub.read_recipe`.
    datasets : sequence of str
        Names on the Hub of the data that it was trained on, for the card.
    """

    def __init__(
        self,
        model: EmgModel,
        *,
        scores: Sequence[HubScores] = (),
        recipe: Mapping[str, str] | None = None,
        datasets: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.scores = tuple(scores)
        self.recipe = dict(recipe or {})
        self.datasets = tuple(datasets)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> "HubModel":
        """Load a model from a folder, or by its name on the Hub.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path
            A model folder, which needs no network, or USER/NAME.
        force_download, token, cache_dir, local_files_only, revision
            See `emgpose.hub.fetch_model`.
        **model_kwargs
            None are known: a model is what its folder says.

        Returns
        -------
        HubModel
            Its `model` is in eval mode, on the CPU. Scores and recipe are on the card only, and not read back.

        Raises
        ------
        CheckpointError, ConfigError : as `emgpose.hub.fetch_model` and `emgpose.load_model`.
        """
        if model_kwargs:
            known = "a model's sizes are in its folder"
            raise ConfigError(f"from_pretrained has no setting {', '.join(model_kwargs)}; {known}")
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = fetch_model(
                str(pretrained_model_name_or_path),
                revision=revision,
                token=token,
                local_files_only=local_files_only,
                cache_dir=cache_dir,
                force_download=force_download,
            )
        require_small(folder)
        return cls(load_model(folder))

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write the model's folder with the Hub's card; `emgpose.load_model` reads it.

        Parameters
        ----------
        save_directory : path
            Made if need be; each file in it is replaced whole or not at all.
        push_to_hub : bool
            Whether to upload it too.
        repo_id : str, optional
            Where to; by default the folder's name, under the user who is logged in.
        **push_to_hub_kwargs
            See `push_to_hub`.
        config, model_card_kwargs
            Of the mixin; a model brings its own, so they must be left out.

        Returns
        -------
        str or None
            The address of the commit, where one was made.

        Raises
        ------
        CheckpointError : the folder cannot be written to, or the Hub refuses.
        """
        if config is not None or model_card_kwargs:
            raise ConfigError("save_pretrained: config and model_card_kwargs come from the model; leave them out")
        folder = save_model(self.model, save_directory)
        write_text_atomically(folder / CARD_FILE, str(self.generate_model_card()))
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or folder.resolve().name, **push_to_hub_kwargs)

    def push_to_hub(self, repo_id: str, **settings: Any) -> str:
        """Upload the model's three files in one commit; the repository is made if need be.

        Parameters
        ----------
        repo_id : str
            USER/NAME.
        **settings
            Those of `huggingface_hub.ModelHubMixin.push_to_hub`: `private` (by default public), `token` (by default
            what `hf auth login` or HF_TOKEN gives), `branch`, `create_pr`, `commit_message`, ...

        Returns
        -------
        str : the address of the commit.

        Raises
        ------
        ConfigError : `repo_id` cannot be a name on the Hub.
        CheckpointError : no access, or the Hub cannot be asked.
        """
        with hub_errors(repo_id, settings.get("token")):
            return str(super().push_to_hub(repo_id, **settings))

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Give the card as the Hub's library holds it."""
        text = card_text(self.model, self.scores, self.recipe, self.datasets)
        return ModelCard(text, ignore_metadata_errors=True)
