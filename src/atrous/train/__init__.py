"""Training a network on a machine without a GPU. Read in this order:

1. `schedules`   the learning rate over the steps
2. `sgd`         gradient descent with momentum
3. `augment`     random scaling, mirroring and cropping
4. `batches`     samples in a random order, made on a thread
5. `objective`   the loss of a network at one place or at several, and its gradients
6. `loop`        all of it, step by step
7. `checkpoint`  a step as a file to go on from
8. `setup`       a training as a TOML file; `presets` are the papers'
9. `trained`     a network that came out of it
"""  # noqa: D400
