"""`emgpose models`: what can be built or loaded, with sizes and timing."""

from typing import TYPE_CHECKING, Any

from emgpose.cli.options import Json

if TYPE_CHECKING:
    from emgpose.models import EmgModel


def models(json: Json = False) -> None:
    """List the models: task, parameters, context, and whether each way of running them is causal."""
    import torch
    from rich.table import Table

    from emgpose.cli.terminal import out, print_json
    from emgpose.models import MODELS, build_model

    # Sizes need no memory for weights.
    with torch.device("meta"):
        rows = [_facts(build_model(name)) for name in MODELS]
    if json:
        print_json(rows)
        return
    table = Table("model", "task", "parameters", "left context", "frame every", "modes (look-ahead)")
    for row in rows:
        modes = ", ".join(
            f"{mode} ({'causal' if ahead == 0 else 'whole window' if ahead is None else f'{ahead} samples ahead'})"
            for mode, ahead in row["look_ahead_samples"].items()
        )
        table.add_row(
            row["name"],
            " + ".join(row["tasks"]),
            f"{row['n_parameters']:,}",
            f"{row['left_context']:,}",
            f"{row['stride']}",
            modes,
        )
    out.print(table)
    out.print(
        "Contexts and strides in samples at 2,000 Hz. Frames are the featurizer's; poses come at 50 Hz or faster."
    )


def _facts(model: "EmgModel") -> dict[str, Any]:
    names = (
        "name",
        "tasks",
        "n_parameters",
        "n_channels",
        "sample_rate_hz",
        "left_context",
        "stride",
        "test_window",
        "modes",
    )
    facts = {name: getattr(model, name) for name in names} | {"task": model.config.task}
    facts["causal"] = {mode: model.is_causal(mode) for mode in facts["modes"]}
    facts["look_ahead_samples"] = {mode: model.look_ahead_samples(mode) for mode in facts["modes"]}
    return facts
