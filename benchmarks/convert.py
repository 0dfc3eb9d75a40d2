"""Tokenizers brought from real files, against the programs that own the formats.

    python benchmarks/convert.py data/gpt2_encoder.json.gz data/gpt2_vocab.bpe.gz data/ggml-vocab-gpt-2.gguf.inp \
        data/ggml-vocab-gpt-2.gguf.out --languages data/udhr2.zip

GPT-2's vocabulary: llama.cpp's own test strings and ids; the merges recovered from its ranks alone; tiktoken's ids. Then
sentencepiece models trained on the Declaration of Human Rights in all languages of the archive, each line of it encoded by
sentencepiece and by the machine that `read_sentencepiece` makes of the model. Results go to benchmarks/convert.json.
"""
import argparse, base64, gzip, io, json, tempfile, time, zipfile
from importlib.metadata import version
from pathlib import Path

import sentencepiece, tiktoken

from llmbook.core import machine_info, write_json
from llmbook.tokens.convert import PATTERNS, load_tokenizer, read_sentencepiece, read_tiktoken, recover_merges
from llmbook.tokens.pieces import to_printable

MARK = '\n__ggml_vocab_test__\n'


def gpt2(a, lines):
    "GPT-2 three times: from its two files, from its ranks, and by tiktoken."
    with tempfile.TemporaryDirectory() as d:
        for name,path in (('vocab.json', a.vocab), ('merges.txt', a.merges)): Path(d, name).write_bytes(gzip.decompress(path.read_bytes()))
        ours = load_tokenizer(d)
    strings = a.strings.read_bytes().decode().split(MARK)
    expected = [[int(i) for i in l.split()] for l in a.expected.read_text().split('\n')][:len(strings)]
    ranks = {ours.decode_bytes([i]): i for i in range(50256)}
    began = time.perf_counter()
    merges,stuck = recover_merges(ranks)
    spent = time.perf_counter() - began
    file = b''.join(base64.b64encode(t) + b' %d\n' % r for t,r in ranks.items())
    theirs = tiktoken.Encoding('gpt2', pat_str=PATTERNS['gpt-2'], mergeable_ranks=ranks, special_tokens={})
    bpe = read_tiktoken(file)
    spelled = [' '.join(map(to_printable, m)) for m in merges]
    return dict(llama_cpp_strings=len(strings), llama_cpp_agree=sum(ours.encode(s) == e for s,e in zip(strings, expected)),
        ids_of_controls=dict(endoftext=ours.eot_id, im_start=ours.im_start_id, im_end=ours.im_end_id, pad=ours.pad_id),
        merges=len(ours.merges), merges_recovered_in_order=spelled == ours.merges, stuck=len(stuck), merges_per_second=round(len(merges)/spent),
        tiktoken_lines=len(lines), tiktoken_agree=sum(theirs.encode_ordinary(l) == bpe.encode(l, add_special_tokens=False).ids for l in lines))


def spm(lines, kind, vocab_size, **options):
    "One sentencepiece model on `lines`, and how many of them get the same ids."
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, model_type=kind, vocab_size=vocab_size,
        byte_fallback=True, minloglevel=2, num_threads=1, **options)
    theirs,ours = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue()),read_sentencepiece(out.getvalue())
    wrong = [l for l in lines if theirs.encode(l) != ours.encode(l, add_special_tokens=False).ids]
    return dict(kind=kind, vocab_size=vocab_size, **options, lines=len(lines), agree=len(lines)-len(wrong), differ=[w[:60] for w in wrong[:5]])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('vocab', 'merges', 'strings', 'expected'): p.add_argument(name, type=Path)
    p.add_argument('--languages', type=Path, required=True)
    a = p.parse_args()
    with zipfile.ZipFile(a.languages) as z:
        texts = [z.read(n).decode('utf-8', 'replace') for n in sorted(z.namelist()) if n.endswith('.txt')]
    lines = [l for t in texts for l in t.split('\n')[5:15] if l.strip()]
    plain = dict(normalization_rule_name='identity', remove_extra_whitespaces=False)
    models = [spm(lines, kind, 4000, **o) for kind in ('bpe', 'unigram') for o in (plain, {})]
    out = dict(command='python benchmarks/convert.py data/gpt2_encoder.json.gz data/gpt2_vocab.bpe.gz data/ggml-vocab-gpt-2.gguf.inp '
                       'data/ggml-vocab-gpt-2.gguf.out --languages data/udhr2.zip', machine=machine_info(), languages=len(texts),
               packages={k: version(k) for k in ('tokenizers', 'tiktoken', 'sentencepiece')}, gpt2=gpt2(a, lines), sentencepiece=models)
    write_json(Path(__file__).parent/'convert.json', out)
    print(json.dumps(out, indent=1, ensure_ascii=False))


if __name__ == '__main__': main()
