"""The numbers of a training run; the shipped artefact was made with these."""

import msgspec


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to train.

    Args:
        seed: all that is random follows from it.
        vocabulary: pieces that stay of the big vocabulary.
        batch: texts in a step.
        fewest_steps: steps at least, so that few labels get more epochs.
        teacher_layers: 0 means all that the starting weights have.
        teacher_epochs, teacher_rate: of the fine-tuning.
        student_layers: 3 to 6; time in service grows with it.
        student_epochs, student_rate: of the distillation.
        variants: how many changed copies of each labelled text the student also sees, on average.
        rounded_epochs: the last epochs of the student, in which it feels the rounding of int8.
        held_out: the share of the labels that is held out if no other rows are given.
        told: which share of the held-out texts out of scope must be told as such; sets the offset.
        precision: what the answered texts must reach on the held-out rows; sets the threshold.
        unknown: which share of the texts that nobody should answer may be sure; sets the threshold too.
        threads: how many cores to use.
    """

    seed: int = 7
    vocabulary: int = 22_000
    batch: int = 32
    fewest_steps: int = 300
    teacher_layers: int = 0
    teacher_epochs: int = 4
    teacher_rate: float = 8e-5
    student_layers: int = 4
    student_epochs: int = 7
    variants: float = 2.4
    student_rate: float = 3e-4
    rounded_epochs: int = 1
    held_out: float = 0.15
    told: float = 0.95
    precision: float = 0.96
    unknown: float = 0.22
    threads: int = 2


def tiny_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe that goes the whole road in a minute or two and gives a poor model: for tests and a first try."""
    return msgspec.structs.replace(
        recipe,
        vocabulary=9_000,
        fewest_steps=20,
        teacher_layers=2,
        teacher_epochs=1,
        student_layers=2,
        student_epochs=2,
        rounded_epochs=1,
        variants=0.3,
    )
