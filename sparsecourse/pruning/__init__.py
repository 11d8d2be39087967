"""Pruning of networks: what `functional.pruning` does to tensors, done to the layers of a module.

- `masks`: which weights are kept, held at zero while the network is trained
- `retraining`: prune and retrain, in rounds or little by little
- `penalty`: a price on the size of the weights while they are trained
- `graph`: the layers of a network and the channels that they share (`labels`, `following`: how)
- `criteria`: scores of filters
- `selection`: plans, which filters stay within a budget
- `branches`: residual branches, which can go as a whole
- `surgery`: the smaller network of a plan
- `reconstruction`: channels chosen layer by layer, and weights fitted again by least squares
- `discrimination`: channels chosen by the gradient of a loss that knows the classes
- `ssl`: prices on groups of weights, paid by proximal steps while a network is trained
- `dead_groups`: which groups died, as masks and as counts
- `shapes`: convolutions without the inputs that no filter reads
- `storage`: the bytes that a pruned network takes
"""
