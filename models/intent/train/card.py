"""The model card: what an artefact was made from and with, what it is worth, and what not to expect of it."""

from collections import Counter
from collections.abc import Mapping

from models.intent.metrics import Figures
from models.intent.train.recipe import Recipe
from models.intent.train.road import Made


def write_card(
    made: Made,
    recipe: Recipe,
    student: Mapping[str, Figures],
    teacher: Mapping[str, Figures],
    *,
    words: str,
) -> str:
    """Return the card in Markdown.

    Args:
        made: what the run gave.
        recipe: its numbers.
        student, teacher: the figures of each group of held-out rows.
        words: what the person who trained has to say of the data: origin, licence, warnings.
    """
    parts = [
        "# Intent model",
        f"Made on {made.notes.made_at} by `raydesk intent train`. Digest `{made.notes.digest[:12]}`.",
        words.strip(),
        "## What it is",
        f"A BERT encoder of {recipe.student_layers} layers, 384 wide, int8, with the {recipe.vocabulary:,} pieces of "
        "the vocabulary that Chinese and English support needs. It was distilled from multilingual-e5-small (MIT), "
        "fine-tuned on the labels below. A text's result does not depend on what is classified beside it.",
        f"On the held-out rows an offset for out of scope of {made.notes.offset:.2f} was set ({recipe.told:.0%} of the "
        f"texts out of scope are told as such). Each language has a temperature ({made.notes.en.temperature:.3f} en, "
        f"{made.notes.zh.temperature:.3f} zh) and a threshold ({made.notes.en.threshold:.2f} en, "
        f"{made.notes.zh.threshold:.2f} zh) for the evidence that a text is in scope: the lowest at which the answered "
        f"texts of every source of some size have the right intent in {recipe.precision:.0%} of all cases"
        + (
            f", and at most {recipe.unknown:.0%} of the texts are sure that nobody should answer."
            if made.unknown
            else "."
        ),
        "## What it learnt from",
        _learnt(made),
        f"Besides, the student learnt what the teacher says of {made.unlabelled:,} texts without labels and of "
        f"{recipe.variants:g} variants of each labelled one on average, more of small sources: misspelt, with pieces "
        "of near meaning in place of others, and parts alone.",
        "## What it is worth",
        "On held-out rows that it did not learn; the student as it serves, in int8, beside the teacher in fp32. "
        "*Answered* is the share of the texts in scope that reach the threshold, *precision* how many of all texts "
        "that reach it have the right intent. Offset and temperature of the teacher are its own.",
        _figures(student, teacher),
        "## What not to expect",
        "Intents with few rows above are weakly known. Labels are not free of errors, and figures on sources that are "
        "made from templates (bitext) say little. Texts in other languages, and several questions in one text, were "
        "not learnt. The confidence is calibrated on the held-out rows; other customers write otherwise, so look at "
        "`raydesk intent evaluate` with rows of your own before you trust the threshold.",
        "## Recipe",
        "```text\n" + "\n".join(f"{name} = {getattr(recipe, name)}" for name in recipe.__struct_fields__) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _learnt(made: Made) -> str:
    count = Counter((row.source, row.lang) for row in made.learnt)
    rows = [f"| {source} | {lang} | {number:,} |" for (source, lang), number in sorted(count.items())]
    return "\n".join(["| source | language | rows |", "|---|---|---|", *rows])


def _figures(student: Mapping[str, Figures], teacher: Mapping[str, Figures]) -> str:
    lines = [
        "| held-out rows | texts | accuracy | teacher's | macro-F1 | teacher's | calibration error "
        "| answered | precision |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, mine in student.items():
        theirs = teacher[name]
        lines.append(
            f"| {name} | {mine.texts} | {mine.accuracy:.3f} | {theirs.accuracy:.3f} | {mine.macro_f1:.3f} "
            f"| {theirs.macro_f1:.3f} | {mine.calibration_error:.3f} | {mine.answered:.3f} | {mine.precision:.3f} |"
        )
    return "\n".join(lines)
