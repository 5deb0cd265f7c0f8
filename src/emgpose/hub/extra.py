"""The optional library huggingface_hub, and its many errors as ours."""

import contextlib
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from emgpose.errors import CheckpointError, ConfigError, MissingExtraError

_LOG_IN: Final = "log in with `hf auth login` or set HF_TOKEN"
_SHOWN_CHARACTERS: Final = 240


def require_hub() -> None:
    """Refuse to go on without the extra.

    Raises
    ------
    MissingExtraError
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError(
            "the Hugging Face Hub needs the library huggingface_hub, which is not installed; run: "
            'pip install "emgpose[hub]". A model folder needs no Hub: give its path'
        )


@contextlib.contextmanager
def hub_errors(repo_id: str, token: str | bool | None = None) -> Iterator[None]:
    """Turn what huggingface_hub raises into errors of ours, in one line and without the token.

    Its warnings, such as a line for each time that it tries again, are not shown meanwhile.

    Raises
    ------
    ConfigError : `repo_id` cannot be a name on the Hub.
    CheckpointError : everything else.
    """
    from huggingface_hub import errors

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except errors.HFValidationError as error:
        raise ConfigError(
            f"{repo_id!a}: expected USER/NAME as on the Hub, or a folder that exists ({_line(error, token)})"
        ) from None
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{repo_id}: its owner asks for consent first; give it on the model's page, then {_LOG_IN}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(
            f"{repo_id}: the Hub has no such model, or it is private; check the name, or {_LOG_IN}"
        ) from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(f"{repo_id}: it has no such revision; give a branch, a tag or a commit") from None
    except errors.LocalEntryNotFoundError as error:
        reason = _line(error.__cause__ or error, token)
        raise CheckpointError(
            f"{repo_id}: not in this machine's cache, and the Hub cannot be asked ({reason}); connect, or give a folder"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = f"; {_LOG_IN}, with a token that may do this" if status in (401, 403) else ""
        raise CheckpointError(f"{repo_id}: the Hub answers {status}: {_line(error, token)}{advice}") from None
    except KeyError as error:
        raise CheckpointError(f"{repo_id}: the answer is none of a Hub's: it lacks {_line(error, token)}") from None
    except (errors.HTTPError, OSError, ValueError) as error:
        raise CheckpointError(f"{repo_id}: the Hub cannot be used: {_line(error, token)}") from None
    finally:
        logger.setLevel(level)


def _line(error: BaseException, token: str | bool | None) -> str:
    """Give an error in one short line."""
    from huggingface_hub import get_token

    text = str(error)
    if secret := token if isinstance(token, str) else get_token():
        # An illegal one comes quoted.
        text = text.replace(secret, "(token)").replace(ascii(secret)[1:-1], "(token)")
    text = " ".join(text.split()) or type(error).__name__
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
