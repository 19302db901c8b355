"""Training and writing on a TPU: the tables of gpu.py, without a peer.

python tests/benchmarks/tpu.py [--size base large] [--batch 32 64 128]
"""

from gpu import main

if __name__ == "__main__":
    main(platform="tpu")
