"""`python -m llmbook` and `torchrun -m llmbook`: the command of chapter 91."""
from .cli import main

if __name__ == '__main__': raise SystemExit(main())
