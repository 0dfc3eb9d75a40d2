"""Personal data on generated texts with a known truth, and speed on real text, beside datatrove's formatter for the two kinds that it knows.

    python benchmarks/privacy.py --text python data/c4.jsonl.gz --out benchmarks/privacy.json
"""
import argparse, importlib.metadata, time
from functools import partial
from pathlib import Path
from llmbook.core import machine_info, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.data.privacy import Span, by_kind, make_cases, redact, score_pii

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--text', nargs='+', default=['python'], help='corpora, as for read_corpus')
parser.add_argument('--cases', type=int, default=3000)
parser.add_argument('--seeds', type=int, nargs='+', default=[101, 102, 103])
parser.add_argument('--out', default='benchmarks/privacy.json')
args = parser.parse_args()
from datatrove.pipeline.formatters.pii import PIIFormatter
pii = PIIFormatter()

def theirs(text):
    "datatrove's matches as spans."
    for kind,r in ('email', pii.emails_replacer), ('ip', pii.ip_replacer):
        for m in r.regex.finditer(text):
            if not r.validator or r.validator(m[0]): yield Span(kind, m.start(), m.end(), m[0])

def cpu(f, repeat=2):
    best = 9e9
    for _ in range(repeat):
        t = time.process_time(); f(); best = min(best, time.process_time()-t)
    return best

def plain(path): return f'data/{Path(path).name}' if Path(path).exists() else path
result = dict(command=f'python benchmarks/privacy.py --text {" ".join(map(plain, args.text))}', machine=machine_info(),
    versions={p: importlib.metadata.version(p) for p in ('datatrove', 'llmbook')}, cases=args.cases, seeds={}, speed={}, growth={})
for seed in args.seeds:
    cases = make_cases(args.cases, seed)
    mine = by_kind(score_pii(cases))
    other = {k: v for k,v in by_kind(score_pii(cases, theirs)).items() if k in ('email', 'ip')}
    result['seeds'][seed] = dict(llmbook=mine, datatrove=other)
    for name,t in (('llmbook', mine), ('datatrove', other)): print(seed, name, {k: (round(v['recall'], 3), v['precision'] and round(v['precision'], 3)) for k,v in t.items()})
for spec in args.text:
    docs = [d.text for d in read_corpus(spec) if isinstance(d, Document)]
    size = sum(len(d.encode()) for d in docs)/1e6
    a,b,c = (cpu(lambda: [f(d) for d in docs]) for f in (redact, partial(redact, kinds=('email', 'ip')), pii.format))
    result['speed'][plain(spec)] = dict(mb=size, six_kinds_mb_per_cpu_second=size/a, email_and_ip_mb_per_cpu_second=size/b, datatrove_mb_per_cpu_second=size/c, two_kinds_times_datatrove=c/b)
    print(spec, result['speed'][plain(spec)])
for unit in ('a', 'aaaa.', '@@@@', 'a@a.', '1-1-1-', '1.1.', '-----BEGIN PRIVATE KEY-----'):
    texts = [(unit*n)[:n] for n in (5_000, 20_000)]
    result['growth'][unit] = {name: (lambda t: t[1]/max(t[0], 1e-5))([cpu(lambda: f(t)) for t in texts]) for name,f in (('llmbook', redact), ('datatrove', pii.format))}
    print(repr(unit), result['growth'][unit])
write_json(args.out, result)
