"""Makes the tokenizers of this folder, and expected.json: what the Python library tokenizers 0.22.2 makes of texts.

    pip install tokenizers==0.22.2
    python3 make.py ../../../../../demo/text
"""
import hashlib, json, os, struct, sys
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

texts_folder, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
train_lines = open(os.path.join(texts_folder, "speeches.train.tokens"), encoding="utf-8").read().split("\n")[:3000]
valid_path = os.path.join(texts_folder, "speeches.valid.tokens")
alphabet = pre_tokenizers.ByteLevel.alphabet()


def byte_level():
    """As GPT-2, with added tokens that a line of dict.txt cannot hold."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(train_lines, trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False))
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), "new word", AddedToken("    ", normalized=False)])
    return tokenizer, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}


def split_regex():
    """As Llama 3: its pattern instead of GPT-2's."""
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated", False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(train_lines, trainers.BpeTrainer(vocab_size=400, special_tokens=["<|begin_of_text|>", "<|end_of_text|>"], initial_alphabet=alphabet, show_progress=False))
    return tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|end_of_text|>"}}


def word_piece():
    """As BERT: text that it does not know is [UNK], and what ends a text is not said."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(train_lines, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    return tokenizer, {"pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]"}


def unigram():
    """As T5: SentencePiece's unigrams, with names that fairseq has too."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(train_lines, trainers.UnigramTrainer(vocab_size=250, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    return tokenizer, {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def byte_fallback():
    """As Llama 2: no pre-tokenizer, and bytes for what is unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % byte for byte in range(256)]
    tokenizer.train_from_iterator(train_lines, trainers.BpeTrainer(vocab_size=450, special_tokens=special, show_progress=False))
    described = json.loads(tokenizer.to_str())
    described["pre_tokenizer"] = None
    described["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] in special[:3]] + [
        {"id": 450, "content": "<extra>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]
    return Tokenizer.from_str(json.dumps(described)), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def whitespace():
    """Words by white space and punctuation, of all scripts."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.train_from_iterator(train_lines + texts, trainers.BpeTrainer(vocab_size=330, special_tokens=["[UNK]", "[EOS]"], show_progress=False))
    return tokenizer, {"eos_token": "[EOS]", "unk_token": "[UNK]"}


texts = [
    "", " ", "The people of the United States .", "  two  spaces   and more    ", "caf\u00e9 na\u00efve \u00dcn\u00efc\u00f6d\u00e9", "e\u0301 combining",
    "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587", "\U0001f600\U0001f44d\U0001f3fd end", "don't I'll WE'RE they've", "tabs\tand\x0bvt\x0cff", "a\u00a0b\u3000c\u2028d",
    "x<|endoftext|>y <s> </s> <unk> [SEP] <extra>", "12345 6789 3.14", "a new word here, newword", "\u200b\ufeffzero width", "\ufb01 ligature \u00bd",
    "--- *** ___ && || <html>", "\u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940", "\x00 null \x7f", "one\ntwo\n\nthree\r\nfour \n five\n",
]


def digest(ids):
    return hashlib.sha256(struct.pack("<%di" % len(ids), *ids)).hexdigest()


expected = {"texts": texts, "tokenizers": {}}
whole = open(valid_path, "rb").read().decode("utf-8")
for make in (byte_level, split_regex, word_piece, unigram, byte_fallback, whitespace):
    tokenizer, config = make()
    name = make.__name__.replace("_", "-")
    folder = os.path.join(here, name)
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump(config, file)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    lines = [encode(line.rstrip("\n")) for line in open(valid_path, encoding="utf-8")]
    expected["tokenizers"][name] = {
        "ids": [encode(text) for text in texts],
        "lines": {"tokens": sum(map(len, lines)), "sha256": digest([i for line in lines for i in line])},
        "whole": {"tokens": len(encode(whole)), "sha256": digest(encode(whole))},
    }
with open(os.path.join(here, "expected.json"), "w") as file:
    json.dump(expected, file)
    file.write("\n")
