"""Pruning of networks: what `functional.pruning` does to tensors, done to the layers of a module.

- `masks`: which weights are kept, held at zero while the network is trained
- `retraining`: prune and retrain, in rounds or little by little
- `storage`: the bytes that a pruned network takes
"""
