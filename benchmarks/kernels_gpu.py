"""The kernels of chapters 41b, 41e and 41g on a GPU, beside plain PyTorch, torch.compile and, where it is installed, Liger.
The loss meets two more: the compiler's own chunker, and torch's chunked F.linear_cross_entropy. Attention meets PyTorch's
flash kernel and cuDNN's, each alone.

    python benchmarks/kernels_gpu.py
    python benchmarks/kernels_gpu.py --rehearse    # tiny shapes, on the CPU, emulated, compiled by 'eager': does the script run?

For each kernel and rival: error against float64, time of the forward pass and of forward and backward (median of the
repeats, by CUDA events, the L2 cache flushed before each), the most memory it held, and for ours the ledger's floor and
prediction; for quantised weights also the kernel's own error, against the same weights multiplied without it. Everything
goes to kernels_gpu.json beside this script, with the device's name.
"""
import argparse, statistics, sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from llmbook.core import LlmbookError, machine_info, write_json
from llmbook.model.attention import rms_norm
from llmbook.model.blocks import swiglu
from llmbook.model.positions import apply_rope, rope_tables
from llmbook.train.cuda import add_rms_norm, fused_rms_norm, load_library, relative_error, use_kernels
from llmbook.train.tensorcores import attention_cost, fused_attention
from llmbook.train.fused import fused_swiglu, int4_matvec, int8_matvec, ledger, linear_cross_entropy, norm_rope, quantize_int4, quantize_int8


