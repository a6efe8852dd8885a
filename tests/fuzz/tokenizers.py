"""Tokenizer files, and what a tokenizer that was taken makes of texts."""

from collections.abc import Iterator

from service.bundle.characters import Characters
from service.bundle.tokenizer import UNK
from service.bundle.tokenizers import tokenizer_from_json
from service.errors import InvalidInput
from tests.fakes.toy_bundles import toy_tokenizer
from tests.fuzz.target import Target, json_words

TEXTS = ("uno dos", "¿Qué? İ ﬀ 漢字 \U0001f600", " a\tb\n", "", "<s></s><unk>")


def read(data: bytes) -> None:
    tokenizer = tokenizer_from_json(data.decode("utf-8", "replace"))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert all(UNK <= token < tokenizer.size for token in ids)
        assert len(tokenizer.spans(text)) == len(ids)
        tokenizer.decode(ids)
    assert tokenizer.encode_batch(list(TEXTS)) == [tokenizer.encode(text) for text in TEXTS]
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def seeds() -> Iterator[bytes]:
    yield toy_tokenizer().to_json().encode()
    yield BPE.encode()
    yield Characters("abc ño", lowercase=True).to_json().encode()


BPE = """{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{"type":"NFKC"},
"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
"post_processor":null,"decoder":null,"model":{"type":"BPE","dropout":null,"unk_token":"<unk>",
"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,
"vocab":{"<pad>":0,"<s>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"ab":6,"\u2581":7},"merges":[["a","b"]]}}"""

TARGET = Target(
    "tokenizers",
    read,
    seeds,
    refusals=(InvalidInput,),
    words=json_words("kind", "alphabet", "model", "type", "vocab", "unk_token", "normalizer", "added_tokens"),
)
