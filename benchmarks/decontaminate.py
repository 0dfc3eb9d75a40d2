"""Benchmark files against text: leaks planted and found, hits in clean text, memory and speed.

    python benchmarks/decontaminate.py --benchmarks data/eval/*.jsonl.gz --text python data/c4.jsonl.gz --out benchmarks/decontaminate.json
"""
import argparse, importlib.metadata, random, time
from pathlib import Path
from llmbook.core import machine_info, peak_memory, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.data.privacy import PLACEHOLDERS, Contamination, benchmark_rows, find_pii, item_texts, redact_document, word_runs

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--benchmarks', nargs='+', required=True, help='files of benchmark rows')
parser.add_argument('--text', nargs='+', default=['python'], help='corpora, as for read_corpus')
parser.add_argument('--planted', type=int, default=300, help='items of each benchmark to plant')
parser.add_argument('--n', type=int, default=13, help='words in a run')
parser.add_argument('--shown', type=int, default=12, help='hits in clean text to write down for each corpus')
parser.add_argument('--out', default='benchmarks/decontaminate.json')
args = parser.parse_args()

def plain(path): return f'data/{Path(path).name}' if Path(path).exists() else path
def words(text): return text.split()
CHANGES = {'verbatim': str, 'white space and case': lambda t: '\n '.join(words(t.upper())), 'punctuation': lambda t: ' -- '.join(t.replace(',', ';').replace('.', '!').split(' ')),
           'one word in seven added': lambda t: ' '.join(f'rather {w}' if i % 7 == 3 else w for i,w in enumerate(words(t)))}

before,t = peak_memory(),time.process_time()
index = Contamination.from_files(args.benchmarks, n=args.n)
built = time.process_time() - t
texts = {spec: [d for d in read_corpus(spec) if isinstance(d, Document)] for spec in args.text}
hosts = [d.text for docs in texts.values() for d in docs if len(d.text) > 2000]
rng = random.Random(0)
place = {name: i for i,name in enumerate(index.names)}
result = dict(command=f'python benchmarks/decontaminate.py --benchmarks {" ".join(map(plain, args.benchmarks))} --text {" ".join(map(plain, args.text))} --planted {args.planted}',
    machine=machine_info(), versions={p: importlib.metadata.version(p) for p in ('numpy', 'llmbook')}, benchmarks={}, text={})
result['index'] = dict(items=len(index.names), unguarded=len(index.unguarded), runs=int(sum(len(t.keys) for t in index.tables.values())),
    bytes=int(sum(t.nbytes() for t in index.tables.values())), runs_by_length={m: len(t.keys) for m,t in index.tables.items()}, peak_growth_bytes=peak_memory()-before)

for path in args.benchmarks:
    stem = Path(path).name.split('.')[0]
    rows = [(f'{stem}#{i}', item_texts(row)) for i,row in enumerate(benchmark_rows(path))]
    guarded = [(name, t) for name,t in rows if index.sizes[place[name]]]
    sample = rng.sample(guarded, min(args.planted, len(guarded)))
    found = {}
    for change,f in CHANGES.items():
        hit = 0
        for name,(whole,*_) in sample:
            host = rng.choice(hosts)
            cut = rng.randrange(0, min(len(host), 20_000))
            hit += any(a >= cut-50 for o in index.check(f'{host[:cut]}\n{f(whole)}\n{host[cut:cut+5000]}') for a,_ in o.passages)
        found[change] = hit/max(1, len(sample))
    questions = [(name, q) for name,t in sample for q in t[1:] if len(words(q)) >= index.n]
    alone = sum(bool(index.check(q)) for _,q in questions)/max(1, len(questions))
    result['benchmarks'][stem] = dict(items=len(rows), unguarded=len(rows)-len(guarded), planted=len(sample), found=found, question_alone=alone)
    print(stem, result['benchmarks'][stem], flush=True)

for spec,docs in texts.items():
    size = sum(len(d.text.encode()) for d in docs)
    t = time.process_time(); hits = [(d, o) for d in docs for o in index.check(d.text)]; seconds = time.process_time()-t
    t = time.process_time()
    for d in docs: word_runs(d.text)
    hashing = time.process_time()-t
    t = time.process_time(); pii = [redact_document(d) for d in docs]; redacting = time.process_time()-t
    kinds = [s.kind for d in docs for s in find_pii(d.text)]
    result['text'][plain(spec)] = dict(documents=len(docs), bytes=size, documents_hit=len({d.id for d,_ in hits}), check_mb_per_cpu_second=size/1e6/seconds,
        share_of_time_hashing=hashing/seconds, redact_mb_per_cpu_second=size/1e6/redacting, pii={k: kinds.count(k) for k in PLACEHOLDERS if k in kinds},
        hits=[dict(document=d.id, item=o.item, runs=o.runs, of=o.of, passage=' '.join(d.text[slice(*o.passages[0])].split())[:160]) for d,o in hits[:args.shown]])
    print(spec, {k: v for k,v in result['text'][plain(spec)].items() if k != 'hits'})
    for h in result['text'][plain(spec)]['hits']: print('  ', h)
short = Contamination.from_files(args.benchmarks, n=8)
for spec,docs in texts.items():
    hits = [(d, o) for d in docs for o in short.check(d.text)]
    result['text'][plain(spec)]['with_8_words'] = dict(documents_hit=len({d.id for d,_ in hits}),
        hits=[dict(document=d.id, item=o.item, runs=o.runs, of=o.of, passage=' '.join(d.text[slice(*o.passages[0])].split())[:160]) for d,o in hits[::max(1, len(hits)//args.shown)][:args.shown]])
    print(spec, result['text'][plain(spec)]['with_8_words'])
result['index']['build_cpu_seconds_per_million_runs'] = built/max(1, result['index']['runs'])*1e6
write_json(args.out, result)
