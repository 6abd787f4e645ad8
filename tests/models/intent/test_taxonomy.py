import pytest

from models.intent.taxonomy import OUT_OF_SCOPE, InvalidTaxonomy, load_taxonomy, parse_taxonomy

INTENT = '[[intent]]\nname = "{name}"\nzh = "z"\nen = "e"\ndescription = "d"\n'


def file_of(*names: str, more: str = "") -> str:
    return "".join(INTENT.format(name=name) for name in names) + more


def test_the_shipped_taxonomy_has_the_23_intents_each_in_both_languages():
    taxonomy = load_taxonomy()
    assert len(taxonomy) == 23
    assert all(intent.zh and intent.en and intent.description for intent in taxonomy)
    assert not taxonomy[OUT_OF_SCOPE].answerable
    assert not taxonomy["human_agent"].answerable
    assert "refund" in taxonomy
    assert "weather" not in taxonomy


def test_the_order_of_the_file_is_the_order_of_the_outputs():
    taxonomy = parse_taxonomy(file_of("b", "a", OUT_OF_SCOPE), "mine")
    assert taxonomy.names == ("b", "a", OUT_OF_SCOPE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (file_of("a", "b"), "mine: out_of_scope is missing"),
        (file_of("a", "a", OUT_OF_SCOPE), "mine: a stands there twice"),
        (file_of("a b", "c", OUT_OF_SCOPE), "'a b' is no name"),
        (file_of("a", OUT_OF_SCOPE), "fewer than two intents"),
        (file_of("a", "b", OUT_OF_SCOPE, more="answerable = true\n"), "out_of_scope cannot be answerable"),
        (file_of("a", "b", OUT_OF_SCOPE, more="color = 1\n"), "unknown field `color`"),
        ('[[intent]]\nname = "a"\n', "missing required field"),
        ("[[intent", "mine: "),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, says: str):
    with pytest.raises(InvalidTaxonomy, match=says.replace("(", r"\(")):
        parse_taxonomy(text, "mine")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidTaxonomy, match=r"nowhere\.toml: No such file"):
        load_taxonomy(tmp_path / "nowhere.toml")
