"The kernels as PyTorch operators, raw: outputs are passed in, and `llmbook.train.cuda.plan` says how rows are shared out."
from ._ops import ops

__all__ = ['ops']
