"""`scripts/gpu_check.py`: every kernel and model on this GPU, right and how fast.

Needs torch, triton and numpy. A process without torch conducts (conductor.py); what touches the GPU
runs in a worker (worker.py), item by item (items.py), and a fresh one takes over where a failed
capture or a lost device has spoiled the one before.
"""
