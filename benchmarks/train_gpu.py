"""Training on one GPU: this book's own step beside nanoGPT and litgpt on the same card, then tinyshakespeare by nanoGPT's protocol for a GPU.

    python benchmarks/train_gpu.py --nanogpt ../nanoGPT --litgpt --text data/tinyshakespeare.txt
    python benchmarks/train_gpu.py --rehearse --nanogpt ../nanoGPT --text data/tinyshakespeare.txt    # tiny, on the CPU: does the script run?

Throughput. All systems multiply matrices of the same sizes: `gpt2-124m` has 123,588,864 parameters here and 124,373,760 in nanoGPT, which learns
positions, too; `qwen3-350m` has 353,554,432 and 354,599,936. One count of operations, `flops_per_token` (attention in full), therefore serves for
every MFU. A step is `--rows` sequences of `--length` random tokens, in pieces where memory runs out, and AdamW (fused). Ours is `Workers` and `accumulate`:
float32 master, bfloat16 copy, gradient clipped; `graph` is `eager` recorded as CUDA graphs, and `kernels` is compiled, too. `documents` is that for rows
of several documents (lengths drawn, median 400 tokens) under a dense mask; `flex` and `varlen` keep them apart as chapter 41h does. One count of operations
serves here, too, so what the latter skip shows in tokens a second, and in an MFU that counts pairs which were not computed.
nanoGPT is what its bench.py does (float32, autocast, no clipping), litgpt what its pretrain does in bf16-true (no float32 weights, clipped). The
warm-up is left out; the time is the median of the other steps, each between two synchronisations.

Text. The preset `characters` on the GPU: `seconds` of all its steps, and `steady_seconds` without compilation (each step at the median of its 31
neighbours). Then nanoGPT's config/train_shakespeare_char.py as it is. `nats` is a character's loss over all held-out text.

Each row is measured in a process of its own and written when it is done; one that failed holds the error as text. Rows that are there stay.
"""
import argparse, contextlib, functools, gc, importlib.util, json, math, os, re, statistics, subprocess, sys, tempfile, threading, time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_

import characters
from llmbook.book import apply_setting, get_preset
from llmbook.core import LlmbookError, file_hash, machine_info, read_json, require, to_plain, write_json
from llmbook.model.decoder import Decoder, DecoderConfig, flops_per_token
from llmbook.train.classics import get_optimizers
from llmbook.train.cuda import load_library, use_kernels
from llmbook.train.documents import with_document_attention
from llmbook.train.fused import kernel_lm_loss, with_kernels
from llmbook.train.graphs import StepGraph
from llmbook.train.kernels import chunked_lm_loss
from llmbook.train.loop import Workers, accumulate
from llmbook.train.memory import halve_on_oom
from llmbook.train.optim import clip_by_norm
from llmbook.train.state import read_metrics
from llmbook.train.watch import matmul_peak

PEAKS = {r'H100.*HBM3|H200(?!.*NVL)': 989e12, 'A100': 312e12, r'RTX 4090(?! D)': 165e12} # Dense bfloat16, stated by the maker
SHAPES = {
    'gpt2-124m': dict(vocab_size=50_304, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12, head_dim=64),
    'qwen3-350m': dict(vocab_size=50_304, hidden_size=1024, intermediate_size=3072, num_hidden_layers=24, num_attention_heads=16, num_key_value_heads=8, head_dim=64)}
TINY = dict(vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, head_dim=16)
ARMS = dict(eager={}, graph=dict(graph=True), compile=dict(compiled=True), kernels=dict(compiled=True, kernels=True)) # Of ours
ARMS |= {name: ARMS['kernels'] | dict(documents=how) for name,how in dict(documents='dense', flex='flex', varlen='varlen').items()}
TINY_TEXT = ['pretrain.tokens=4096', 'pretrain.batch_tokens=512', 'pretrain.micro_tokens=256', 'lengths=[[16,0.5],[32,0.5]]', 'seq_len=32',
             'model.num_hidden_layers=1', 'model.ngram_rows=64', 'model.ngrams=[2,3]']
