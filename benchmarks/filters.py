"""How fast the learned filters train and judge, beside the rules, on the same documents in one process.

    OMP_NUM_THREADS=1 python benchmarks/filters.py data/books.jsonl.gz data/udhr2.zip

Half of the books train an n-gram model of words; the other half, cut into documents of 4,000 characters, is judged by each
filter. Rewrites benchmarks/filters.json. MB are millions of UTF-8 bytes.
"""
import argparse, time
from statistics import median
from importlib.metadata import version
from pathlib import Path

from llmbook.core import machine_info, peak_memory, read_jsonl, write_json
from llmbook.data.corpus import Document
from llmbook.data.filters import KneserNey, LanguageFilter, PerplexityFilter, QualityFilter, train_language, train_quality
from llmbook.data.quality import check_quality
from language import read


def clock(f):
    "Seconds of processor time that `f` takes, and its answer."
    start = time.process_time()
    out = f()
    return time.process_time() - start, out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('books', help='rows with a text')
    p.add_argument('declaration', help='udhr2.zip')
    a = p.parse_args()
    books = [row['text'] for row in read_jsonl(a.books)]
    train,held = books[::2],books[1::2]
    docs = [Document(f'{i}-{j}', t[j:j+4000], 'books', 'prose') for i,t in enumerate(held) for j in range(0, len(t), 4000)][::4]
    n_train,n_docs = (sum(len(t.encode()) for t in ts)/1e6 for ts in (train, [d.text for d in docs]))
    rows = []
    models = {}
    for name,how in {'order 3': {}, 'order 3, pruned': dict(prune=1), 'order 3, limit 500,000': dict(limit=500_000)}.items():
        s,m = clock(lambda: KneserNey.train(train, **how))
        models[name] = m
        rows.append(dict(what=f'train n-gram model, {name}', mb_s=round(n_train/s, 2), n_grams=sum(len(level[0]) for level in m.levels)))
    for row,m in zip(rows, models.values()): row['median_perplexity'] = round(median(m.perplexity(d.text) for d in docs[::8]), 1)
    language = train_language(read(a.declaration)[0])
    quality = train_quality([t[i:i+2000] for t in train for i in range(0, 40_000, 2000)],
                            [t[i:i+2000][::-1] for t in train for i in range(0, 40_000, 2000)])
    filters = {f'perplexity, {name}': PerplexityFilter(m, high=1e9) for name,m in models.items()}
    filters |= {'language': LanguageFilter(language, ('en',)), 'quality classifier': QualityFilter(quality)}
    filters |= {'rules of the web, for comparison': lambda doc: check_quality(doc, rules='web')}
    for name,f in filters.items():
        s,out = clock(lambda: [f(d) for d in docs])
        rows.append(dict(what=f'judge: {name}', mb_s=round(n_docs/s, 2), refused=sum(r is not None for r in out)))
    command = 'OMP_NUM_THREADS=1 python benchmarks/filters.py data/books.jsonl.gz data/udhr2.zip'
    write_json(Path(__file__).with_suffix('.json'), dict(command=command, details=machine_info(), versions=dict(numpy=version('numpy')),
        note='processor time of one core', train_mb=round(n_train, 1), judged_mb=round(n_docs, 1), documents=len(docs),
        peak_memory_mb=round(peak_memory()/1e6), rows=rows))
    for r in rows: print(r)


if __name__ == '__main__': main()
