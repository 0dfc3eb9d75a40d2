"""Near-copies by llmbook beside datasketch: documents a second from text to pairs, and which pairs each of them finds.

    python benchmarks/minhash.py data/books.jsonl.gz data/c4.jsonl.gz

Reads the Python library (always) and the paths given, whole and cut into short documents, and plants a mended copy
beside every eighth document so that there is something to find. One process, one thread. Both sides start from the
same list of texts and do everything themselves: words, runs of five, 112 hashes, 14 bands of 8, candidate pairs, and
the pairs whose signatures agree in 72 places of a hundred. The words are found by the same regular expression for
datasketch as `shingles_plain` uses. Both sides take turns; each round uses another seed, the time is the best of the
rounds, and what was found is averaged over them. Two families of hash functions differ on pairs near the threshold
whoever made them: so beside "llmbook and datasketch" stands "datasketch with one seed and with the next".
"""
import argparse, functools, gc, itertools, random, re, time
from importlib.metadata import version
from pathlib import Path

import datasketch, numpy as np, xxhash
from llmbook.core import machine_info, write_json
from llmbook.data.corpus import Document, read_corpus
from llmbook.data.dedup import declare_probability, lsh_pairs, minhash, shingles, similarity, words_of

BANDS,ROWS,THRESHOLD = 14,8,.72


def ours(texts, seed):
    "llmbook: signatures, candidates, and those confirmed."
    signatures = minhash(texts, BANDS*ROWS, seed)
    pairs = lsh_pairs(signatures, BANDS, ROWS, len(texts))
    return signatures, pairs, pairs[similarity(signatures, pairs) >= THRESHOLD]


def theirs(texts, seed, hashfunc=None):
    "datasketch: the same, by its fastest documented way (`MinHash.bulk`), one index, query before insert."
    def runs(text):
        words = words_of(text) or [text]
        return {' '.join(words[i:i+5]).encode('utf-8', 'surrogatepass') for i in range(max(1, len(words)-4))}
    kwargs = dict(hashfunc=hashfunc) if hashfunc else {}
    found,index = [],datasketch.MinHashLSH(num_perm=BANDS*ROWS, params=(BANDS, ROWS))
    sketches = datasketch.MinHash.bulk(map(runs, texts), num_perm=BANDS*ROWS, seed=seed, **kwargs)
    for i,m in enumerate(sketches):
        found += [(j, i) for j in index.query(m)]
        index.insert(i, m, check_duplication=False)
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    signatures = np.stack([m.hashvalues for m in sketches])
    return signatures, pairs, pairs[similarity(signatures, pairs) >= THRESHOLD]


def take(spec, size):
    "Documents of `spec` until `size` bytes are reached."
    for d in read_corpus(spec):
        if size <= 0: return
        if isinstance(d, Document):
            size -= len(d.text.encode('utf-8', 'surrogatepass'))
            yield d.text


def short(texts, size=600):
    "Cut texts into paragraphs of `size` characters or a little more."
    for text in texts:
        held = ''
        for part in re.split(r'\n\s*\n', text):
            held += part + '\n\n'
            if len(held) >= size:
                yield held
                held = ''


def planted(texts, every=8, seed=0):
    "The texts, and beside every eighth of them a copy in which up to one word in ten is another."
    rng = random.Random(seed)
    for k,text in enumerate(texts):
        yield text
        if k % every == 0:
            share = rng.random()/10
            yield ' '.join(f'x{rng.randrange(10**6)}' if rng.random() < share else w for w in text.split(' '))


def exact_pairs(texts, floor=.5):
    "All pairs of similarity `floor` or more, exactly, through an index from runs to documents."
    sets = [shingles(t) for t in texts]
    size,run = np.array([len(s) for s in sets]),np.concatenate(sets)
    owner = np.repeat(np.arange(len(sets)), size)
    order = np.argsort(run, kind='stable')
    run,owner = run[order],owner[order]
    first = np.flatnonzero(np.append(True, run[1:] != run[:-1]))
    count = np.diff(first, append=len(run))
    out = {}
    for j,s in enumerate(sets):
        at = np.searchsorted(run[first], s)
        at = at[count[at] > 1]
        if not len(at): continue
        both = np.bincount(np.concatenate([owner[first[k]:first[k]+count[k]] for k in at]), minlength=len(sets))
        near = np.flatnonzero(both[:j])
        s_j = both[near]/(size[near] + size[j] - both[near])
        out.update({(int(i), j): float(x) for i,x in zip(near, s_j) if x >= floor})
    return out


def mean(values, digits=1): return round(sum(values)/len(values), digits)