TINY_NANOGPT = dict(device='cpu', compile=False, dtype='float32', block_size=16, batch_size=4, n_layer=1, n_head=2, n_embd=32, max_iters=40, lr_decay_iters=40,
                    eval_interval=10, eval_iters=1, log_interval=1)

def on_gpu(): return torch.cuda.is_available()
def device_name(): return torch.cuda.get_device_name() if on_gpu() else 'cpu'
def wait(): return torch.cuda.synchronize() if on_gpu() else None
def reset_peak(): return torch.cuda.reset_peak_memory_stats() if on_gpu() else None
def peak_gb(): return torch.cuda.max_memory_allocated()/1e9 if on_gpu() else None
def place(job): return 'cuda' if on_gpu() and not job['rehearse'] else 'cpu'

def peak_rate(device):
    "Operations a second that MFU is a share of, and whence."
    stated = next((v for k,v in PEAKS.items() if re.search(k, device) and 'MIG' not in device), None)
    if stated: return dict(device=device, flops=stated, source='stated by the maker, bfloat16 without sparsity')
    rate = matmul_peak('cuda', torch.bfloat16) if on_gpu() else matmul_peak('cpu', n=128)
    if on_gpu(): torch.cuda.empty_cache()
    return dict(device=device, flops=rate, source='measured by llmbook.train.watch.matmul_peak')

def versions(**more):
    res = dict(torch=torch.__version__, cuda=torch.version.cuda)
    for name in ('llmbook', 'triton'):
        with contextlib.suppress(PackageNotFoundError): res[name] = version(name)
    return res | more

