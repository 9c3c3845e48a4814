"""Training a network on a machine without a GPU. Read in this order:

1. `schedules`   the learning rate over the steps
2. `sgd`         gradient descent with momentum
"""  # noqa: D400
