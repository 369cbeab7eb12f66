"""T5.2 and T5.3: tables on ImageNet, which is not here: every printed row, and that it cannot be measured."""

from __future__ import annotations

from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.setting import Drawn, Setting

NEEDS = "needs ImageNet, which is not here"
RESNETS = {
    "ResNet-18": ("29.36 %", "30.29 %", "30.65 %", "33.40 %"),
    "ResNet-50": ("24.87 %", "23.42 %", "24.21 %", "28.73 %"),
}
"""Printed top-1 errors of the whole network and at three rates."""
RATES = ("whole", "rate 30 %", "rate 50 %", "rate 70 %")
MOBILENETS = {
    "MobileNet-v1, 50 %": {"PPO, channels": "-.2", "PPO, variational": "+.1 at 47 %", "DDPG": "-.4",
                           "uniform": "-2.5 at 56 %"},
    "MobileNet-v1, 40 %": {"PPO, channels": "-1.1", "PPO, variational": "-.8", "DDPG": "-1.7", "uniform": "-3.7"},
    "MobileNet-v2, about 70 %": {"PPO, variational": "-.8", "DDPG": "-1.0", "uniform": "-2.0"},
    "MobileNet-v2, about 60 %": {"PPO, variational": "-1.0 at 59 %", "DDPG": "-2.1"},
    "MobileNet-v2, 21 to 30 %": {"PPO, variational": "-2.4 at 21 %", "DDPG": "-3.1 at 30 %"},
}  # fmt: skip
"""Printed changes of accuracy in points, by network and share of the FLOPs that is left, and by method."""


def nothing(setting: Setting) -> Drawn:
    """No rows: the card's absences say why."""
    return Drawn((), notes=() if setting.seed else ("nothing was measured",))


def _card(name: str, title: str, column: str, printed: dict[tuple[str, str], str]) -> Card:
    return Card(
        id=name,
        title=title,
        system="S5",
        columns=(column,),
        runner=nothing,
        published={row: {column: value} for (row, _), value in printed.items()},
        absences=tuple(Absence(row, network, NEEDS) for row, network in printed),
        seeds={Scale.SMALL: 1, Scale.FULL: 1},
        minutes={Scale.SMALL: 0, Scale.FULL: 0},
        files=frozenset(),
        needs=NEEDS,
    )


RATES_CARD = _card(
    "T5.2",
    "PPO at rates of 30, 50 and 70 % on ImageNet",
    "top1_error",
    {
        (f"{network}, {rate}", network): error
        for network, errors in RESNETS.items()
        for rate, error in zip(RATES, errors, strict=True)
    },
)
BUDGETS_CARD = _card(
    "T5.3",
    "MobileNets at several FLOPs budgets on ImageNet",
    "top1_change_pp",
    {
        (f"{budget}, {method}", budget.split(",")[0]): change
        for budget, changes in MOBILENETS.items()
        for method, change in changes.items()
    },
)
