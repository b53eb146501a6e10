"""What can be chosen in the lab, and the addresses in which the page keeps it: the twin of `settings.js`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from minigrad.errors import ArgumentError

__all__ = ["SETTINGS", "Setting", "read_address"]

#: `settings.json`: surfaces, optimizers, schedules and controls with their defaults and limits.
SETTINGS: dict[str, Any] = json.loads(files("minigrad.lab").joinpath("settings.json").read_text(encoding="utf-8"))

Numbers = dict[str, float]


@dataclass
class Setting:
    """What the lab computes, as chosen in the page.

    Attributes
    ----------
    surface, schedule, clip : str
        Keys of `SETTINGS`.
    x, y : float
        The start.
    optimizers : list of str
        Those that run.
    own : dict
        For every optimizer its rate `lr` and its other numbers.
    shape : dict
        For every schedule its numbers.
    steps, seed : int
    noise, clip_at : float
        σ of the noise added to the gradient, and the threshold of clipping.
    """

    surface: str
    x: float
    y: float
    optimizers: list[str]
    own: dict[str, Numbers]
    schedule: str
    shape: dict[str, Numbers]
    steps: int
    noise: float
    seed: int
    clip: str
    clip_at: float


def read_address(address: str) -> Setting:
    """Read the part of the page's address that follows `#`.

    Parameters
    ----------
    address : str
        `key=value` pairs joined by `&`; what is left out has the value that the surface brings.

    Raises
    ------
    ArgumentError
        For a key that there is not, or a value that it cannot have.

    Examples
    --------
    >>> setting = read_address("surface=bowl&optimizers=adam&adam.lr=0.5&steps=30")
    >>> setting.x, setting.own["adam"]["lr"], setting.own["adam"]["beta1"], setting.steps
    (-3, 0.5, 0.9, 30)
    """
    pairs = parse_qsl(address.lstrip("#"), keep_blank_values=True, strict_parsing=bool(address.lstrip("#")))
    entries = dict(pairs)
    surface = _choice("surface", entries.pop("surface", SETTINGS["chosen"]["surface"]), SETTINGS["surfaces"])
    setting = _default(surface)
    for key, text in entries.items():
        _set(setting, key, text)
    return setting


def _default(surface: str) -> Setting:
    place, chosen, controls = SETTINGS["surfaces"][surface], SETTINGS["chosen"], SETTINGS["controls"]
    return Setting(
        surface=surface,
        x=place["start"][0],
        y=place["start"][1],
        optimizers=list(chosen["optimizers"]),
        own={name: {"lr": _customary_rate(place, row), **_values(row)} for name, row in SETTINGS["optimizers"].items()},
        schedule=chosen["schedule"],
        shape={name: _values(row) for name, row in SETTINGS["schedules"].items()},
        steps=place["steps"],
        noise=place["noise"],
        seed=controls["seed"]["value"],
        clip=chosen["clip"],
        clip_at=controls["clip.at"]["value"],
    )


def _values(row: dict[str, Any]) -> Numbers:
    return {key: number["value"] for key, number in row["numbers"].items()}


def _customary_rate(place: dict[str, Any], row: dict[str, Any]) -> float:
    scale = {"rate": place["rate"], "adaptive": place["adaptive"], "fixed": 1.0}[row["kind"]]
    return float(f"{row['factor'] * scale:.3g}")


def _set(setting: Setting, key: str, text: str) -> None:
    """Change the value that has this key in an address."""
    controls, (left, right, bottom, top) = SETTINGS["controls"], SETTINGS["surfaces"][setting.surface]["view"]
    owner, _, number = key.partition(".")
    if key == "optimizers":
        asked = [_choice(key, name, SETTINGS["optimizers"]) for name in text.split(",") if name]
        setting.optimizers = [name for name in SETTINGS["optimizers"] if name in asked]
    elif key == "theme":
        _choice(key, text, ("auto", "light", "dark"))  # how the page looks; nothing is computed from it
    elif key == "schedule":
        setting.schedule = _choice(key, text, SETTINGS["schedules"])
    elif key == "clip":
        setting.clip = _choice(key, text, SETTINGS["clips"])
    elif key in ("x", "y"):
        low, high = (left, right) if key == "x" else (bottom, top)
        setattr(setting, key, _number(key, text, {"min": low, "max": high}))
    elif key in ("steps", "seed", "noise", "clip.at"):
        setattr(setting, key.replace(".", "_"), _number(key, text, controls[key]))
    elif owner in SETTINGS["schedules"] and number in SETTINGS["schedules"][owner]["numbers"]:
        setting.shape[owner][number] = _number(key, text, SETTINGS["schedules"][owner]["numbers"][number])
    elif owner in SETTINGS["optimizers"] and number in setting.own[owner]:
        rule = controls["lr"] if number == "lr" else SETTINGS["optimizers"][owner]["numbers"][number]
        setting.own[owner][number] = _number(key, text, rule)
    else:
        raise ArgumentError(f"lab: the address has the key {key!r}, which there is not. Copy it from the page.")


def _choice(key: str, text: str, choices: Any) -> str:
    if text not in choices:
        raise ArgumentError(f"lab: expected {key} to be one of {', '.join(choices)}, got {text!r}.")
    return text


def _number(key: str, text: str, rule: dict[str, Any]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not rule["min"] <= value <= rule["max"] or (rule.get("whole") and value != int(value)):
        kind = "a whole number" if rule.get("whole") else "a number"
        raise ArgumentError(f"lab: expected {key} to be {kind} from {rule['min']} to {rule['max']}, got {text!r}.")
    return int(value) if rule.get("whole") else value
