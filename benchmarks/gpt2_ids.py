"""GPT-2's real vocabulary, read by `BPETokenizer.from_gpt2`, against the ids that llama.cpp expects.

    python benchmarks/gpt2_ids.py data/gpt2_encoder.json.gz data/gpt2_vocab.bpe.gz data/ggml-vocab-gpt-2.gguf.inp data/ggml-vocab-gpt-2.gguf.out

The first two files are OpenAI's `encoder.json` and `vocab.bpe`, the other two come with llama.cpp (folder `models`):
its test strings and the ids of each. The same files are given to the library `tokenizers` as well. Nothing is downloaded.
"""
import argparse
from pathlib import Path

from llmbook.core import file_hash, machine_info, require, write_json
from llmbook.tokens.pieces import PATTERNS
from llmbook.tokens.tokenizer import BPETokenizer

MARK = '\n__ggml_vocab_test__\n'


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('vocab', 'merges', 'strings', 'expected'): p.add_argument(name, type=Path)
    a = p.parse_args()
    import tokenizers
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    ours = BPETokenizer.from_gpt2(a.vocab, a.merges)
    hf = Tokenizer(models.BPE(vocab={n: i for i,n in enumerate(ours.names())}, merges=[tuple(m.split(' ')) for m in ours.merges]))
    hf.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS['gpt2']), 'isolated'),
                                                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    strings = a.strings.read_bytes().decode().split(MARK)
    expected = [[int(i) for i in line.split()] for line in a.expected.read_text().split('\n')][:len(strings)]
    require(len(strings) == len(expected), f'{len(strings)} strings have {len(expected)} rows of ids; take both files from one version.')
    rows = [dict(text=s, ids=e, agrees=ours.encode(s) == e, returns=ours.decode(e) == s, tokenizers=hf.encode(s).ids == e)
            for s,e in zip(strings, expected)]
    result = dict(strings=len(rows), agree=sum(r['agrees'] for r in rows), decode_back=sum(r['returns'] for r in rows),
                  tokenizers_agree=sum(r['tokenizers'] for r in rows), ids=sum(len(e) for e in expected),
                  failures=[r for r in rows if not r['agrees']])
    write_json(Path(__file__).with_suffix('.json'), dict(
        command='python benchmarks/gpt2_ids.py data/gpt2_encoder.json.gz data/gpt2_vocab.bpe.gz '
                'data/ggml-vocab-gpt-2.gguf.inp data/ggml-vocab-gpt-2.gguf.out',
        files={f: file_hash(getattr(a, f)) for f in ('vocab', 'merges', 'strings', 'expected')},
        vocabulary=dict(entries=ours.vocab_size, merges=len(ours.ranks), special=ours.special),
        versions=dict(tokenizers=tokenizers.__version__), machine=machine_info(), **result))
    print({k: v for k,v in result.items() if k != 'failures'})


if __name__ == '__main__': main()