def cases(n, D, H, K, M, V, device):
    "Name: (leaves, plain function, our function, other rivals by name)."
    make = lambda *s, scale=1.: torch.randn(*s, device=device).mul_(scale).bfloat16().requires_grad_()
    gain = lambda k: (torch.rand(k, device=device) + .5).bfloat16().requires_grad_()
    cos,sin = rope_tables(min(n, 1024), K, device=device)
    labels = torch.randint(0, V, (n,), device=device)
    try: from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy, liger_rms_norm, liger_swiglu
    except ImportError: liger_fused_linear_cross_entropy = liger_rms_norm = liger_swiglu = None
    def plain_add_norm(x, r, w):
        h = x + r
        return h, rms_norm(h, w)
    def plain_loss(h, w): return F.cross_entropy((h @ w.T).float(), labels, reduction='sum')
    losses = dict(compile_chunked=torch.compile(plain_loss, options={'auto_chunker.enable': True})) if device != 'cpu' else {}
    if hasattr(F, 'linear_cross_entropy') and hasattr(torch.nn, 'LinearCrossEntropyOptions'):
        losses['torch_chunked'] = lambda h, w: F.linear_cross_entropy(h, w, labels, reduction='sum', options=torch.nn.LinearCrossEntropyOptions())
    def attend(q, k, v): return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    def by(backend):
        def f(q, k, v):
            with sdpa_kernel(backend): return attend(q, k, v)
        return f if device != 'cpu' else None
    heads = lambda: make(n//len(cos), H, len(cos), max(K, 32))
    return {
        'attention': ((heads(), heads(), heads()), attend, fused_attention, dict(flash=by(SDPBackend.FLASH_ATTENTION), cudnn=by(SDPBackend.CUDNN_ATTENTION))),
        'rms_norm': ((make(n, D), gain(D)), rms_norm, fused_rms_norm, dict(liger=liger_rms_norm and (lambda x, w: liger_rms_norm(x, w, 1e-6, in_place=False)))),
        'add_rms_norm': ((make(n, D), make(n, D), gain(D)), plain_add_norm, add_rms_norm, {}),
        'norm_rope': ((make(n//len(cos), len(cos), H, K), gain(K)), lambda x, w: apply_rope(rms_norm(x, w).transpose(1, 2), cos, sin), lambda x, w: norm_rope(x, w, cos, sin), {}),
        'swiglu': ((make(n, M), make(n, M)), swiglu, fused_swiglu, dict(liger=liger_swiglu)),
        'linear_cross_entropy': ((make(n, D), make(V, D, scale=D**-.5)), plain_loss, lambda h, w: linear_cross_entropy(h, w, labels),
            losses | dict(liger=liger_fused_linear_cross_entropy and (lambda h, w: liger_fused_linear_cross_entropy(h, w, labels, reduction='sum')))),
    }


def first(x): return x if isinstance(x, torch.Tensor) else x[0]


def forward_backward(f, leaves, weights):
    out = f(*leaves)
    out = (out,) if isinstance(out, torch.Tensor) else out[:len(weights)]
    return out, torch.autograd.grad(out, leaves, weights)


def milliseconds(f, repeats, flush):
    if flush is None: return None
    for _ in range(3): f()
    times = []
    for _ in range(repeats):
        a,b = (torch.cuda.Event(enable_timing=True) for _ in 'ab')
        flush.zero_()
        a.record(), f(), b.record()
        torch.cuda.synchronize()
        times.append(a.elapsed_time(b))
    return statistics.median(times)


def measure(f, leaves, weights, true, repeats, flush):
    "Errors, times and memory of one version."
    out,grads = forward_backward(f, leaves, weights)
    row = dict(error=max(relative_error(a, b) for a,b in zip((*out, *grads), true)))
    del out, grads
    if flush is not None: torch.cuda.reset_peak_memory_stats()
    row['forward_ms'] = milliseconds(lambda: f(*leaves), repeats, flush)
    row['both_ms'] = milliseconds(lambda: forward_backward(f, leaves, weights), repeats, flush)
    if flush is not None: row['peak_mb'] = torch.cuda.max_memory_allocated()/1e6
    return row


def sample(f, leaves, weights):
    "The truth in float64; too large for the loss at full size, where plain float32 stands in."
    wide = torch.float64 if sum(t.numel() for t in leaves) < 2**24 else torch.float32
    out,grads = forward_backward(f, [t.detach().to(wide).requires_grad_() for t in leaves], [w.to(wide) if w.dim() else w for w in weights])
    return [t.detach() for t in (*out, *grads)]


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--tokens', type=int, default=65_536)
    p.add_argument('--repeats', type=int, default=50)
    p.add_argument('--out', type=Path, default=Path(__file__).with_suffix('.json'))
    p.add_argument('--rehearse', action='store_true', help='tiny shapes on the CPU, emulated; nothing is timed or written')
    a = p.parse_args()
    if not a.rehearse and not torch.cuda.is_available():
        raise LlmbookError('There is no CUDA device for PyTorch to measure on; run this where torch.cuda.is_available(), or pass --rehearse.')
    shape = dict(D=64, H=2, K=16, M=48, V=200) if a.rehearse else dict(D=768, H=12, K=64, M=2048, V=50_304)
    n,device = (64, 'cpu') if a.rehearse else (a.tokens, 'cuda')
    if not load_library(device): raise LlmbookError(f'The kernels for {device} could not be built; the warning above says why.')
    torch.manual_seed(0)
    flush = None if a.rehearse else torch.empty(2**28, dtype=torch.int8, device=device)
    book,results,T = ledger(N=n, **shape),{},min(n, 1024)
    for name,products in (('attention', 2), ('attention backward', 7)):
        cost = attention_cost(n//T, shape['H'], T, max(shape['K'], 32), products)
        book[name] = cost | dict(predicted=cost['flops']/(.5*.35*989e12) + 3e-6)
    for name,(leaves,plain,ours,rivals) in cases(n, device=device, **shape).items():
        with torch.no_grad(): outs = plain(*leaves)
        outs = (outs,) if isinstance(outs, torch.Tensor) else outs
        weights = [torch.randn_like(o) if o.dim() else torch.ones_like(o) for o in outs]
        del outs
        true,rows = sample(plain, leaves, weights),{}
        for who,f in (dict(eager=plain, compile=torch.compile(plain, backend='eager' if a.rehearse else 'inductor')) | rivals).items():
            try: rows[who] = measure(f, leaves, weights, true, a.repeats, flush) if f else 'not installed'
            except Exception as e: rows[who] = f'failed: {type(e).__name__}: {str(e)[:200]}'
        with use_kernels(emulated=a.rehearse): rows['ours'] = measure(ours, leaves, weights, true, a.repeats, flush)
        parts = [book[k] for k in (name, name + ' backward') if k in book]
        rows['ours'] |= dict(floor_ms=1e3*sum(r['floor'] for r in parts), predicted_ms=1e3*sum(r['predicted'] for r in parts))
        for who in rows:
            if isinstance(rows[who], dict) and rows[who]['both_ms']: rows[who]['times_ours'] = rows[who]['both_ms']/rows['ours']['both_ms']
        results[name] = rows
        print(name, rows, flush=True)
    V,D = shape['V'],shape['D']
    w,x = torch.randn(V, D, device=device).bfloat16(),torch.randn(D, device=device).bfloat16()
    plain,true = dict(forward_ms=milliseconds(lambda: w @ x, a.repeats, flush)),w.double() @ x.double()
    for name,matvec,(q,scales) in (('int8_matvec', int8_matvec, quantize_int8(w, 16 if a.rehearse else 128)), ('int4_matvec', int4_matvec, quantize_int4(w))):
        with use_kernels(emulated=a.rehearse):
            ours = dict(error=relative_error(matvec(x, q, scales), true), kernel_error=relative_error(matvec(x, q, scales), matvec(x.double(), q, scales)), forward_ms=milliseconds(lambda: matvec(x, q, scales), a.repeats, flush),
                        floor_ms=1e3*book[name]['floor'], predicted_ms=1e3*book[name]['predicted'])
        results[name] = dict(bfloat16=plain, ours=ours)
        print(name, results[name], flush=True)
    if not a.rehearse:
        write_json(a.out, dict(command=f'python benchmarks/kernels_gpu.py --tokens {a.tokens}', machine=machine_info(), device=torch.cuda.get_device_name(), shape=dict(tokens=n, **shape), results=results))


if __name__ == '__main__':
    try: main()
    except LlmbookError as e:
        print(e, file=sys.stderr)
        sys.exit(2)
