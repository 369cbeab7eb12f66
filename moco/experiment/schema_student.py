"""The section `student` of an experiment: a network of another architecture that `moco distill` trains."""

from __future__ import annotations

from pydantic import Field, model_validator

from moco.experiment.schema_base import Count, Seconds
from moco.experiment.schema_network import ModelConfig
from moco.experiment.schema_space import RecoverySection


class StudentConfig(ModelConfig):
    """The student: what the section `model` takes, its name under the key `model`, and how it is trained."""

    name: str | None = Field(default=None, alias="model")
    training: RecoverySection | None = None  # a way of training of `recovery`; None is the usual one
    processor_seconds: Seconds | None = None  # of one seed's training, at most
    seeds: Count | None = None  # None is one

    @model_validator(mode="after")
    def _trained_here(self) -> StudentConfig:
        if self.train is not None:
            raise ValueError("'train' is of the section model; how a student is trained stands under 'training'")
        return self
