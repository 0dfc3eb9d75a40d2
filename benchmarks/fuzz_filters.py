"""Ten thousand texts and files that nobody wrote, through reading, cleaning and the quality rules: no crash, a reason for each, bounded time.

    python benchmarks/fuzz_filters.py                  writes benchmarks/fuzz_filters.json
"""
import argparse, gzip, importlib.metadata, json, random, tempfile, time
from collections import Counter, defaultdict
from pathlib import Path
import numpy as np
from llmbook.core import LlmbookError, machine_info, peak_memory, write_json
from llmbook.data.corpus import Document, Reject, read_corpus
from llmbook.data.prepare import PrepareConfig, process
from llmbook.data.quality import LEVELS, odd_text

BOMB = 64_000_000 # Bytes that a bomb becomes

def sizes(n, rng):
    "Most texts are short, one in ten is long, and some have a million characters."
    large = [1_000_000]*min(90, n//50)
    return rng.sample(large + [rng.randrange(30_000, 100_000) for _ in range(n//10)] + [rng.choice((1, 30, 300, 3000, 10_000)) for _ in range(n)], n)

def check(result):
    "What became of a document, as one word; a wrong shape is a crash."
    if isinstance(result, Reject):
        assert result.stage and isinstance(result.reason, str) and result.reason, result
        json.dumps(result.value, allow_nan=False)
        return f'{result.stage}: {result.reason}'
    assert isinstance(result, Document) and result.text.strip()
    result.text.encode('utf-8')
    return 'kept'

def texts(n, rng):
    for i,size in enumerate(sizes(n, rng)):
        own = random.Random(f'{rng.random()} {i}')
        name,text = odd_text(own, size)
        yield name, Document(f'{i}', text, 'odd', own.choice(('prose', 'html', 'code'))), own

def files(folder, n, rng):
    "Files that lie about what they are, and gzip bombs."
    def put(name, data): (folder/name).write_bytes(data)
    bombs = {'bomb.txt.gz': b'a'*1000 + b' ', 'line.txt.gz': b'a', 'bomb.html.gz': b'<div>', 'bomb.py.gz': b'x = 0\n', 'bomb.jsonl.gz': b'{"text": "' + b'a b '*2500 + b'"}\n',
             'line.jsonl.gz': b'[', 'bomb.json.gz': b'[', 'string.json.gz': b'"a', 'nul.txt.gz': b'\0', 'bom.txt.gz': b'\xef\xbb\xbf'}
    for name,unit in bombs.items(): put(name, gzip.compress(unit*(BOMB//len(unit)), 9, mtime=0))
    put('small.html.gz', gzip.compress(b'<div>'*1_599_999, 9, mtime=0)) # one byte below what is read of a page
    put('twice.txt.gz', gzip.compress(gzip.compress(b'\0'*BOMB, 9, mtime=0), 9, mtime=0))
    for i in range(n - len(bombs) - 2):
        suffix = rng.choice(['.txt', '.md', '.html', '.py', '.jsonl', '.json', '.parquet'])
        name,text = odd_text(rng, rng.choice((10, 3000, 100_000)))
        data = rng.choice([text.encode('utf-8', 'surrogatepass'), text.encode('utf-16', 'surrogatepass'), text.encode('cp1252', 'replace'),
                           json.dumps({'text': text}).encode() + b'\n', json.dumps([{'text': text}]).encode(), rng.randbytes(5000), b''])
        if rng.random() < .3:
            data = gzip.compress(data, mtime=0)
            data = data[:rng.randrange(len(data))] if rng.random() < .3 else data + rng.choice([b'', b'tail'])
            suffix += '.gz'
        put(f'{i:04}{suffix}', data)

def run_texts(n, rng, out):
    for name,doc,own in texts(n, rng):
        config = PrepareConfig(rules=own.choice(LEVELS), languages=own.choice((None, ('en', 'de'))))
        start = time.thread_time()
        try: fate = check(process(doc, config)[0])
        except Exception as e: fate = out['crashes'].append(f'{name}: {type(e).__name__} {e}'[:200]) or 'crash'
        out['texts'].append((name, doc.kind, len(doc.text.encode('utf-8', 'replace')), time.thread_time()-start, fate))

def run_files(n, rng, out):
    with tempfile.TemporaryDirectory() as folder:
        files(Path(folder), n, rng)
        for path in sorted(Path(folder).iterdir()):
            start,fates,seen = time.thread_time(),Counter(),0
            try:
                for item in read_corpus(str(path)):
                    fates[check(process(item, PrepareConfig())[0])] += 1
                    seen += len(item.text)
            except LlmbookError as e: fates[f'read: {getattr(e, "reason", "nothing in it")}'] += 1
            except Exception as e: fates[out['crashes'].append(f'{path.name}: {type(e).__name__} {e}'[:200]) or 'crash'] += 1
            out['files'].append((path.name, path.stat().st_size, seen, time.thread_time()-start, dict(fates)))

def report(out):
    names,kinds,size,seconds,fates = zip(*out['texts'])
    size,seconds = np.array(size),np.array(seconds)
    big = size >= 10_000
    per_byte = seconds/np.maximum(1, size)
    usual = float(np.median(per_byte[big]))
    worst = defaultdict(list)
    for name,kind,n,s in zip(names, kinds, size, seconds):
        if n >= 10_000: worst[f'{name} as {kind}'].append(s/n)
    slowest = sorted(((max(v)/usual, k) for k,v in worst.items()), reverse=True)[:10]
    bombs = {name: dict(bytes=n, characters=seen, seconds=round(s, 2), fates=f) for name,n,seen,s,f in out['files'] if not name[0].isdigit()}
    at = lambda q: float(f'{np.quantile(seconds, q):.3g}')
    return dict(
        documents=len(names) + len(out['files']), texts=len(names), kinds_of_text=len(set(names)), files=len(out['files']), crashes=out['crashes'],
        fates_of_texts=dict(Counter(fates).most_common()), fates_of_files=dict(sum((Counter(f.keys()) for *_,f in out['files']), Counter()).most_common()),
        bytes_of_texts=int(size.sum()), mb_per_second=round(float(size.sum()/seconds.sum())/1e6, 2),
        seconds_a_text=dict(median=at(.5), p90=at(.9), p99=at(.99), p999=at(.999), max=at(1)),
        worst_over_median_per_byte=round(float((per_byte[big]/usual).max()), 1), over_10_kB_only=int(big.sum()),
        slowest_per_byte=[dict(text=k, times_the_median=round(x, 1)) for x,k in slowest], bombs=bombs,
        longest_file_seconds=round(max(s for *_,s,_ in out['files']), 2), peak_memory_mb=round(peak_memory()/1e6))

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--documents', type=int, default=10_000)
    p.add_argument('--files', type=int, default=500, help='how many of them are files')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', default=str(Path(__file__).with_suffix('.json')))
    a = p.parse_args()
    rng,out = random.Random(a.seed),dict(texts=[], files=[], crashes=[])
    process(Document('warm', '<p>Once more, and with feeling.</p>', 'odd', 'html'), PrepareConfig(rules='web', languages=('en',)))
    run_files(a.files, rng, out)
    run_texts(a.documents - a.files, rng, out)
    versions = {x: importlib.metadata.version(x) for x in ('trafilatura', 'lxml', 'ftfy', 'py3langid', 'numpy')}
    result = dict(command=f'python benchmarks/fuzz_filters.py --documents {a.documents} --files {a.files} --seed {a.seed}', details=machine_info(),
                  versions=versions, time='processor time of the thread, one core', **report(out))
    write_json(a.out, result)
    print(json.dumps(result, indent=1)[:6000])
