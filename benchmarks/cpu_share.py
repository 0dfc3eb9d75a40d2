"""How much of a processor's bfloat16 matrix rate the laptop preset's model reaches in training, and where the rest of the time goes.

The rate of the machine is that of one large product (`llmbook.train.watch.matmul_peak`), measured before and after. Parts are the
self time of operations in the profiler, in one thread, so that their sum is the time of a step.

    python benchmarks/cpu_share.py
"""
import argparse, os, tempfile, time
from collections import Counter
from pathlib import Path
import torch
from torch.profiler import ProfilerActivity, profile
from llmbook.book import get_preset
from llmbook.core import machine_info, write_json
from llmbook.model.decoder import Decoder, flops_per_token
from llmbook.train.kernels import chunked_lm_loss
from llmbook.train.loop import Workers, accumulate, train
from llmbook.train.optim import build_optimizers
from llmbook.train.watch import matmul_peak

PARTS = dict(products=('mm', 'bmm', 'baddbmm', 'addmm', 'mkldnn'), softmax=('softmax',), copies=('copy_', 'cat', 'to', 'clone', 'contiguous', 'fill_', 'zero_'),
             elementwise=('mul', 'add', 'sub', 'div', 'silu', 'exp', 'neg', 'rsqrt', 'square', 'sqrt', 'addcmul', 'lerp', 'masked_fill', 'foreach'),
             sums=('sum', 'norm', 'amax', 'mean'), tables=('embedding', 'index', 'gather', 'scatter'))

class Random:
    "Batches of random tokens: the time does not depend on what they say."
    def __init__(self, V, B, T): self.shape,self.V = (B, T+1),V
    def batch(self, step):
        ids = torch.randint(self.V, self.shape, generator=torch.Generator().manual_seed(step))
        return dict(input_ids=ids[:,:-1], labels=ids[:,1:].clone(), doc_ids=torch.zeros(self.shape[0], self.shape[1]-1, dtype=torch.int32))

def part(name):
    name = name.removeprefix('aten::').lstrip('_')
    return next((k for k,words in PARTS.items() if any(w in name if len(w) > 3 else name == w for w in words)), 'other')

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--steps', type=int, default=40)
    a.add_argument('--out', type=Path, default=Path('benchmarks/cpu_share.json'))
    a = a.parse_args()
    c,rows = get_preset('laptop'),[]
    for T in (64, 256):
        c.pretrain.tokens = a.steps*c.pretrain.batch_tokens
        batches = Random(c.model.vocab_size, c.pretrain.batch_tokens//T, T)
        peaks = [matmul_peak('cpu', torch.bfloat16)]
        with tempfile.TemporaryDirectory() as d: got = train(Decoder(c.model), batches, c.pretrain, d, quiet=True)
        peaks.append(matmul_peak('cpu', torch.bfloat16))
        rate = got['tokens_per_second']*flops_per_token(c.model, T)
        rows.append(dict(seq_len=T, tokens_per_second=round(got['tokens_per_second']), flops_per_second=rate, peak_before_and_after=peaks, share=rate/max(peaks)))
    torch.set_num_threads(1)
    model = Decoder(c.model)
    workers,optimizers,batch = Workers(model, torch.bfloat16, 1),build_optimizers(model, steps=3),batches.batch(0)
    def step():
        accumulate(workers, batch, 4, chunked_lm_loss)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        workers.refresh()
    step()
    t = time.perf_counter()
    step()
    alone = time.perf_counter() - t
    with profile(activities=[ProfilerActivity.CPU]) as prof: step()
    parts = Counter()
    for e in prof.key_averages():
        if e.key.startswith('aten::'): parts[part(e.key)] += e.self_cpu_time_total
    total = sum(parts.values())
    result = dict(command='python benchmarks/cpu_share.py', machine=machine_info(), load=os.getloadavg()[0], rows=rows,
                  parts_of_a_step={k: round(v/total, 3) for k,v in parts.most_common()}, one_thread_step_seconds=round(alone, 3))
    print(result)
    write_json(a.out, result)

if __name__ == '__main__': main()
