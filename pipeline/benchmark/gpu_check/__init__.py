"""What only a GPU can show, in one command: `python -m pipeline.benchmark.gpu_check --json FILE`.

Needs neither Ray nor a network; with `--device cpu --quick` it runs anywhere, to be tested.
"""
