"""Training a network on a machine without a GPU. Read in this order:

1. `schedules`   the learning rate over the steps
2. `sgd`         gradient descent with momentum
3. `augment`     random scaling, mirroring and cropping
4. `batches`     samples in a random order, made on a thread
"""  # noqa: D400
