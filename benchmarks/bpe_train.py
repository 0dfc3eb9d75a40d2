"""BPE training: the fast trainer of `llmbook.tokens.tokenizer`, the naive one and the library `tokenizers`, on the same text.

    python benchmarks/bpe_train.py --size 1 10 --vocab 4096

The text is Python source: the standard library, then the installed packages, files in sorted order, cut at --size megabytes.
Every trainer starts from the texts in memory and ends with its merges; the fastest of --repeat runs counts (above 20 MB
there is one run). The naive
trainer does --naive-merges merges only, on up to --naive-size megabytes, and its time for the whole vocabulary is
*extrapolated* from the cost of one merge (each merge counts all pairs anew). `tokenizers` uses all cores, ours uses one:
so processor time, of all threads together, stands beside wall time, and is what the exponents are fitted to.
"""
import argparse, math, os, sys, time
from pathlib import Path


def source(megabytes):
    "Python files in a fixed order, up to so many megabytes."
    import sysconfig
    left,texts = int(megabytes*1e6),[]
    for folder in (sysconfig.get_path('stdlib'), sysconfig.get_path('purelib')):
        for p in sorted(Path(folder).rglob('*.py')):
            if folder == sysconfig.get_path('stdlib') and 'site-packages' in p.parts: continue
            try: t = p.read_text(encoding='utf-8')
            except (UnicodeDecodeError, OSError): continue
            texts.append(t.encode()[:left].decode('utf-8', 'ignore'))
            left -= len(t.encode())
            if left <= 0: return texts
    sys.exit(f'This machine has only {megabytes - left/1e6:.0f} MB of Python source; give a smaller --size.')


def best(run, repeat):
    "The least wall time and the least processor time (all threads together) of some runs, and what they gave."
    times = []
    for _ in range(repeat):
        t,c = time.perf_counter(),time.process_time()
        out = run()
        times.append((time.perf_counter()-t, time.process_time()-c))
    return *map(min, zip(*times)),out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--size', type=float, nargs='+', default=[1, 10], help='megabytes')
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--repeat', type=int, default=2)
    p.add_argument('--naive-merges', type=int, default=20)
    p.add_argument('--naive-size', type=float, default=10, help='the naive trainer stops here')
    p.add_argument('--note', default='', help='what a reader of the JSON should know about this run')
    p.add_argument('--out', type=Path, default=Path(__file__).with_suffix('.json'))
    a = p.parse_args()
    import json
    import numpy, tokenizers
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from llmbook.core import machine_info, write_json
    from llmbook.tokens.pieces import BYTES, PATTERNS, byte_alphabet, count_pieces
    from llmbook.tokens.tokenizer import BPETokenizer, merge_naive

    def theirs(texts):
        hf = Tokenizer(models.BPE())
        hf.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS['qwen2']), 'isolated'),
                                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        hf.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=a.vocab, initial_alphabet=list(byte_alphabet()), show_progress=False))
        return [' '.join(m) for m in json.loads(hf.to_str())['model']['merges']]

    def naive(counts):
        at = {t: i for i,t in enumerate(BYTES)}
        merge_naive({tuple(at[bytes([b])] for b in piece): n for piece,n in counts.items()}, list(BYTES), 256+a.naive_merges)

    rows = []
    for size in a.size:
        texts,repeat = source(size),a.repeat if size <= 20 else 1
        n_bytes = sum(len(t.encode()) for t in texts)
        fast_s,fast_cpu,ours = best(lambda: BPETokenizer.train(texts, a.vocab), repeat)
        pieces_s,pieces_cpu,counts = best(lambda: count_pieces(texts), repeat)
        hf_s,hf_cpu,merges = best(lambda: theirs(texts), repeat)
        row = dict(megabytes=n_bytes/1e6, files=len(texts), pieces=sum(counts.values()), distinct_pieces=len(counts),
                   same_merges=ours.merges == merges, merges=len(merges),
                   wall_s=dict(fast=fast_s, of_it_pieces=pieces_s, tokenizers=hf_s),
                   cpu_s=dict(fast=fast_cpu, of_it_pieces=pieces_cpu, tokenizers=hf_cpu),
                   fast_over_tokenizers=dict(wall=fast_s/hf_s, cpu=fast_cpu/hf_cpu),
                   cpu_mb_per_s=dict(fast=n_bytes/1e6/fast_cpu, tokenizers=n_bytes/1e6/hf_cpu))
        if size <= a.naive_size:
            _,naive_cpu,_ = best(lambda: naive(counts), 1)
            whole = pieces_cpu + naive_cpu/a.naive_merges*(a.vocab-256)
            row['naive'] = dict(merges=a.naive_merges, cpu_s_per_merge=naive_cpu/a.naive_merges, whole_cpu_s_extrapolated=whole,
                                over_fast_cpu_extrapolated=whole/fast_cpu)
        rows.append(row)
        print(json.dumps(row), flush=True)

    def exponent(of):
        xy = [(math.log(r['megabytes']), math.log(of(r))) for r in rows if of(r)]
        return float(numpy.polyfit(*zip(*xy), 1)[0]) if len(xy) > 1 else None
    growth = dict(fast=exponent(lambda r: r['cpu_s']['fast']), tokenizers=exponent(lambda r: r['cpu_s']['tokenizers']),
                  naive_per_merge=exponent(lambda r: r.get('naive', {}).get('cpu_s_per_merge')), distinct_pieces=exponent(lambda r: r['distinct_pieces']))
    print('processor time grows with the size of the text to the power', growth)
    write_json(a.out, dict(command=' '.join(['python', 'benchmarks/bpe_train.py', *sys.argv[1:]]), vocab_size=a.vocab, repeat=a.repeat, note=a.note,
        threads_of_tokenizers=os.cpu_count(), threads_of_fast=1, growth_exponents=growth, rows=rows, machine=machine_info(),
        versions=dict(tokenizers=tokenizers.__version__, numpy=numpy.__version__)))


if __name__ == '__main__': main()