def document_ids(rows, T):
    "Documents end to end: their lengths have a long tail."
    lengths = (400*torch.randn(rows*T//8 + 1).exp()).clamp(min=8).long()
    return torch.arange(len(lengths), dtype=torch.int32).repeat_interleave(lengths)[:rows*T].view(rows, T)

def recorded(workers, optimizers, objective, micro):
    "The step of `llmbook.train.graphs`."
    graph = StepGraph(workers, optimizers, objective, 1., lambda T: micro)
    def step(batch):
        try: loss,norm = graph.gradients(batch)
        except LlmbookError as e: raise torch.OutOfMemoryError(str(e)) if 'memory' in str(e) else e
        require(math.isfinite(loss) and math.isfinite(norm), 'The loss or the gradient is not finite.')
        graph.update()
        return loss
    return step

def llmbook_step(job, config, micro, device):
    "The book's step, in the order of `llmbook.train.loop`; how many parameters it trains."
    arm = dict(compiled=False, kernels=False, documents=None, graph=False) | ARMS[job['arm']]
    compiled,kernels = arm['compiled'],arm['kernels']
    require(not kernels or not on_gpu() or load_library('cuda'), 'The kernels could not be built for this GPU; see what nvcc says of them.')
    use_kernels(kernels)
    model = Decoder(config).to(device)
    if kernels: with_kernels(model)
    optimizers,workers = get_optimizers(model, 'adamw', 6e-4, 6e-4, 6e-4, .1),Workers(model, torch.bfloat16)
    if arm['documents']: with_document_attention(workers.working, arm['documents'])
    for c in workers.copies if compiled else []: c.hidden = torch.compile(c.hidden)
    ids = torch.randint(config.vocab_size, (job['rows'], job['T']+1))
    batch = dict(input_ids=ids[:,:-1].contiguous(), labels=ids[:,1:].contiguous()) | (dict(doc_ids=document_ids(job['rows'], job['T'])) if arm['documents'] else {})
    params,objective = list(model.parameters()),kernel_lm_loss if kernels else chunked_lm_loss
    whole = recorded(workers, optimizers, objective, micro) if arm['graph'] else None
    def step():
        here = {k: v.to(device, non_blocking=True) for k,v in batch.items()}
        if whole: return whole(here)
        loss = float(accumulate(workers, here, micro, objective)[0])
        require(math.isfinite(loss) and math.isfinite(float(clip_by_norm(params, 1.))), 'The loss or the gradient is not finite.')
        for o in optimizers: o.step()
        model.zero_grad(set_to_none=True), workers.refresh()
        return loss
    return step, params, versions()

def rival_step(loss_of, optimizer, job, micro, vocab, device, clip=0.):
    "A step over random tokens that are on the device already."
    x,y = (torch.randint(vocab, (job['rows'], job['T']), device=device) for _ in 'xy')
    params = [p for g in optimizer.param_groups for p in g['params']]
    def step():
        total = 0.
        for i in range(0, len(x), micro):
            loss = loss_of(x[i:i+micro], y[i:i+micro])*(len(x[i:i+micro])/len(x))
            loss.backward()
            total = total + loss.detach()
        if clip: clip_grad_norm_(params, clip)
        optimizer.step(), optimizer.zero_grad(set_to_none=True)
        return total.item()
    return step, params

def nanogpt_step(job, c, micro, device):
    sys.path.insert(0, job['nanogpt'])
    from model import GPT, GPTConfig
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    model = GPT(GPTConfig(block_size=job['T'], vocab_size=c.vocab_size, n_layer=c.num_hidden_layers, n_head=c.num_attention_heads, n_embd=c.hidden_size, dropout=0., bias=False)).to(device)
    optimizer = model.configure_optimizers(weight_decay=1e-2, learning_rate=1e-4, betas=(.9, .95), device_type=device)
    model = torch.compile(model)
    def loss_of(x, y):
        with torch.autocast('cuda', torch.bfloat16) if on_gpu() else contextlib.nullcontext(): return model(x, y)[1]
    return *rival_step(loss_of, optimizer, job, micro, c.vocab_size, device), versions(nanogpt=file_hash(Path(job['nanogpt'])/'model.py'))

def litgpt_step(job, c, micro, device):
    from litgpt.config import Config
    from litgpt.model import GPT
    from litgpt.utils import chunked_cross_entropy
    model = GPT(Config(block_size=job['T'], vocab_size=c.vocab_size, padded_vocab_size=c.vocab_size, n_layer=c.num_hidden_layers, n_head=c.num_attention_heads, n_embd=c.hidden_size,
        n_query_groups=c.num_key_value_heads, head_size=c.head_dim, intermediate_size=c.intermediate_size, mlp_class_name='LLaMAMLP', norm_class_name='RMSNorm', norm_eps=c.rms_norm_eps,
        norm_qk=True, rotary_percentage=1., rope_base=int(c.rope_theta), parallel_residual=False, bias=False))
    model.transformer.wte.weight = model.lm_head.weight
    model.apply(model._init_weights)
    model = torch.compile(model.to(device, torch.bfloat16))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    loss_of = lambda x, y: chunked_cross_entropy(model(x), y)
    return *rival_step(loss_of, optimizer, job, micro, c.vocab_size, device, clip=1.), versions(litgpt=version('litgpt'))

def throughput(job):
    "Time the steps of one system; half as many rows at a time whenever memory runs out."
    config = DecoderConfig(**job['config'], max_position_embeddings=job['T'])
    def attempt(micro):
        gc.collect(), torch.compiler.reset()
        if job['rehearse'] and micro == job['rows']: raise torch.OutOfMemoryError('a rehearsed one')
        torch.manual_seed(0)
        step,params,known = STEPS[job['system']](job, config, micro, place(job))
        times,t0 = [],time.perf_counter()
        for _ in range(job['warmup']): step()
        wait()
        warm,_ = time.perf_counter() - t0,reset_peak()
        for _ in range(job['steps']):
            t0 = time.perf_counter()
            loss = step()
            wait()
            times.append(time.perf_counter() - t0)
        return dict(parameters=sum(p.numel() for p in params), step_ms=1e3*statistics.median(times), slowest_ms=1e3*max(times), warmup_seconds=warm, peak_gb=peak_gb(), loss=loss, versions=known)
    row,micro = halve_on_oom(attempt, job['rows'])
    return dict(micro_rows=micro, tokens_per_second=job['rows']*job['T']/row['step_ms']*1e3, flops_per_token=flops_per_token(config, job['T'])) | row

STEPS = dict(llmbook=llmbook_step, nanoGPT=nanogpt_step, litgpt=litgpt_step)

def steady_seconds(folder):
    t = [r['step_seconds'] for r in read_metrics(folder/'metrics.jsonl') if 'step_seconds' in r]
    return dict(steps=len(t), steady_seconds=sum(statistics.median(t[max(0, i-15):i+16]) for i in range(len(t))))

def its_words(out):
    "What nanoGPT prints of its run: the best of its own estimates on held-out text, and a step's time."
    return dict(best_val_loss=min(map(float, re.findall(r'val loss ([\d.]+)', out))), iteration_ms=statistics.median(map(float, re.findall(r'iter \d+: .*time ([\d.]+)ms', out))))

def learn_text(job):
    if job['system'] == 'nanoGPT':
        return characters.nanogpt(job['nanogpt'], job['path'], 0, TINY_NANOGPT if job['rehearse'] else {}, its_words) | dict(versions=versions(nanogpt=file_hash(Path(job['nanogpt'])/'model.py')))
    settings = [f'pretrain.compile={json.dumps(job["arm"] == "compile")}', *job['settings']]
    return characters.ours(Path(job['path']).read_text(encoding='utf-8'), get_preset('characters').pretrain.tokens, job['seed'], settings, place(job), steady_seconds) | dict(settings=job['settings'], versions=versions())

def child(job):
    "Measure one row and print it; end when the parent does."
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    if job['rehearse']: torch.compile = functools.partial(torch.compile, backend='eager')
    try: row = (learn_text if job['shape'] == 'characters' else throughput)(job)
    except Exception as e: row = dict(error=f"{type(e).__name__}: {str(e)[:300]} {(getattr(e, 'stderr', None) or '').strip()[-300:]}".strip())
    print('\n' + json.dumps(to_plain(row)))

def measure(job, limit):
    "A row from a process of its own, or why there is none."
    r,w = os.pipe()
    try: p = subprocess.run([sys.executable, __file__, '--job', json.dumps(job)], stdin=r, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired: return dict(error=f'not done after {limit} seconds')
    finally: os.close(r), os.close(w)
    try: return json.loads(p.stdout.splitlines()[-1])
    except (IndexError, ValueError): return dict(error=f'ended with code {p.returncode}: {p.stderr.strip()[-300:]}')

def jobs(a, device):
    "What names each row."
    same = dict(device=device, rows=a.rows, T=32 if a.rehearse else a.length, warmup=a.warmup, steps=a.steps)
    for shape in a.shapes:
        for arm in ARMS: yield dict(system='llmbook', arm=arm, shape=shape, **same)
        if a.nanogpt: yield dict(system='nanoGPT', arm='compile', shape=shape, **same)
        if a.litgpt: yield dict(system='litgpt', arm='compile', shape=shape, **same)
    if not a.text: return
    same = dict(shape='characters', device=device, text=file_hash(a.text))
    for seed in a.seeds:
        for arm in ('eager', 'compile'): yield dict(system='llmbook', arm=arm, seed=seed, settings=a.set, **same)
    if a.nanogpt: yield dict(system='nanoGPT', arm='compile', **same)

def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--rows', type=int, default=32, help='sequences in a step, and at first in a forward pass')
    p.add_argument('--length', type=int, default=1024, help='tokens in a sequence; what documents save grows with it')
    p.add_argument('--warmup', type=int, default=10, help='steps before the clock')
    p.add_argument('--steps', type=int, default=20, help='steps timed')
    p.add_argument('--shapes', nargs='*', choices=list(SHAPES), default=list(SHAPES))
    p.add_argument('--nanogpt', type=Path, help='a checkout of nanoGPT, to measure it, too')
    p.add_argument('--litgpt', action='store_true', help='measure the installed litgpt, too')
    p.add_argument('--text', type=Path, help='tinyshakespeare, one file')
    p.add_argument('--seeds', type=int, nargs='+', default=[0], help='of our runs on the text')
    p.add_argument('--set', nargs='*', default=[], help='settings of the preset `characters` to change')
    p.add_argument('--limit', type=int, default=1800, help='seconds for a row')
    p.add_argument('--again', nargs='?', const='all', choices=('all', 'failed'), help='measure all rows again, or those that failed')
    p.add_argument('--out', type=Path, default=Path(__file__).with_suffix('.json'))
    p.add_argument('--rehearse', action='store_true', help='tiny shapes on the CPU, compiled by eager; nothing is written')
    p.add_argument('--job', help=argparse.SUPPRESS)
    return p.parse_args()

def check(a):
    require(a.rehearse or on_gpu(), 'There is no CUDA device for PyTorch to train on; run this where torch.cuda.is_available(), or pass --rehearse.')
    for name in ('rows', 'length', 'warmup', 'steps', 'limit'): require(getattr(a, name) > 0, f'--{name} is {getattr(a, name)}; give a whole number above zero.')
    for f in ('model.py', 'train.py', 'config/train_shakespeare_char.py') if a.nanogpt else ():
        require((a.nanogpt/f).is_file(), f'There is no {f} in {a.nanogpt}; give --nanogpt a checkout of https://github.com/karpathy/nanoGPT.')
    require(not a.litgpt or importlib.util.find_spec('litgpt'), 'litgpt is not installed here; install the package litgpt, or leave --litgpt out.')
    require(a.text or not a.set, '--set changes the preset for --text; give a text, too.')
    require(not a.text or a.text.is_file(), f'There is no file {a.text}; give --text tinyshakespeare in one file.')
    preset = get_preset('characters')
    for s in a.set: apply_setting(preset, s)
    try: characters.halves(a.text.read_text(encoding='utf-8') if a.text else 'none', preset.as_it_is)
    except UnicodeDecodeError as e: raise LlmbookError(f'{a.text} is not UTF-8 (byte {e.start}); give tinyshakespeare as it is.') from None

def main():
    a = arguments()
    if a.job: return child(json.loads(a.job))
    check(a)
    device,kept = 'cpu' if a.rehearse else device_name(),tempfile.TemporaryDirectory()
    result = read_json(a.out) if a.out.exists() and not a.rehearse else dict(rows=[])
    require(isinstance(result, dict) and isinstance(result.get('rows'), list), f'{a.out} holds no rows of this benchmark; give another --out.')
    if a.rehearse:
        a.rows,a.warmup,a.steps = 4,1,2
        if a.text:
            short = Path(kept.name)/'short.txt'
            short.write_text(a.text.read_text(encoding='utf-8')[:6000], encoding='utf-8')
            a.text,a.set = short,TINY_TEXT + a.set
    if result.get('peak', {}).get('device') != device: result['peak'] = peak_rate(device)
    given = ''.join(f' --{k} {v}' for k,v in dict(nanogpt='../nanoGPT', litgpt='', text='data/tinyshakespeare.txt').items() if getattr(a, k)).replace('  ', ' ')
    result |= dict(command=f'python benchmarks/train_gpu.py --rows {a.rows} --length {a.length} --warmup {a.warmup} --steps {a.steps}{given}' + (f' --set {" ".join(a.set)}' if a.set else ''),
                   machine=machine_info(), device=device)
    for name in jobs(a, device):
        found = next((r for r in result['rows'] if all(r.get(k) == v for k,v in name.items())), None)
        if found and not (a.again == 'all' or a.again and 'error' in found): continue
        job = name | dict(rehearse=a.rehearse, nanogpt=a.nanogpt and str(a.nanogpt.resolve()), path=a.text and str(a.text.resolve()))
        if name['shape'] in SHAPES:
            c = SHAPES[name['shape']]
            job['config'] = c | (TINY | dict(num_key_value_heads=4*c['num_key_value_heads']//c['num_attention_heads']) if a.rehearse else {})
        row = measure(job, a.limit)
        if 'tokens_per_second' in row and 'flops_per_token' in row: row['mfu'] = row['tokens_per_second']*row['flops_per_token']/result['peak']['flops']
        print({**name, **row}, flush=True)
        result['rows'] = [r for r in result['rows'] if r is not found] + [{**name, **row}]
        if not a.rehearse: write_json(a.out, result)

if __name__ == '__main__':
    try: main()
    except LlmbookError as e:
        print(e, file=sys.stderr)
        sys.exit(2)