def compare(name, texts, rounds):
    "One row of the table."
    ways = dict(llmbook=lambda seed: ours(texts, seed), datasketch=lambda seed: theirs(texts, seed),
                datasketch_xxhash=lambda seed: theirs(texts, seed, xxhash.xxh32_intdigest))
    times,result = {way: [] for way in ways},{way: [] for way in ways}
    for seed in range(rounds):
        for way,f in ways.items():
            gc.collect()
            start = time.perf_counter()
            result[way].append(f(seed))
            times[way].append(time.perf_counter()-start)
    best = {way: min(t) for way,t in times.items()}
    truth = exact_pairs(texts)
    above = {p for p,s in truth.items() if s >= THRESHOLD}
    chance = functools.cache(lambda s: declare_probability(s, THRESHOLD, BANDS, ROWS))
    row = dict(texts=name, documents=len(texts), bytes=sum(len(t.encode('utf-8', 'surrogatepass')) for t in texts))
    row['documents_per_second'] = {way: round(len(texts)/t, 1) for way,t in best.items()}
    row['times_datasketch'] = {way: round(t/best['llmbook'], 2) for way,t in best.items() if way != 'llmbook'}
    row['pairs_above_threshold'] = len(above)
    row['expected_by_theory'] = round(sum(chance(round(truth[p], 3)) for p in above), 1)
    verified = {}
    for way,runs in result.items():
        confirmed = [{tuple(p) for p in kept.tolist()} for _,_,kept in runs]
        verified[way] = [c & above for c in confirmed]
        found = [len(v) for v in verified[way]]
        row[way] = dict(candidates=mean([len(pairs) for _,pairs,_ in runs]), confirmed=mean([len(c) for c in confirmed]), verified=mean(found),
                        verified_by_seed=found, recall=mean([n/max(1, len(above)) for n in found], 4),
                        false=mean([len(c - above) for c in confirmed]), lowest_false=round(min((truth.get(p, 0.) for c in confirmed for p in c - above), default=1.), 3))
    row['agreement'] = dict(llmbook_datasketch=agreement(zip(verified['llmbook'], verified['datasketch']), truth),
                            datasketch_two_seeds=agreement(itertools.pairwise(verified['datasketch']), truth))
    row['same_signatures_same_pairs'] = same_pairs({way: runs[0] for way,runs in result.items()})
    return row


def agreement(couples, truth):
    "Of two sets of verified pairs: what part of each is in the other, and the most alike pair that only one has."
    couples = list(couples)
    return dict(first_in_second=mean([len(a & b)/max(1, len(a)) for a,b in couples], 4),
                second_in_first=mean([len(a & b)/max(1, len(b)) for a,b in couples], 4),
                highest_similarity_that_differs=round(max((truth[p] for a,b in couples for p in a ^ b), default=0.), 3),
                lost_at_0_9_and_above=sum(truth[p] >= .9 for a,b in couples for p in a ^ b))


def same_pairs(result):
    "Given the same signatures, do both indexes return the same candidates, pair by pair?"
    yes = []
    for way in ('datasketch', 'datasketch_xxhash'):
        signatures,pairs,_ = result[way]
        yes.append(np.array_equal(lsh_pairs(signatures, BANDS, ROWS, len(signatures)), pairs))
    signatures,pairs,_ = result['llmbook']
    index,found = datasketch.MinHashLSH(num_perm=BANDS*ROWS, params=(BANDS, ROWS)),[]
    for i,row in enumerate(signatures):
        m = datasketch.MinHash(num_perm=BANDS*ROWS, hashvalues=row, scheme='affine32')
        found += [(j, i) for j in index.query(m)]
        index.insert(i, m)
    return all(yes) and sorted(found) == [tuple(p) for p in pairs.tolist()]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('paths', nargs='*', help='more texts, in any form that read_corpus knows')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--bytes', type=int, default=15_000_000, help='how much of each source is read')
    a = p.parse_args()
    packages = {x: version(x) for x in ('numpy', 'datasketch', 'xxhash')}
    command = ' '.join(['python benchmarks/minhash.py', *(f'data/{Path(x).name}' for x in a.paths), f'--rounds {a.rounds}'])
    setting = dict(words_in_a_run=5, hashes=BANDS*ROWS, bands=BANDS, rows=ROWS, threshold=THRESHOLD, processes=1, rounds=a.rounds, bytes=a.bytes)
    rows = []
    for spec in ['python', *a.paths]:
        name = 'Python library' if spec == 'python' else Path(spec).name
        texts = list(take(spec, a.bytes))
        for label,some in ((name, texts), (f'{name}, short', list(short(texts)))):
            rows.append(compare(label, list(planted(some)), a.rounds))
            r = rows[-1]
            print(label, r['documents'], 'documents:', r['times_datasketch'], r['llmbook']['recall'], r['datasketch']['recall'], r['same_signatures_same_pairs'])
            write_json(Path(__file__).with_suffix('.json'), dict(command=command, machine=machine_info(), packages=packages, setting=setting, rows=rows))


if __name__ == '__main__': main()
